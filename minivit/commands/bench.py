"""`minivit bench`: how fast this machine is with minivit, and with PyTorch where it is installed."""

from .arguments import new_command, positive

DESCRIPTION = """\
Measure ViT-B/16 and the packaged model on this machine: forward passes, and a training step (forward, backward,
AdamW). PyTorch eager does the same with the same weights where torch and timm or torchvision are installed; the matrix
products alone show the floor. Each works in a process of its own, in turns; outputs are compared first. Medians.
B/16's weights, 346 MB of random numbers, are written to the temporary folder and removed at the end.
"""

EXAMPLE = """\
  minivit bench
  minivit bench --quick --json bench.json
"""


def add_to(commands):
    """Add `bench` to argparse's sub-parsers."""
    parser = new_command(commands, "bench", run, "how fast this machine is", DESCRIPTION, EXAMPLE)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and B/16 with one image only")
    parser.add_argument("--threads", type=positive, metavar="N",
                        help="threads of every library (as many as there are processor cores)")
    parser.add_argument("--json", metavar="FILE", help="write every sample to FILE")


def run(options):
    """Print a line a case as it is measured."""
    import json
    import sys
    import tempfile
    from pathlib import Path

    from ..benchmarking import side_by_side
    from ..benchmarking.machine import blas, cores, machine
    from ..checkpoints.atomic import replacing
    if options.json and not Path(options.json).parent.is_dir():
        raise FileNotFoundError(f"cannot write {options.json}: there is no folder {Path(options.json).parent}")
    available = len(cores())
    threads = options.threads or available
    if threads > available:
        raise ValueError(f"--threads {threads}: this process may use {available} processor core(s)")

    report = {"machine": machine() | {"blas": blas()}, "threads": threads, "cases": []}
    for line in side_by_side.heading(report):
        print(line)
    progress = side_by_side.Progress(sys.stderr)
    cases, rounds = side_by_side.cases(options.quick)
    contenders = side_by_side.contenders()
    print(f"\n{side_by_side.title_row(contenders)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for case, results in side_by_side.measured(cases, contenders, threads, rounds, folder, progress.say):
            progress.clear()
            print(side_by_side.row(case, results), flush=True)
            report["cases"].append({"title": case.title, "results": results})
    for line in side_by_side.notes(report, contenders, rounds):
        print(line)
    if options.json:
        with replacing(options.json) as temporary:
            temporary.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
