"""The training loop: batches, gradients, steps, and a checkpoint often enough that little is ever lost.

Everything random is drawn from the seed, the epoch and the step, so a run that stopped and resumed ends with the same
weights, to the bit, as one that did not.
"""

import csv
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import loss
from ..backend import to_device
from ..checkpoints.native import describe, save
from ..image import normalise
from ..initialisation import init
from .augmentation import crop_and_flip, smooth
from .optimiser import AdamW, clip
from .schedule import learning_rate
from .state import State


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run's result, beside the data and the model's config.

    Rates are a step's; epochs count passes over the training images; held_out images are kept back to measure on.
    """

    epochs: int = 25
    batch_size: int = 128
    peak_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 2
    label_smoothing: float = 0.1
    largest_gradient: float = 1.0
    padding: int = 4
    held_out: int = 1000
    seed: int = 0

    def __post_init__(self):
        for name, low in (("epochs", 1), ("batch_size", 1), ("padding", 0), ("held_out", 0), ("seed", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"{name} is at least {low}, found {getattr(self, name)}")
        for name in ("peak_rate", "largest_gradient"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is positive, found {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is at least 0 and below 1, found {self.label_smoothing}")


def train(data, config, recipe, folder, *, preprocessing=None, device="cpu", save_seconds=60, stop_after=None,
          progress=True):
    """Train a ViT on LabelledImages and return it; its files appear in `folder`.

    state.safetensors: weights, moments, step; a run goes on from there. log.csv: a row an epoch. model.safetensors:
    the trained model, for `minivit.load`. stop_after: leave after this many steps in all, with the state saved.
    Raises ValueError or CheckpointError where the settings do not fit the data, or the folder's state.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept, held_out = _hold_out(data, recipe)
    batches = len(kept) // recipe.batch_size
    if batches == 0:
        raise ValueError(f"{len(kept)} training images do not fill one batch of {recipe.batch_size}: "
                         "choose a smaller batch_size or held_out")
    steps = batches * recipe.epochs
    config = replace(config, num_classes=len(data.classes))
    model = init(config, seed=recipe.seed, labels=data.classes, preprocessing=preprocessing).to(device)
    state = State(model.params, AdamW.for_params(model.params))
    about = {"recipe": asdict(recipe), "images": len(data), **describe(model)}
    state.restore(folder, about)
    saved = time.monotonic()

    while state.step < steps and state.step != stop_after:
        epoch, first = divmod(state.step, batches)
        order = np.random.default_rng([recipe.seed, epoch]).permutation(kept)
        with tqdm(total=batches, initial=first, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="step",
                  disable=not progress, mininterval=1) as bar:
            for i in range(first, batches):
                started = time.monotonic()
                rate = learning_rate(state.step, steps, recipe.warmup_epochs * batches, recipe.peak_rate)
                chosen = order[i * recipe.batch_size:(i + 1) * recipe.batch_size]
                rng = np.random.default_rng([recipe.seed, epoch, i])
                images, labels = data.images[chosen], data.labels[chosen]
                value, right = _step(model, state.optimiser, recipe, images, labels, rate, rng)
                state.step += 1
                _count(state.sums, bar, value, right, len(chosen), time.monotonic() - started)
                if time.monotonic() - saved > save_seconds or state.step == stop_after:
                    state.save(folder, about)
                    saved = time.monotonic()
                if state.step == stop_after:
                    return model
        _finish_epoch(state, folder, epoch, rate, evaluate(model, held_out) if len(held_out) else {})
        state.save(folder, about)
        saved = time.monotonic()
    save(model.to("cpu"), folder / "model.safetensors")
    return model


def _step(model, optimiser, recipe, images, labels, rate, rng):
    """One batch: augment, forward, loss, backward, clip, step. Returns the loss and how many were right."""
    x = normalise(crop_and_flip(images, rng, recipe.padding), model.preprocessing)
    x = to_device(x, model.device)                                                        # (B, H, W, 3)
    targets = smooth(labels, model.config.num_classes, recipe.label_smoothing)
    targets = to_device(targets, model.device)                                            # (B, K)
    logits, cache = model.forward(x)                                                      # (B, K)
    value, loss_cache = loss.forward(logits, targets)
    _, grads = model.backward(loss.backward(loss_cache), cache)
    grads, _ = clip(grads, recipe.largest_gradient)
    optimiser.step(model.params, grads, rate, recipe.weight_decay)
    return float(value), int((to_device(logits, "cpu").argmax(axis=1) == labels).sum())


def evaluate(model, data, batch_size=500):
    """Loss (nats), accuracy and probabilities (n, K) of a model on LabelledImages, each image as it is."""
    log_p = []
    for start in range(0, len(data), batch_size):
        x = normalise(data.images[start:start + batch_size], model.preprocessing).astype(model.dtype, copy=False)
        logits = to_device(model(to_device(x, model.device)), "cpu")                      # (b, K)
        log_p.append(loss.log_softmax(logits))
    log_p = np.concatenate(log_p)                                                         # (n, K)
    of_label = np.take_along_axis(log_p, data.labels[:, None], axis=1)
    return {"loss": -float(of_label.mean()), "accuracy": float((log_p.argmax(axis=1) == data.labels).mean()),
            "probabilities": np.exp(log_p)}


def _hold_out(data, recipe):
    """Places of the images to train on, and the LabelledImages kept back to measure on."""
    order = np.random.default_rng([recipe.seed]).permutation(len(data))
    return np.sort(order[recipe.held_out:]), data.subset(np.sort(order[:recipe.held_out]))


def _count(sums, bar, value, right, images, seconds):
    sums["loss"] += value * images
    sums["right"] += right
    sums["images"] += images
    sums["seconds"] += seconds
    bar.set_postfix_str(f"loss {sums['loss'] / sums['images']:.3f}, accuracy {sums['right'] / sums['images']:.1%}, "
                        f"{sums['images'] / sums['seconds']:.0f} images/s", refresh=False)
    bar.update()


def _finish_epoch(state, folder, epoch, rate, held_out):
    """Add the epoch's row to the log, write the log anew, and begin the sums of the next epoch."""
    sums = state.sums
    state.log.append({"epoch": epoch + 1, "loss": sums["loss"] / sums["images"],
                      "accuracy": sums["right"] / sums["images"], "held_out_loss": held_out.get("loss"),
                      "held_out_accuracy": held_out.get("accuracy"), "learning_rate": rate,
                      "images_per_second": sums["images"] / sums["seconds"]})
    state.sums = dict.fromkeys(sums, 0)
    with open(folder / "log.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, state.log[0])
        writer.writeheader()
        writer.writerows(state.log)
