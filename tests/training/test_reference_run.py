"""`train` against a run written out here: its order, random numbers, rate, clipping, average, log and files.

The reference takes from the package the model's gradients and the single augmentations, each tested for itself;
batches, seeds, targets, schedule, optimiser, average and log are formulas of a few lines.
"""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest
from toy_data import SHORT, TINY, colours

import minivit
from minivit.training import augmentation
from minivit.training.loop import train
from minivit.trees import flatten

PREPROCESSING = minivit.Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), crop_fraction=0.8,
                                      interpolation="bilinear", resize="stretch")
CONFIG = replace(TINY, layer_norm_eps=0.05, gelu="tanh")
PLAIN = replace(SHORT, largest_gradient=0.5, weight_decay=3.0, label_smoothing=0.2)
MIXED = replace(PLAIN, warmup_epochs=1.5, average=0.4, mixup=0.4, cutmix=1.0, erase=0.5)
TOLERANCE = 5e-6                                         # weights are of the size 0.1
NOT_MIRRORED = replace(MIXED, mirror=False)
NEVER_CLIPPED = replace(SHORT, largest_gradient=1e6, warmup_epochs=0, held_out=17, label_smoothing=0)


def pixels(images):
    return ((images / 255 - PREPROCESSING.mean) / PREPROCESSING.std).astype(np.float32)


def shifted(images, recipe, rng):
    """Each image moved over a black border, and half of them flipped left to right."""
    (count, H, W, _), p = images.shape, recipe.padding
    tops, lefts = rng.integers(0, 2 * p + 1, (2, count))
    flipped = rng.random(count) < 0.5
    crops = [np.pad(image, ((p, p), (p, p), (0, 0)))[top:top + H, left:left + W]
             for image, top, left in zip(images, tops, lefts)]
    return np.stack([crop[:, ::-1] if flip and recipe.mirror else crop for crop, flip in zip(crops, flipped)])


def augmented(images, labels, recipe, rng):
    """Shift and mirror, erase, normalise, and mix, in this order, and the targets."""
    images = shifted(images, recipe, rng)
    if recipe.erase:
        images = augmentation.erase(images, rng, recipe.erase)
    targets = (1 - recipe.label_smoothing) * np.eye(2)[labels] + recipe.label_smoothing / 2
    if recipe.mixup or recipe.cutmix:
        return augmentation.Mixing.draw(rng, images.shape[:3], recipe.mixup, recipe.cutmix).mix(pixels(images), targets)
    return pixels(images), targets


def rate_of(step, steps, warmup, peak):
    return peak * (step + 1) / warmup if step < warmup else peak * math.cos(math.pi / 2 * (step - warmup)
                                                                            / (steps - warmup)) ** 2


def loss_and_accuracy(model, data):
    logits = model(pixels(data.images)).astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(p)), data.labels]).mean(), (p.argmax(axis=1) == data.labels).mean()


