"""The Vision Transformer in JAX, compiled by XLA, for worker.py.

The shortest that computes the same network under timm's names: equations 1-4 of the paper, LayerNorm with eps 1e-6 and
the erf GELU.
"""

from functools import partial

import jax
import jax.numpy as jnp

from minivit.checkpoints.safetensors_file import TensorFile


class Network:
    """The weights, and the function compiled for them. XLA has as many threads as there are cores that it may use."""

    library = f"JAX {jax.__version__}"

    def __init__(self, path, config, images, threads):
        with TensorFile(path) as file:
            self.weights = {name: jnp.asarray(file.read(name)) for name in file.shapes}
        x = jax.ShapeDtypeStruct((images, *config.height_width, 3), jnp.float32)
        self.function = jax.jit(partial(vision_transformer, config=config)).lower(x, self.weights).compile()

    def arranged(self, x, labels):
        """Images (B, H, W, 3) on the device."""
        return (jax.block_until_ready(jnp.asarray(x)),)

    def forward(self, x):
        """Logits (B, K)."""
        return jax.block_until_ready(self.function(x, self.weights))


def vision_transformer(x, w, config):
    """Images (B, H, W, 3) to logits (B, K). w: {timm's name: array}."""
    B, P, D, H = len(x), config.patch_size, config.width, config.num_heads
    rows, columns = config.grid
    patches = x.reshape(B, rows, P, columns, P, 3).transpose(0, 1, 3, 5, 2, 4).reshape(B, rows * columns, -1)
    z = patches @ w["patch_embed.proj.weight"].reshape(D, -1).T + w["patch_embed.proj.bias"]       # (B, N, D)
    z = jnp.concatenate([jnp.broadcast_to(w["cls_token"], (B, 1, D)), z], axis=1) + w["pos_embed"] # (B, T, D)

    def linear(a, name):
        return a @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(a, name):
        centred = a - a.mean(-1, keepdims=True)
        variance = (centred ** 2).mean(-1, keepdims=True)
        return centred / jnp.sqrt(variance + config.layer_norm_eps) * w[f"{name}.weight"] + w[f"{name}.bias"]

    for i in range(config.num_layers):
        qkv = linear(norm(z, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        query, key, value = qkv.reshape(B, -1, 3, H, D // H).transpose(2, 0, 3, 1, 4)              # (B, H, T, d)
        attention = jax.nn.softmax(query @ key.swapaxes(-1, -2) / (D // H) ** 0.5)
        heads = (attention @ value).transpose(0, 2, 1, 3).reshape(z.shape)
        z = z + linear(heads, f"blocks.{i}.attn.proj")
        hidden = jax.nn.gelu(linear(norm(z, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"), approximate=False)
        z = z + linear(hidden, f"blocks.{i}.mlp.fc2")
    return linear(norm(z[:, 0], "norm"), "head")
