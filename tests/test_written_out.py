"""The whole network against a dozen lines of NumPy: every eps, form of GELU and read-out reaches where it belongs."""

from dataclasses import replace

import numpy as np
import pytest
from peaked import SMALL, images, peaked_model, relative_error
from scipy.special import erf, softmax

import minivit
from minivit.trees import flatten, tree_map


def norm(x, p, eps):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps) * p["weight"] + p["bias"]


def linear(x, p):
    return x @ p["weight"] + p["bias"]


def gelu(x, form):
    inner = erf(x / 2 ** 0.5) if form == "erf" else np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x ** 3))
    return x * (1 + inner) / 2


def logits(params, x, config):
    """Equations 1 to 8 of the paper, image by image and head by head."""
    P, (rows, columns), d, rest = config.patch_size, config.grid, config.width // config.num_heads, []
    for image in x:
        z = np.stack([image[P * i:P * i + P, P * j:P * j + P].ravel() for i in range(rows) for j in range(columns)])
        z = linear(z, params["patch_embed"]["proj"])
        z = np.concatenate([params["cls_token"][0], z]) + params["pos_embed"][0]
        for block in params["blocks"]:
            q, k, v = np.split(linear(norm(z, block["norm1"], config.layer_norm_eps), block["attn"]["qkv"]), 3, axis=-1)
            heads = [slice(h * d, h * d + d) for h in range(config.num_heads)]
            each = [softmax(q[:, h] @ k[:, h].T / d ** 0.5, axis=-1) @ v[:, h] for h in heads]
            z = z + linear(np.concatenate(each, axis=-1), block["attn"]["proj"])
            hidden = gelu(linear(norm(z, block["norm2"], config.layer_norm_eps), block["mlp"]["fc1"]), config.gelu)
            z = z + linear(hidden, block["mlp"]["fc2"])
        if config.pool == "cls":
            y = norm(z[0], params["norm"], config.layer_norm_eps)
        else:
            y = norm(z[1:].mean(axis=0), params["fc_norm"], config.layer_norm_eps)
        rest.append(linear(y, params["head"]))
    return np.stack(rest)


CASES = [("erf", 1e-12, "cls"), ("erf", 1e-3, "cls"), ("tanh", 0.3, "cls"), ("tanh", 1e-6, "mean"),
         ("erf", 0.1, "mean")]


@pytest.mark.parametrize("form, eps, pool", CASES)
def test_logits_of_every_way_through_the_network(form, eps, pool):
    config = replace(SMALL, gelu=form, layer_norm_eps=eps, pool=pool)
    model, x = peaked_model(config), images(config)
    expected = logits(model.params, x, config)
    trained = model.training_pass(x, np.array([0, 1, 2]))[2]
    for found in (model(x), model.forward(x)[0], minivit.tracing.trace(model, x)["logits"], trained):
        assert relative_error(found, expected) <= 1e-12


@pytest.mark.parametrize("form, eps, pool", CASES)
def test_the_loss_of_training_and_its_slope(form, eps, pool):
    """The gradients against differences of the loss of these lines, in a random direction of all weights at once."""
    config = replace(SMALL, gelu=form, layer_norm_eps=eps, pool=pool)
    model, x, labels = peaked_model(config), images(config), np.array([3, 0, 6])
    rng = np.random.default_rng(0)
    ahead = tree_map(lambda w: rng.standard_normal(w.shape), model.params)

    def loss(step):
        params = tree_map(lambda w, v: w + step * v, model.params, ahead)
        p = softmax(logits(params, x, config), axis=-1)
        return -np.log(p[np.arange(3), labels]).mean()

    found, grads = model.loss_and_gradients(x, labels)
    assert float(found) == pytest.approx(loss(0), rel=1e-12)
    slope = sum((g * v).sum() for g, v in zip(flatten(grads).values(), flatten(ahead).values()))
    h = 1e-5
    numeric = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)
    assert abs(numeric - slope) <= 1e-6 * abs(slope)
