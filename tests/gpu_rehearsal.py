"""`make gpu-rehearsal`: benchmarks/gpu_session.py from end to end on the strict stand-in, stopped in the middle of each
part, and then once more, to go on with the training run to its end.

The clock of a part runs out here with its second result or so, so that it does on any machine, however slow.
"""

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image

import minivit

ROOT = Path(__file__).parents[1]


def main():
    """Rehearse. Raises AssertionError with what was found where it is not what a session must leave."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        images, out = folder / "images.tar.xz", folder / "out"
        pack_samples(images)
        command = [sys.executable, "benchmarks/gpu_session.py", "--rehearsal", "--images", str(images), "--out",
                   str(out), "--workers", "1", "--minutes", "10"]
        status = subprocess.run(command, cwd=ROOT).returncode
        parts = found(out)
        assert status == 0 and [(p["name"], p["end"]) for p in parts] == [
            (name, "clock") for name in ("tests", "table", "table, TF32", "training")], said(parts, out)
        assert all(p["outcome"] == "PASSED" for p in parts[0]["results"]), said(parts, out)
        assert parts[1]["results"][0]["machine"][0].startswith("Stand-in GPU"), said(parts, out)
        rows = epochs(parts[3])
        assert rows and rows == list(range(1, len(rows) + 1)), said(parts, out)
        for name in ("state.safetensors", "model.safetensors", "best.safetensors", "log.csv", "images.sha256"):
            assert (out / "train" / name).exists(), said(parts, out)

        # 10 kB: the state is in pieces then, as it travels where files have to be small.
        going_on = ["--parts", "training", "--to-the-end", "--pieces", "0.01"]
        status = subprocess.run([*command, *going_on], cwd=ROOT).returncode
        last = found(out)[-1]
        assert status == 0 and last["end"] == "ended" and last["results"][-1] == {"finished": True}, said([last], out)
        assert epochs(last)[-1] == recipe(last)["epochs"], said([last], out)
        assert len(list((out / "train").glob("state.safetensors.[0-9]*"))) > 1
        assert len(minivit.load(out / "train" / "model.safetensors").labels) == 10
    print("rehearsed: every part stopped midway, what it had found kept, and the run ended where it had been stopped")


def pack_samples(target):
    """The hundred packaged samples, as files in a .tar.xz with a folder a class."""
    pictures, labels = minivit.samples.cifar10_test()
    with tarfile.open(target, "w:xz") as archive:
        for i, (picture, label) in enumerate(zip(pictures, labels)):
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "png")
            member = tarfile.TarInfo(f"train/{label}/{i:03}.png")
            member.size = content.tell()
            content.seek(0)
            archive.addfile(member, content)


def found(out):
    """The parts in session.json."""
    return json.loads((out / "session.json").read_text())["parts"]


def epochs(part):
    """The epochs whose rows a training part reported."""
    return [int(result["epoch"]) for result in part["results"] if "epoch" in result]


def recipe(part):
    """The recipe that a training part reported."""
    return next(result["recipe"] for result in part["results"] if "recipe" in result)


def said(parts, out):
    """What went wrong, for whoever reads the log of a failed rehearsal."""
    return json.dumps(parts, indent=1) + "\n" + (out / "session.log").read_text()[-8000:]


if __name__ == "__main__":
    main()
