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

from ..checkpoints.native import describe, save
from ..engine.devices import to_device
from ..trees import tree_map
from . import frozen, lock, whitening
from .augmentation import seen
from .calibration import calibrated, fitted_temperature
from .dropped import Draw
from .evaluation import evaluate
from .initial_weights import init
from .mimetic import mimic
from .optimiser import clip
from .prepared import prepared
from .recipe import Recipe
from .record import BEST, draw_curve, fingerprint, is_best, remove_leftovers, write_hashes, write_log
from .schedule import learning_rate
from .state import State

__all__ = ["Recipe", "evaluate", "train"]


def train(data, config, recipe, folder, *, start=None, preprocessing=None, device="cpu", save_seconds=60,
          stop_after=None, progress=True, curve=False, workers=0):
    """Train a ViT on LabelledImages and return it; its files appear in `folder`.

    images.sha256: the images' hashes, at once. state.safetensors: weights, moments, step; a run goes on from there.
    log.csv, and curve.png where `curve`: a row an epoch. model.safetensors: after each epoch, the model so far, for
    `minivit.load`; best.safetensors: the model of the epoch with the highest accuracy on the images held out; with
    recipe.calibrate the log has the temperature by which the logits of that epoch's models are divided. start: a
    model of this config whose weights to begin with, instead of random ones. save_seconds: time between saves.
    stop_after: leave after this many steps in all, with the state saved. workers: processes that prepare the next
    batches while a step runs, with the same result. Raises ValueError or CheckpointError where the settings do not fit
    the data or the folder's state, or where the loss is no longer finite; RuntimeError where another process trains in
    the folder or a worker was killed, OSError where it cannot be written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with lock.held(folder):
        return _train(data, config, recipe, folder, start, preprocessing, device, save_seconds, stop_after, progress,
                      curve, workers)


def _train(data, config, recipe, folder, start, preprocessing, device, save_seconds, stop_after, progress, curve,
           workers):
    remove_leftovers(folder)
    kept, held_out = hold_out(data, recipe)
    batches = len(kept) // recipe.batch_size                # an epoch; what is left over waits for another shuffle
    if batches == 0:
        raise ValueError(f"{len(kept)} training images do not fill one batch of {recipe.batch_size}: "
                         "choose a smaller batch_size or held_out")
    recipe.check_fits(config)
    config = replace(config, num_classes=len(data.classes))
    model = init(config, seed=recipe.seed, labels=data.classes, preprocessing=preprocessing)
    about = {"recipe": asdict(recipe), "images": len(data), **describe(model)}
    if start is not None and (recipe.mimetic or recipe.whiten):
        raise ValueError("mimetic and whiten change random weights, and a start has its own: leave them out")
    if start is None:
        begin_random(model, recipe, data, kept)
    else:
        model = _begin_with(start, model)
    about["start"] = None if start is None else fingerprint(model.params)
    model = model.to(device)
    state = State.of(model.params, recipe, config)
    state.restore(folder, about)
    write_hashes(data, folder)
    saved = time.perf_counter()

    def rate(step):
        return learning_rate(step, recipe.epochs * batches, recipe.warmup_epochs * batches, recipe.peak_rate)

    begun = len(state.log)                                  # the epoch to go on with, counted from 0
    done = state.step - begun * batches                     # its batches that a stopped run has done

    def places():
        """(epoch, i, places of the images) of each batch that is left."""
        for epoch in range(begun, recipe.epochs):
            order = np.random.default_rng([recipe.seed, epoch]).permutation(kept)
            for i in range(done if epoch == begun else 0, batches):
                yield epoch, i, order[i * recipe.batch_size:(i + 1) * recipe.batch_size]

    with prepared(places(), data, config.num_classes, recipe, workers) as ready:
        for epoch in range(begun, recipe.epochs):
            first = state.step - epoch * batches
            with tqdm(total=batches, initial=first, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="step",
                      disable=not progress, mininterval=1) as bar:
                for _ in range(first, batches):
                    if stop_after is not None and state.step >= stop_after:
                        state.save(folder, about)
                        return state.result(model)
                    started = time.perf_counter()
                    left = 1 - state.step / (recipe.epochs * batches)
                    value, right = _step(model, state, recipe, next(ready), rate(state.step), left)
                    _count(state.sums, bar, value, right, recipe.batch_size, time.perf_counter() - started)
                    if time.perf_counter() - saved > save_seconds:
                        state.save(folder, about)
                        saved = time.perf_counter()
            measured = evaluate(state.result(model), held_out) if len(held_out) else {}
            if recipe.calibrate:
                measured["temperature"] = _temperature(measured["log_probabilities"], held_out.labels)
            _finish_epoch(state, rate(state.step - 1), measured)
            write_log(state.log, folder)
            so_far = _after_epoch(state, model).to("cpu")
            save(so_far, folder / "model.safetensors")
            if is_best(state.log):
                save(so_far, folder / BEST)
            state.save(folder, about)
            saved = time.perf_counter()
            if curve:
                draw_curve(state.log, folder)               # last: an error in drawing must not cost the epoch
    return _after_epoch(state, model)


def begin_random(model, recipe, data, kept):
    """Random weights changed in place as the recipe has it, the images held out unseen."""
    rng = np.random.default_rng([recipe.seed, 0, 0, 1])                 # no batch draws from these numbers
    if recipe.mimetic:
        mimic(model.params, model.config, rng)
    if recipe.whiten:
        some = np.sort(rng.permutation(kept)[:whitening.IMAGES])
        whitening.whiten(model.params, model.config, data.images[some], model.preprocessing, rng)


def _begin_with(start, model):
    """The model with a copy of start's weights. Raises ValueError where their configs or classes differ."""
    theirs, ours = ({**asdict(m.config), "classes": m.labels} for m in (start, model))
    odd = next((name for name in ours if theirs[name] != ours[name]), None)
    if odd:
        raise ValueError(f"{start.name or 'the start'} does not fit the model to train: its {odd} is {theirs[odd]!r}, "
                         f"expected {ours[odd]!r}; give the options that it was trained with")
    return model.with_params(tree_map(lambda a: a.astype(model.dtype), start.params))


