"""minivit beside the other libraries, all of it: `make bench`, or python -m benchmarks.run.

Writes one JSON with every sample, then the generated parts of docs/performance.md and its pictures (report.py). Every
library works in a process of its own; what is not installed is said and left out.
"""

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from minivit.engine import blas_kernel

blas_kernel.choose()                                                    # before NumPy is imported, as the command line

from minivit.checkpoints.atomic import replacing  # noqa: E402
from minivit.commands.kernel_rates import kernel_rates  # noqa: E402
from minivit.commands.machine import blas, cores, machine, processor  # noqa: E402

from . import onnx_files, plan, report  # noqa: E402
from .cases import weights_file  # noqa: E402
from .process import NotMeasured, environment  # noqa: E402
from .startup import start_up  # noqa: E402
from .turns import measure  # noqa: E402

BREAKDOWN_ROUNDS = 3


def main():
    """Measure, write the JSON, write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of each library (%(default)s)")
    parser.add_argument("--threads", type=int, default=min(2, len(cores())), metavar="N",
                        help="threads, and processor cores, of every library (%(default)s)")
    parser.add_argument("--kernel", action="append", default=[], metavar="NAME",
                        help="measure minivit with this OPENBLAS_CORETYPE too, such as Haswell; may be repeated")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the rows whose title has this text")
    parser.add_argument("--parts", nargs="+", default=["table", "growth", "load", "startup", "breakdown"],
                        choices=("table", "growth", "load", "startup", "breakdown"), metavar="PART",
                        help="table, growth, load, startup, breakdown (all)")
    parser.add_argument("--out", type=Path, default=report.RESULTS / f"{report.slug(processor())}.json", metavar="FILE",
                        help="the file of this processor's results (%(default)s)")
    parser.add_argument("--no-report", action="store_true", help="write the JSON only")
    options = parser.parse_args()
    if not 1 <= options.threads <= len(cores()) or options.rounds < 1:
        parser.error(f"--rounds is 1 or more, --threads 1 to {len(cores())}, the cores that this process may use")

    results = heading(options)
    kernels = other_kernels(results, options)
    with tempfile.TemporaryDirectory() as folder:
        cases = [case for case in plan.cases() if options.only in case.title]
        if "table" in options.parts:
            results["table"] = [row(case, plan.contenders(case, kernels), folder, options, options.rounds)
                                for case in cases]
        if "load" in options.parts:
            case = plan.cases()[0]
            chosen = [contender for contender in plan.contenders(case) if contender != plan.PRODUCTS]
            results["load"] = row(case, chosen, folder, options, options.rounds, loading=True)
        if "breakdown" in options.parts:
            results["breakdown"] = [whereabouts(case, folder, options) for case in cases]
    if "growth" in options.parts:
        results["growth"] = [growth_row(case, options, rounds, results) for case, rounds in plan.growth_cases()]
    if "startup" in options.parts:
        results["startup"] = start_up(options.threads, options.rounds, say)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(options.out) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    say(f"wrote {options.out}")
    if not options.no_report:
        report.write(results)


def heading(options):
    """Machine, kernels, versions, and which libraries are missing."""
    rates, own = kernel_rates(blas()["kernel"], seconds=0.5, processes=5)
    versions = {}
    for name in ("torch", "timm", "onnx", "onnxruntime", "openvino", "jax", "threadpoolctl"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {"machine": machine() | {"blas": blas()}, "versions": versions, "threads": options.threads,
            "rounds": options.rounds, "kernel_rates": rates, "own_kernel": own,
            "missing": {contender.name: contender.missing() for contender in plan.ALL if contender.missing()}}


def other_kernels(results, options):
    """The kernels to measure minivit with beside the one in use: OpenBLAS's own where it differs, those asked for."""
    in_use = results["machine"]["blas"]["kernel"]
    return [*([] if results["own_kernel"] == in_use else [None]),
            *[kernel for kernel in options.kernel if kernel != in_use]]


def row(case, contenders, folder, options, rounds, loading=False):
    """One case, measured: {"title", "side", "images", "kind", "results"}. folder: for weights and ONNX files."""
    weights, why = weights_file(case, folder), None
    if any(contender in plan.FROM_ONNX for contender in contenders):
        say(f"{case.title}: ONNX file")
        why = onnx_files.export(case, weights, options.threads)
    able = [contender for contender in contenders if not (why and contender in plan.FROM_ONNX)]
    results = measure(case, weights, able, options.threads, rounds, say, loading)
    results |= {contender.name: {"why": why} for contender in contenders if contender not in able}
    return {"title": case.title, "side": case.config.height_width[0], "images": case.images, "kind": case.kind,
            "results": results}


def growth_row(case, options, rounds, results):
    """The row of one side: the table's if it has it, or measured in a folder of its own, as weights fill gigabytes."""
    chosen = [contender for contender in plan.contenders(case) if contender in plan.GROWING]
    for known in results.get("table", []):
        if (known["title"], known["side"]) == (case.title, case.config.image_size):
            return known | {"results": {c.name: known["results"][c.name] for c in chosen}}
    with tempfile.TemporaryDirectory() as folder:
        return row(case, chosen, folder, options, min(rounds, options.rounds))


def whereabouts(case, folder, options):
    """Where the time of one core goes, and what the matrix products alone take of one core."""
    say(f"{case.title}: breakdown")
    weights = weights_file(case, folder)
    rounds = min(options.rounds, BREAKDOWN_ROUNDS)
    child = subprocess.run([sys.executable, "-m", "benchmarks.breakdown", str(weights), str(case.images), case.kind,
                            str(rounds)], env=environment(1, {}), stdout=subprocess.PIPE, encoding="utf-8", check=True)
    alone = measure(case, weights, [plan.PRODUCTS], 1, rounds, say)
    return {"title": case.title, "parts": json.loads(child.stdout), "products": alone[plan.PRODUCTS.name]}


def say(text):
    """Progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (NotMeasured, OSError, ValueError) as error:
        sys.exit(f"benchmarks: {error}")
