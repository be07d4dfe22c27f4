"""A plain port of the network, as somebody else would write it: one file, NumPy alone, and its steps under our names.

`run` executes its text, so that a test can change a line of it. Nothing of minivit's is used but the names.
"""

import math

import numpy as np
from scipy.special import erf

TEXT = '''
def layer_norm(x, w):
    mean = x.mean(axis=-1, keepdims=True)
    variance = x.var(axis=-1, keepdims=True)
    xhat = (x - mean) / np.sqrt(variance + eps)
    return xhat * w["weight"] + w["bias"]

def gelu(h):
    return 0.5 * h * (1 + erf(h / math.sqrt(2)))

def softmax(s):
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)

def linear(x, w):
    return x @ w["weight"] + w["bias"]

def split(x):
    return x.reshape(B, T, H, d).transpose(0, 2, 1, 3)

def forward(x):
    steps["pixels"] = x
    image = x
    patches = image.reshape(B, rows, P, columns, P, 3).transpose(0, 1, 3, 2, 4, 5).reshape(B, N, P * P * 3)
    steps["patches"] = patches
    z = linear(patches, params["patch_embed"]["proj"])
    steps["patch_embedding"] = z
    cls = np.repeat(params["cls_token"], B, axis=0)
    z = np.concatenate([cls, z], axis=1)
    steps["tokens"] = z
    position = params["pos_embed"]
    z = z + position
    steps["embedded"] = z
    first = z
    for i in range(L):
        w = blocks[i]
        y = layer_norm(z, w["norm1"])
        steps[f"layer.{i}.norm1"] = y
        qkv = linear(y, w["attn"]["qkv"])
        q, k, v = qkv[..., :D], qkv[..., D:2 * D], qkv[..., 2 * D:]
        q, k, v = split(q), split(k), split(v)
        steps[f"layer.{i}.query"], steps[f"layer.{i}.key"], steps[f"layer.{i}.value"] = q, k, v
        s = q @ k.transpose(0, 1, 3, 2)
        s = s / math.sqrt(d)
        steps[f"layer.{i}.scores"] = s
        a = softmax(s)
        steps[f"layer.{i}.attention"] = a
        o = a @ v
        o = o.transpose(0, 2, 1, 3).reshape(B, T, D)
        o = linear(o, w["attn"]["proj"])
        steps[f"layer.{i}.attended"] = o
        r = z + o
        steps[f"layer.{i}.residual1"] = r
        n = layer_norm(r, w["norm2"])
        steps[f"layer.{i}.norm2"] = n
        h = linear(n, w["mlp"]["fc1"])
        h = gelu(h)
        steps[f"layer.{i}.hidden"] = h
        m = linear(h, w["mlp"]["fc2"])
        steps[f"layer.{i}.mlp"] = m
        z = r + m
        steps[f"layer.{i}.output"] = z
    z = layer_norm(z, params["norm"])
    steps["norm"] = z
    c = z[:, 0]
    steps["representation"] = c
    logits = linear(c, params["head"])
    steps["logits"] = logits
    steps["probabilities"] = softmax(logits)
'''


def run(model, x, changes=(), dtype=np.float64, text=TEXT):
    """{step: array} of the port with each (old, new) of its text's lines changed; old occurs once."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
        text = text.replace(old, new)
    config = model.config
    (rows, columns), P, D, H = config.grid, config.patch_size, config.width, config.num_heads

    def cast(tree):
        if isinstance(tree, dict):
            return {name: cast(child) for name, child in tree.items()}
        return [cast(child) for child in tree] if isinstance(tree, list) else tree.astype(dtype)

    params = cast(model.params)
    names = {"np": np, "math": math, "erf": lambda h: erf(h).astype(dtype), "steps": {}, "params": params,
             "blocks": params["blocks"], "eps": dtype(config.layer_norm_eps), "B": len(x), "T": config.num_tokens,
             "N": config.num_patches, "D": D, "H": H, "d": D // H, "P": P, "L": config.num_layers, "rows": rows,
             "columns": columns, "config": config, "M": config.mlp_width, "rng": np.random.default_rng(0)}
    exec(text, names)
    names["forward"](x.astype(dtype))
    return names["steps"]
