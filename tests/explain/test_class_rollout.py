"""Class-specific rollout against a plain ViT of a few lines whose attention weights are pushed one by one."""

import math

import numpy as np
import pytest

import minivit
from minivit.explain.attention.class_rollout import attention_gradients, class_rollout

L, H, D = 2, 2, 8


def plain_logits(params, patches, eps, pool, pushes, seen=None):
    """Logits (K,) of one image's patches (N, P²C). pushes: (L, H, T, T), added to the weights, which `seen` gets."""
    def linear(z, p):
        return z @ p["weight"] + p["bias"]

    def norm(z, p):
        return (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + eps) * p["weight"] + p["bias"]

    z = np.concatenate([params["cls_token"][0], linear(patches, params["patch_embed"]["proj"])])
    z = z + params["pos_embed"][0]
    for block, push in zip(params["blocks"], pushes):
        q, k, v = (np.split(part, H, axis=1) for part in np.split(linear(norm(z, block["norm1"]), block["attn"]["qkv"]),
                                                                  3, axis=1))
        heads = []
        for h in range(H):
            e = np.exp(q[h] @ k[h].T / math.sqrt(D // H))
            a = e / e.sum(axis=1, keepdims=True)
            if seen is not None:
                seen.append(a)
            heads.append((a + push[h]) @ v[h])
        z = z + linear(np.concatenate(heads, axis=1), block["attn"]["proj"])
        u = linear(norm(z, block["norm2"]), block["mlp"]["fc1"])
        z = z + linear(u / 2 * (1 + np.vectorize(math.erf)(u / math.sqrt(2))), block["mlp"]["fc2"])
    name = "norm" if pool == "cls" else "fc_norm"
    return linear(norm(z[0] if pool == "cls" else z[1:].mean(axis=0), params[name]), params["head"])


@pytest.fixture(scope="module", params=["cls", "mean"])
def measured(request):
    """A model, two images, a class each, and for each image A and ∂ logit / ∂ A, (L, H, T, T), by differences."""
    config = minivit.ViTConfig(patch_size=4, width=D, num_layers=L, mlp_width=12, num_heads=H, num_classes=3,
                               image_size=(8, 12), pool=request.param)
    model = minivit.init(config, seed=3, dtype="float64")
    rng = np.random.default_rng(4)
    params = minivit.trees.tree_map(lambda a: rng.standard_normal(a.shape) / math.sqrt(a.shape[0]), model.params)
    model, x, classes = model.with_params(params), rng.standard_normal((2, 8, 12, 3)), np.array([2, 0])
    shape, step = (L, H, config.num_tokens, config.num_tokens), 1e-5
    weights, slopes = [], []
    for image, k in zip(x, classes):
        patches = minivit.patch_embedding.patchify(image[None], 4)[0]
        seen, slope = [], np.zeros(shape)
        plain_logits(params, patches, config.layer_norm_eps, config.pool, np.zeros(shape), seen)
        for index in np.ndindex(*shape):
            push = np.zeros(shape)
            push[index] = step
            up, down = (plain_logits(params, patches, config.layer_norm_eps, config.pool, p)[k] for p in (push, -push))
            slope[index] = (up - down) / (2 * step)
        weights.append(np.reshape(seen, shape))
        slopes.append(slope)
    return model, x, classes, np.stack(weights), np.stack(slopes)


def test_each_weights_gradient_equals_finite_differences(measured):
    model, x, classes, weights, slopes = measured
    found = attention_gradients(model, x, classes)
    assert len(found) == L
    for layer, (a, da) in enumerate(found):
        assert np.allclose(da, slopes[:, layer], rtol=0, atol=1e-8 * np.abs(slopes).max())
        asked = slice(0, 1) if layer == L - 1 and model.config.pool == "cls" else slice(None)
        assert np.allclose(a[:, :, asked], weights[:, layer][:, :, asked], rtol=0, atol=1e-14)


def test_class_rollout_equals_its_equations_in_loops(measured):
    model, x, classes, weights, slopes = measured
    found = class_rollout(model, x, classes)
    T = weights.shape[-1]
    for b in range(len(x)):
        R = [[float(i == j) for j in range(T)] for i in range(T)]
        for a, da in zip(weights[b], slopes[b]):
            bar = [[sum(max(0.0, a[h, i, j] * da[h, i, j]) for h in range(H)) / H for j in range(T)] for i in range(T)]
            R = [[R[i][j] + sum(bar[i][m] * R[m][j] for m in range(T)) for j in range(T)] for i in range(T)]
        assert np.allclose(found[b], R, rtol=0, atol=1e-8 * np.abs(R).max())


def test_another_class_has_another_map(measured):
    model, x, classes, _, _ = measured
    ours, other = (class_rollout(model, x, k) for k in (classes, (classes + 1) % 3))
    assert np.abs(ours - other).max() > 0.01 * np.abs(ours - np.eye(ours.shape[-1])).max()


def test_class_rollout_keeps_float32(measured):
    model, x, classes, _, _ = measured
    assert class_rollout(model.astype("float32"), x.astype("float32"), classes).dtype == np.float32