def _step(model, state, recipe, batch, rate, left):
    """One batch, as `prepared` gives it: forward, loss, backward, clip, update. Returns the loss and how many were
    right.

    left: the share of the run's steps that is left, with which patch dropout falls.
    """
    _, labels, images, targets, mixing, rng = batch
    images, targets = to_device(images, model.device), to_device(targets, model.device)
    x, targets = seen(images, targets, mixing, model.preprocessing)                      # (B, H, W, 3), (B, K)
    draw = Draw.of(rng, len(x), model.config, recipe.patch_dropout * left, recipe.stochastic_depth)
    passed = frozen.training_pass(model, x, targets, draw) if recipe.freeze else model.training_pass(x, targets, draw)
    value, grads, logits = passed
    grads, _ = clip(frozen.trained(grads, recipe.freeze, model.config), recipe.largest_gradient)
    state.update(grads, rate, recipe)
    value = float(value)                                     # a GPU waits here, once it has all of the step to do
    if not math.isfinite(value):
        raise ValueError(f"the loss is {value} at step {state.step}: begin anew in another folder with a "
                         f"smaller peak_rate than {recipe.peak_rate}")
    return value, int((to_device(logits, "cpu").argmax(axis=1) == labels).sum())


def _temperature(log_p, labels):
    """The temperature that fits log-probabilities, which differ from the logits by a constant an image, or None."""
    try:
        return fitted_temperature(log_p, labels)
    except ValueError:                      # none fits, as early in a run, or where all are right: it goes on as it is
        return None


def _after_epoch(state, model):
    """The model with the state's weights after a whole epoch, its logits divided by the log's temperature if any."""
    temperature = state.log[-1].get("temperature")
    return state.result(model) if temperature is None else calibrated(state.result(model), temperature)


def hold_out(data, recipe):
    """Places of the images to train on, and the LabelledImages held out to measure on."""
    order = np.random.default_rng([recipe.seed]).permutation(len(data))
    return np.sort(order[recipe.held_out:]), data.subset(np.sort(order[:recipe.held_out]))


def _count(sums, bar, value, right, images, seconds):
    """Add a step to the epoch's sums, and show them."""
    sums["loss"] += value * images
    sums["right"] += right
    sums["images"] += images
    sums["seconds"] += seconds
    bar.set_postfix_str(f"loss {sums['loss'] / sums['images']:.3f}, accuracy {sums['right'] / sums['images']:.1%}, "
                        f"{_speed(sums):.0f} images/s", refresh=False)
    bar.update()


def _speed(sums):
    """Images a second; 0 before the clock has moved."""
    return sums["images"] / sums["seconds"] if sums["seconds"] else 0.0


def _finish_epoch(state, rate, held_out):
    """Add the epoch's row to the log, and begin the sums of the next epoch."""
    sums = state.sums
    state.log.append({"epoch": len(state.log) + 1, "loss": sums["loss"] / sums["images"],
                      "accuracy": sums["right"] / sums["images"], "held_out_loss": held_out.get("loss"),
                      "held_out_accuracy": held_out.get("accuracy"), "learning_rate": rate,
                      "images_per_second": _speed(sums)})
    if "temperature" in held_out:
        state.log[-1]["temperature"] = held_out["temperature"]
    state.sums = dict.fromkeys(sums, 0)
