"""`minivit bench`: how fast this machine is with minivit, and with timm on PyTorch where they are installed."""

from .arguments import new_command, positive
from .outputs import add_json

DESCRIPTION = """\
Measure ViT-B/16 and the packaged model on this machine: forward passes, and forward and backward passes together.
Where timm is installed, its network on PyTorch eager does the same with the same weights, the two in turns in this
process; their outputs are compared first. Medians. What others' own settings and processes change, and what the
matrix products alone cost, is measured in the repository: docs/performance.md.
"""

EXAMPLE = """\
  minivit bench
  minivit bench --quick --json bench.json
"""

ROUNDS, QUICK_ROUNDS = 9, 3
PAUSE = 0.05                                    # seconds before a turn, for the other library's threads to sleep
LARGEST_ERROR = 1e-3


def add_to(commands):
    """Add `bench` to argparse's sub-parsers."""
    parser = new_command(commands, "bench", run, "how fast this machine is", DESCRIPTION, EXAMPLE)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and B/16 with one image only")
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="threads of either library (default: as many as there are processor cores)")
    add_json(parser, "every sample")


def cases(quick=False):
    """[(title, config, images, whether it trains)]."""
    from ..checkpoints.loading import load
    from ..variants import VARIANTS
    b16, packaged = VARIANTS["B/16"], load().config
    chosen = [("B/16 forward, 1 image", b16, 1, False), ("B/16 forward, 8 images", b16, 8, False),
              ("packaged model forward, 1 image", packaged, 1, False),
              ("packaged model forward, 256 images", packaged, 256, False),
              ("packaged model forward and backward, 64 images", packaged, 64, True)]
    return [case for case in chosen if not quick or case[2] != 8]


def run(options):
    """Print a line a case as it is measured."""
    import threadpoolctl

    from .machine import blas, cores, machine
    from .outputs import check_output, tell_json
    check_output(options.json)
    available = len(cores())
    threads = options.threads or available
    if threads > available:
        raise ValueError(f"--threads {threads}: this process may use {available} processor core(s)")
    show = print if options.json != "-" else lambda *_, **__: None
    about = machine() | {"blas": blas()}
    show(f"{about['processor']}, {about['cores']} core(s), {threads} used; {about['system']}\n"
         f"minivit {about['minivit']}, NumPy {about['numpy']}, {about['blas']['name']} {about['blas']['version']}, "
         f"kernel {about['blas']['kernel'] or 'unnamed'}; {about['date']}\n")
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    report = {"machine": about, "threads": threads, "rounds": rounds, "cases": []}
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        for title, config, images, trains in cases(options.quick):
            found = measured(config, images, trains, threads, rounds)
            report["cases"].append({"title": title, **found})
            show(_line(title, found), flush=True)
    show(f"\nmedians of {rounds} turns; " + (
        f"timm is {found['library']}, and the factor is minivit's time over its: below 1 minivit is faster"
        if "library" in found else "not compared with PyTorch: it needs torch and timm beside minivit"))
    tell_json(options, report)


def measured(config, images, trains, threads, rounds):
    """{"minivit": seconds, "timm": seconds, "library", "error"} of a case; without timm the first alone.

    error: ‖a − b‖ / ‖b‖ of the two libraries' logits. Raises ValueError where they are not those of one network.
    """
    import time

    import numpy as np

    from ..training.initial_weights import init
    model = init(config, seed=0)
    rng = np.random.default_rng(0)
    for weight in (model.params["head"]["weight"], model.params["cls_token"]):
        weight += 0.02 * rng.standard_normal(weight.shape, np.float32)                  # zeros would compare nothing
    works, found = {"minivit": model.loss_and_gradients if trains else lambda x, labels: model(x)}, {"minivit": []}
    x, _ = _batch(config, images, rng)
    network = timm_network(model, threads)
    if network:
        theirs, ours = network.logits(x), model(x)
        found |= {"timm": [], "library": network.library,
                  "error": float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))}
        if not found["error"] <= LARGEST_ERROR:
            raise ValueError(f"timm's logits differ by {found['error']:.1e} of their norm: not the same network")
        works["timm"] = network.train if trains else network.forward
    for number in range(-1, rounds):                                                    # the first does not count
        for name in sorted(works, reverse=number % 2):
            batch = _batch(config, images, rng)
            batch = network.arranged(*batch) if name == "timm" else batch
            time.sleep(PAUSE)
            started = time.perf_counter()
            works[name](*batch)
            if number >= 0:
                found[name].append(time.perf_counter() - started)
    return found


def _batch(config, images, rng):
    return (rng.standard_normal((images, *config.height_width, 3), "float32"),
            rng.integers(0, config.num_classes, images))


def timm_network(model, threads):
    """timm's network with a model's weights, or None where timm or torch is not installed."""
    try:
        from .timm_network import TimmNetwork
    except ImportError:
        return None
    return TimmNetwork(model, threads)


def _line(title, found):
    from statistics import median
    line = f"{title:48}" + f"minivit {in_words(median(found['minivit'])):>9}"
    if "timm" in found:
        factor = median(found["minivit"]) / median(found["timm"])
        line += f"   timm {in_words(median(found['timm'])):>9}   x {factor:.2f}"
    return line


def in_words(seconds):
    """0.0123 -> "12.30 ms", 1.234 -> "1.23 s"."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.0f} ms" if seconds >= 0.1 else f"{1e3 * seconds:.2f} ms"