def reference_run(data, config, recipe):
    """(weights after each step, result, log rows), the weights flat."""
    order = np.random.default_rng([recipe.seed]).permutation(len(data))
    held, kept = data.subset(np.sort(order[:recipe.held_out])), np.sort(order[recipe.held_out:])
    model = minivit.init(config, seed=recipe.seed, preprocessing=PREPROCESSING)
    w = flatten(model.params)
    m, v, a = ({name: np.zeros_like(x) for name, x in w.items()}, {name: np.zeros_like(x) for name, x in w.items()},
               {name: x.copy() for name, x in w.items()})
    batches, t, rows = len(kept) // recipe.batch_size, 0, []
    for epoch in range(recipe.epochs):
        shuffled, losses, right = np.random.default_rng([recipe.seed, epoch]).permutation(kept), [], 0
        for i in range(batches):
            chosen = shuffled[i * recipe.batch_size:(i + 1) * recipe.batch_size]
            x, targets = augmented(data.images[chosen], data.labels[chosen], recipe,
                                   np.random.default_rng([recipe.seed, epoch, i]))
            right += (model(x).argmax(axis=1) == data.labels[chosen]).sum()
            loss, g = model.loss_and_gradients(x, targets.astype(np.float32))
            losses.append(loss)
            rate = rate_of(t, recipe.epochs * batches, recipe.warmup_epochs * batches, recipe.peak_rate)
            t += 1
            length = math.sqrt(sum((x.astype(float) ** 2).sum() for x in flatten(g).values()))
            for name, slope in flatten(g).items():
                slope = slope * min(1, recipe.largest_gradient / length)
                m[name] = 0.9 * m[name] + 0.1 * slope
                v[name] = 0.999 * v[name] + 0.001 * slope ** 2
                step = m[name] / (1 - 0.9 ** t) / (np.sqrt(v[name] / (1 - 0.999 ** t)) + 1e-8)
                decay = recipe.weight_decay if w[name].ndim == 2 else 0
                w[name][...] = w[name] - rate * (step + decay * w[name])
                share = min(recipe.average, (1 + t) / (10 + t))
                a[name] = share * a[name] + (1 - share) * w[name]
        result = model.with_params(unflattened(a, model.params)) if recipe.average else model
        measured = loss_and_accuracy(result, held)
        rows.append((np.mean(losses), right / batches / recipe.batch_size, *measured, rate))
    return result, rows


def unflattened(flat, like):
    names = iter(flatten(like))
    return minivit.trees.tree_map(lambda _: flat[next(names)], like)


def without_key_bias(model):
    """The weights; not the keys' bias: its gradient is zero but for rounding, of which Adam makes whole steps."""
    D = model.config.width
    flat = {name: np.copy(a) for name, a in flatten(model.params).items()}
    for name in flat:
        if name.endswith("qkv.bias"):
            flat[name][D:2 * D] = 0
    return flat


@pytest.mark.parametrize("recipe", [PLAIN, MIXED, NEVER_CLIPPED, NOT_MIRRORED],
                         ids=["plain", "mixed and averaged", "not clipped", "not mirrored"])
def test_a_run_is_the_one_written_out_here(tmp_path, recipe):
    data = colours(90)
    found = train(data, CONFIG, recipe, tmp_path, preprocessing=PREPROCESSING, progress=False)
    expected, rows = reference_run(data, CONFIG, recipe)
    saved = minivit.load(tmp_path / "model.safetensors")
    assert saved.config == CONFIG and saved.preprocessing == PREPROCESSING and saved.labels == data.classes
    for model in (found, saved):
        for name, array in without_key_bias(model).items():
            np.testing.assert_allclose(array, without_key_bias(expected)[name], rtol=0, atol=TOLERANCE, err_msg=name)
    with open(tmp_path / "log.csv", newline="") as file:
        log = list(csv.DictReader(file))
    names = ("loss", "accuracy", "held_out_loss", "held_out_accuracy", "learning_rate")
    np.testing.assert_allclose([[float(row[name]) for name in names] for row in log], rows, rtol=1e-4, atol=1e-12)
    assert [int(row["epoch"]) for row in log] == list(range(1, recipe.epochs + 1))


@pytest.mark.parametrize("change", [{"largest_gradient": 0.4}, {"average": 0.05}, {"warmup_epochs": 1.25},
                                    {"mixup": 0.5}, {"weight_decay": 2.5}, {"label_smoothing": 0.1}, {"erase": 0.4},
                                    {"mirror": False}],
                         ids=lambda change: next(iter(change)))
def test_the_reference_tells_recipes_apart(change):
    """Were a change of a setting too small to see, equality would say little of it."""
    one, other = (without_key_bias(reference_run(colours(90), CONFIG, recipe)[0])
                  for recipe in (MIXED, replace(MIXED, **change)))
    assert max(np.abs(one[name] - other[name]).max() for name in one) > 20 * TOLERANCE
