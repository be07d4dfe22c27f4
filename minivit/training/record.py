"""What a run leaves behind beside its weights: the hashes of its images, a log with a row an epoch, and its curve."""

import csv
import hashlib
import os
import shutil

from ..checkpoints.atomic import replacing
from ..errors import CheckpointError
from ..trees import flatten

HASHES = "images.sha256"
LOG = "log.csv"
CURVE = "curve.png"
BEST = "best.safetensors"
ROW = ("epoch", "loss", "accuracy", "held_out_loss", "held_out_accuracy", "learning_rate", "images_per_second")


def write_hashes(data, folder):
    """A line an image, "SHA-256  name": the hash of its pixels, uint8 (H, W, 3), as the run uses them.

    So anyone can check that no test image was among them, and a run can't go on with other images. Raises
    CheckpointError where the folder belongs to a run with other images.
    """
    # As bytes: a name may be any bytes but a slash and a null, and text would turn its "\r" into "\n" when it is read.
    content = "".join(f"{sha256(image)}  {name}\n" for image, name in zip(data.images, data.names))
    content = content.encode("utf-8", "surrogateescape")
    path = folder / HASHES
    ours = (content, content.replace(b"\n", os.linesep.encode()))        # an older run's has the system's line ends
    if path.exists() and path.read_bytes() not in ours:
        raise CheckpointError(f"{path} lists other images than these: give the run's own data to go on, "
                              "or another folder to begin anew")
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sha256(image):
    """The SHA-256 of an image's bytes, in hexadecimal."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def fingerprint(params):
    """The SHA-256 of all weights, in hexadecimal."""
    whole = hashlib.sha256()
    for array in flatten(params).values():
        whole.update(array.tobytes())
    return whole.hexdigest()


def is_best(rows):
    """Whether the last epoch named more of the images held out than each before; False where none are held out."""
    *before, last = (row["held_out_accuracy"] for row in rows)
    return last is not None and all(accuracy < last for accuracy in before)


def write_log(rows, folder):
    """The log anew, a dict an epoch."""
    with replacing(folder / LOG) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[-1], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def draw_curve(rows, folder):
    """Loss and accuracy over the epochs, while training and on the images held out, as a picture."""
    from matplotlib.figure import Figure  # without pyplot, so that no window system is needed

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, name, unit in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("nats", "share right")):
        axes.plot(epochs, [row[name] for row in rows], marker=".", label="training, augmented")
        if rows[-1][f"held_out_{name}"] is not None:
            axes.plot(epochs, [row[f"held_out_{name}"] for row in rows], marker=".", label="held out")
        axes.set(title=name, xlabel="epoch", ylabel=unit)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing(folder / CURVE) as temporary:
        figure.savefig(temporary, dpi=120)


def remove_leftovers(folder):
    """Take away what a run killed while writing left half-written. Raises CheckpointError for what is no file."""
    for name in ("state.safetensors", "model.safetensors", BEST, HASHES, LOG, CURVE):
        if (folder / name).exists() and not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is no plain file: remove it, or give another folder")
        for part in folder.glob(f".{name}.*.part*"):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
