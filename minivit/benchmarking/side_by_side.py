"""What `minivit bench` measures and prints: minivit, PyTorch eager where it is installed, the matrix products alone."""

import importlib.util

from ..checkpoints.loading import load
from ..config import VARIANTS
from .cases import PACKAGED, TRAINING, Case, weights_file
from .process import Contender
from .summary import in_words, median, quartiles, ratio
from .turns import measure

MINIVIT = Contender("minivit", "minivit.benchmarking.numpy_network")
TORCH = Contender("PyTorch", "minivit.benchmarking.torch_network")
PRODUCTS = Contender("products", "minivit.benchmarking.products_network")
TITLE_WIDTH, WIDTH = 40, 12


def cases(quick=False):
    """(the cases, rounds of each). quick: fewer of both."""
    b16, packaged = VARIANTS["B/16"], load().config
    chosen = [Case("B/16", b16, 1), Case("B/16", b16, 8), Case(PACKAGED, packaged, 1), Case(PACKAGED, packaged, 256),
              Case(PACKAGED, packaged, 64, TRAINING)]
    return ([case for case in chosen if case.images != 8], 3) if quick else (chosen, 9)


def contenders():
    """PyTorch, if it is there, comes first: the others' outputs are compared with the first one's."""
    networks = any(importlib.util.find_spec(name) for name in ("timm", "torchvision"))
    return [*([TORCH] if networks and importlib.util.find_spec("torch") else []), MINIVIT, PRODUCTS]


def measured(cases, contenders, threads, rounds, folder, say):
    """Yields (case, results) one after another. folder: for the weights."""
    for case in cases:
        say(f"{case.title}: weights")
        yield case, measure(case, weights_file(case, folder), contenders, threads, rounds, say)


def heading(report):
    """Machine, versions and threads, in lines."""
    about, blas = report["machine"], report["machine"]["blas"]
    return [f"{about['processor']}, {about['cores']} core(s), {report['threads']} used by each; {about['system']}",
            f"minivit {about['minivit']}, NumPy {about['numpy']}, {blas['name']} {blas['version']}, "
            f"kernel {blas['kernel'] or 'unnamed'}; {about['date']}"]


def title_row(contenders):
    """The table's first line."""
    names = [contender.name for contender in shown(contenders)]
    against = [f"/ {name}" for name in names[1:]]
    return f"{'median':{TITLE_WIDTH}}" + "".join(f"{name:>{WIDTH}}" for name in [*names, *against])


def row(case, results):
    """One case's medians, and minivit's as a multiple of each other's."""
    names = [name for name in (MINIVIT.name, TORCH.name, PRODUCTS.name) if name in results]
    cells = [in_words(median(_samples(results, name))) if _samples(results, name) else "-" for name in names]
    for name in names[1:]:
        both = _samples(results, MINIVIT.name), _samples(results, name)
        cells.append(f"{ratio(*both):.2f}" if all(both) else "-")
    return f"{case.title:{TITLE_WIDTH}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)


def notes(report, contenders, rounds):
    """What the table leaves open, in lines: what the columns are, the spread, what has no figures and why."""
    lines = ["", f"medians of {rounds} turns; / is minivit's time over the other's, so below 1 minivit is faster;",
             "products are the same network's matrix products alone, the floor of any program on this NumPy"]
    spreads = []
    for case in report["cases"]:
        for name, result in case["results"].items():
            if "why" in result:
                lines.append(f"{case['title']}: no figure for {name}: {result['why']}")
            elif name == MINIVIT.name:
                lower, upper = quartiles(result["seconds"])
                spreads.append((upper - lower) / median(result["seconds"]))
    if spreads:
        lines.append(f"half of minivit's turns lie within {100 * max(spreads):.0f} % of each other, or less")
    found = {result["library"] for case in report["cases"] for name, result in case["results"].items()
             if name == TORCH.name and "library" in result}
    if found:
        errors = [max(result["errors"].values(), default=0) for case in report["cases"]
                  for result in case["results"].values() if "errors" in result]
        lines.append(f"PyTorch is {found.pop()}; with the same weights outputs differ by {max(errors):.0e} at most")
    elif TORCH not in contenders:
        lines.append("not compared with PyTorch: it needs torch, and timm or torchvision, beside minivit")
    return lines


def shown(contenders):
    """minivit first."""
    return sorted(contenders, key=lambda contender: (MINIVIT, TORCH, PRODUCTS).index(contender))


def _samples(results, name):
    return results.get(name, {}).get("seconds", [])


class Progress:
    """One line on a terminal that replaces itself; nothing where stderr is not a terminal."""

    def __init__(self, stream):
        self.stream = stream if stream.isatty() else None

    def say(self, text):
        """Show this instead of what was shown."""
        if self.stream:
            print(f"\r\033[K{text}", end="", file=self.stream, flush=True)

    def clear(self):
        """Show nothing."""
        self.say("")
