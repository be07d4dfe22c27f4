"""Record what the explorer's JavaScript computes, for chapter 15: python notebooks/record_ports.py (needs Node.js).

The port of minivit/explorer/page/vit.js runs with the packaged model's float32 weights on the packaged photo. Steps of
its trace go into recorded/explorer.npz. The same port with one line changed gives recorded/padded.npz, the fault that
the chapter walks to its end, and recorded/colleague.npz, its bug hunt. Run it again when the packaged model changes.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import minivit
from minivit.explorer.page_files import PAGE
from minivit.explorer.weights import encode

FOLDER = Path(__file__).parent / "recorded"
RUN = """
import { readFileSync, writeFileSync } from "node:fs";
import { forward } from "./vit.js";
import { read_model } from "./weights.js";
const bytes = (name) => { const b = readFileSync(name); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };
const trace = forward(new Float32Array(bytes("pixels")), read_model(bytes("model.safetensors")));
const kept = Object.keys(trace).filter((name) => new RegExp(process.argv[2]).test(name));
writeFileSync("shapes.json", JSON.stringify(kept.map((name) => [name, trace[name].shape])));
writeFileSync("numbers", Buffer.concat(kept.map((name) => Buffer.from(trace[name].data.buffer))));
"""
# {name of the file: (steps that it keeps, the line that is changed, what it becomes)}
PORTS = {
    "explorer": (r"^pixels$|^embedded$|output$|^norm$|^logits|^prob", None, None),
    "padded": (r"^pixels$|^embedded$|^layer\.0\.(norm1|scores|attention|output)$|^logits$|^probabilities$",
               "for (let j = 0; j < n; j++) sum += e[j] = Math.exp(scores[at + j] - max);",
               "for (let j = 0; j < lanes(n); j++) sum += e[j] = Math.exp((j < n ? scores[at + j] : 0) - max);"),
    # The bug hunt: what is wrong stands in the next line, and in the chapter's solutions.
    "colleague": (r"^pixels$|^layer\.0\.(norm2|hidden|output)$|^logits$",
                  "erf(v * Math.SQRT1_2)) / 2\n", "erf(v * 0.7)) / 2\n"),
}
LANES = "\nconst lanes = (n) => Math.ceil(n / 8) * 8;\n"             # a processor takes eight numbers at a time


def recorded(kept, old, new):
    """{step: float32 array} of the port on the photo. kept: a regular expression of the steps. old, new: what is
    changed in vit.js, or None.
    """
    model = minivit.load("cifar10")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "page")
        shutil.copytree(PAGE, work)
        if old is not None:
            text = (work / "vit.js").read_text(encoding="utf-8")
            assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
            (work / "vit.js").write_text(text.replace(old, new) + LANES, encoding="utf-8")
        (work / "package.json").write_text('{"type": "module"}', encoding="utf-8")
        (work / "run.js").write_text(RUN, encoding="utf-8")
        (work / "model.safetensors").write_bytes(encode(model, "float32"))
        (work / "pixels").write_bytes(model.prepare(minivit.samples.CAT).astype("<f4").tobytes())
        subprocess.run(["node", "run.js", kept], cwd=work, check=True)
        shapes = json.loads((work / "shapes.json").read_text(encoding="utf-8"))
        numbers = np.fromfile(work / "numbers", "<f4")
    ends = np.cumsum([int(np.prod(shape)) for _, shape in shapes])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes, np.split(numbers, ends[:-1]))}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for port, (kept, old, new) in PORTS.items():
        np.savez_compressed(FOLDER / f"{port}.npz", **recorded(kept, old, new))
