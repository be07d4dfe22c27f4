"""The matrix products alone, for worker.py: what a NumPy network would cost if all else were free.

The same shapes, the same weights, spread over the same threads in the same way (threads.py): runs of images, or of one
image the columns of a product and the heads of attention. Results go into arrays that are there already. A training
step has two more products for each of the forward pass.
"""

import threading

import numpy as np

from minivit.checkpoints.loading import load
from minivit.engine import threads
from minivit.vit import queries_of_layers


class Network:
    """The products of one forward pass, or of one training step."""

    library = f"NumPy {np.__version__}"

    def __init__(self, path, config, images, threads):
        self.config, self.params = config, load(path).params
        self.arrays = threading.local()

    def arranged(self, x, labels):
        """Only the number of images counts."""
        return x, labels

    def forward(self, x, labels):
        """All products of a forward pass. Returns nothing worth comparing."""
        threads.each(lambda run: self._products(len(x[run]), training=False), threads.chunks(x))

    def training_step(self, x, labels):
        """All products of a forward and a backward pass."""
        threads.each(lambda run: self._products(len(x[run]), training=True), threads.chunks(x))

    def _products(self, B, training):
        c = self.config
        T, N = c.num_tokens, c.num_patches
        self._linear(B * N, self.params["patch_embed"]["proj"], training)
        for block, queries in zip(self.params["blocks"], queries_of_layers(c)):
            t = len(range(T)[queries])                                                      # tokens that ask
            qkv = self._linear(B * T, block["attn"]["qkv"], training)                      # (BT, 3D)
            self._attention(qkv, B, t, training)
            for layer in (block["attn"]["proj"], block["mlp"]["fc1"], block["mlp"]["fc2"]):
                self._linear(B * t, layer, training)
        self._linear(B, self.params["head"], training)

    def _attention(self, qkv, B, t, training):
        T, H, d = self.config.num_tokens, self.config.num_heads, self.config.width // self.config.num_heads
        query, key, value = qkv.reshape(B, T, 3, H, d).transpose(2, 0, 3, 1, 4)            # (B, H, T, d) each
        query = query[:, :, :t]                                                            # (B, H, t, d)
        attention = self._array("attention", B, H, t, T)
        heads = self._array("heads", B, t, H, d).transpose(0, 2, 1, 3)                     # (B, H, t, d)

        def forward(h):
            np.matmul(query[:, h], key[:, h].swapaxes(-1, -2), out=attention[:, h])
            np.matmul(attention[:, h], value[:, h], out=heads[:, h])

        def backward(h):
            np.matmul(attention[:, h].swapaxes(-1, -2), heads[:, h], out=value[:, h])      # dv = Aᵀ dheads
            np.matmul(heads[:, h], value[:, h].swapaxes(-1, -2), out=attention[:, h])      # dA = dheads vᵀ
            np.matmul(attention[:, h], key[:, h], out=query[:, h])                         # dq = dS k
            np.matmul(attention[:, h].swapaxes(-1, -2), query[:, h], out=key[:, h])        # dk = dSᵀ q

        threads.spread(forward, H, qkv, 2 * B * H * t * T)
        if training:
            threads.spread(backward, H, qkv, 2 * B * H * t * T)

    def _linear(self, rows, params, training):
        weight = params["weight"]
        x, y = self._array("x", rows, weight.shape[0]), self._array("y", rows, weight.shape[1])
        _product(x, weight, y)
        if training:
            _product(y, weight.T, self._array("dx", *x.shape))
            _product(x.T, y, self._array("dw", *weight.shape))
        return y

    def _array(self, name, *shape):
        """This thread's array of that name and shape, filled: numbers such as denormals would change the speed."""
        kept = self.arrays.__dict__
        if (name, shape) not in kept:
            kept[name, shape] = np.random.default_rng(0).standard_normal(shape, np.float32) / 8
        return kept[name, shape]


def _product(a, b, out):
    """a @ b, its columns shared as `threads.product` shares them."""
    threads.spread(lambda part: np.matmul(a, b[:, part], out=out[:, part]), b.shape[1], b,
                   len(a) * b.size // threads.PRODUCTS_A_NUMBER)
