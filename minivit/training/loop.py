"""The training loop: batches, gradients, steps, and a checkpoint often enough that little is ever lost.

Everything random is drawn from the seed, the epoch and the step, so a run that stopped and resumed ends with the same
weights, to the bit, as one that did not (on the same machine with the same number of threads).
"""

import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import loss
from ..backend import to_device
from ..checkpoints.native import describe, save
from ..image import normalise
from ..initialisation import init
from ..trees import tree_map
from .augmentation import crop_and_flip, erase, mix, smooth
from .evaluation import evaluate
from .optimiser import clip
from .recipe import Recipe
from .record import draw_curve, fingerprint, remove_leftovers, write_hashes, write_log
from .schedule import learning_rate
from .state import State

__all__ = ["Recipe", "evaluate", "train"]


def train(data, config, recipe, folder, *, start=None, preprocessing=None, device="cpu", save_seconds=60,
          stop_after=None, progress=True, curve=False):
    """Train a ViT on LabelledImages and return it; its files appear in `folder`.

    images.sha256: the images' hashes, at once. state.safetensors: weights, moments, step; a run goes on from there.
    log.csv, and curve.png where `curve`: a row an epoch. model.safetensors: at the end, the trained model, for
    `minivit.load`. start: a model of this config whose weights to begin with, instead of random ones. save_seconds:
    time between saves. stop_after: leave after this many steps in all, with the state saved. Raises ValueError or
    CheckpointError where the settings do not fit the data or the folder's state, or where the loss is no longer finite.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    kept, held_out = _hold_out(data, recipe)
    batches = len(kept) // recipe.batch_size                # an epoch; what is left over waits for another shuffle
    if batches == 0:
        raise ValueError(f"{len(kept)} training images do not fill one batch of {recipe.batch_size}: "
                         "choose a smaller batch_size or held_out")
    config = replace(config, num_classes=len(data.classes))
    model = init(config, seed=recipe.seed, labels=data.classes, preprocessing=preprocessing)
    about = {"recipe": asdict(recipe), "images": len(data), **describe(model)}
    if start is not None:
        model = _begin_with(start, model)
    about["start"] = None if start is None else fingerprint(model.params)
    model = model.to(device)
    state = State.of(model.params, recipe)
    state.restore(folder, about)
    write_hashes(data, folder)
    saved = time.monotonic()

    def rate(step):
        return learning_rate(step, recipe.epochs * batches, recipe.warmup_epochs * batches, recipe.peak_rate)

    for epoch in range(len(state.log), recipe.epochs):
        order = np.random.default_rng([recipe.seed, epoch]).permutation(kept)
        first = state.step - epoch * batches
        with tqdm(total=batches, initial=first, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="step",
                  disable=not progress, mininterval=1) as bar:
            for i in range(first, batches):
                if stop_after is not None and state.step >= stop_after:
                    state.save(folder, about)
                    return state.result(model)
                started = time.monotonic()
                chosen = order[i * recipe.batch_size:(i + 1) * recipe.batch_size]
                rng = np.random.default_rng([recipe.seed, epoch, i])
                value, right = _step(model, state, recipe, data.images[chosen], data.labels[chosen],
                                     rate(state.step), rng)
                _count(state.sums, bar, value, right, len(chosen), time.monotonic() - started)
                if time.monotonic() - saved > save_seconds:
                    state.save(folder, about)
                    saved = time.monotonic()
        _finish_epoch(state, rate(state.step - 1), evaluate(state.result(model), held_out) if len(held_out) else {})
        write_log(state.log, folder)
        if curve:
            draw_curve(state.log, folder)
        state.save(folder, about)
        saved = time.monotonic()
    trained = state.result(model)
    save(trained.to("cpu"), folder / "model.safetensors")
    return trained


def _begin_with(start, model):
    """The model with a copy of start's weights. Raises ValueError where their configs or classes differ."""
    theirs, ours = ({**asdict(m.config), "classes": m.labels} for m in (start, model))
    odd = next((name for name in ours if theirs[name] != ours[name]), None)
    if odd:
        raise ValueError(f"{start.name or 'the start'} does not fit the model to train: its {odd} is {theirs[odd]!r}, "
                         f"expected {ours[odd]!r}; give the options that it was trained with")
    return model.with_params(tree_map(lambda a: a.astype(model.dtype), start.params))


def _step(model, state, recipe, images, labels, rate, rng):
    """One batch: augment, forward, loss, backward, clip, update. Returns the loss and how many were right."""
    x, targets = _augmented(images, labels, model, recipe, rng)
    x, targets = to_device(x, model.device), to_device(targets, model.device)            # (B, H, W, 3), (B, K)
    logits, cache = model.forward(x)                                                      # (B, K)
    value, loss_cache = loss.forward(logits, targets)
    value = float(value)                                                                  # a GPU waits here
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {state.step + 1}: begin anew in another folder with a "
                         f"smaller peak_rate than {recipe.peak_rate}")
    _, grads = model.backward(loss.backward(loss_cache), cache)
    grads, _ = clip(grads, recipe.largest_gradient)
    state.update(grads, rate, recipe)
    return value, int((to_device(logits, "cpu").argmax(axis=1) == labels).sum())


def _augmented(images, labels, model, recipe, rng):
    """The batch as the network sees it: normalised pixels (B, H, W, 3), and probabilities (B, K) to aim at."""
    images = crop_and_flip(images, rng, recipe.padding)
    if recipe.erase:
        images = erase(images, rng, recipe.erase)
    x = normalise(images, model.preprocessing)
    targets = smooth(labels, model.config.num_classes, recipe.label_smoothing)
    if recipe.mixup or recipe.cutmix:
        x, targets = mix(x, targets, rng, recipe.mixup, recipe.cutmix)
    return x, targets


def _hold_out(data, recipe):
    """Places of the images to train on, and the LabelledImages kept back to measure on."""
    order = np.random.default_rng([recipe.seed]).permutation(len(data))
    return np.sort(order[recipe.held_out:]), data.subset(np.sort(order[:recipe.held_out]))


def _count(sums, bar, value, right, images, seconds):
    """Add a step to the epoch's sums, and show them."""
    sums["loss"] += value * images
    sums["right"] += right
    sums["images"] += images
    sums["seconds"] += seconds
    bar.set_postfix_str(f"loss {sums['loss'] / sums['images']:.3f}, accuracy {sums['right'] / sums['images']:.1%}, "
                        f"{sums['images'] / sums['seconds']:.0f} images/s", refresh=False)
    bar.update()


def _finish_epoch(state, rate, held_out):
    """Add the epoch's row to the log, and begin the sums of the next epoch."""
    sums = state.sums
    state.log.append({"epoch": len(state.log) + 1, "loss": sums["loss"] / sums["images"],
                      "accuracy": sums["right"] / sums["images"], "held_out_loss": held_out.get("loss"),
                      "held_out_accuracy": held_out.get("accuracy"), "learning_rate": rate,
                      "images_per_second": sums["images"] / sums["seconds"]})
    state.sums = dict.fromkeys(sums, 0)
