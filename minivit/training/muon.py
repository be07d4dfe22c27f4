"""Muon (Jordan 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv 2502.16982) for the layers' matrices.

    m = μ m + g
    O = U Vᵀ, nearly, where g + μ m = U S Vᵀ
    w = w - rate · (0.2 √max(in, out) · O + decay · w)

A step moves a matrix equally far in all of its directions, where a gradient's few largest singular values would
dominate. The factor (equation 4 of the second source) gives it the size of AdamW's steps, so that both share rate and
decay. Query, key and value are three matrices, and a gated MLP's first map is two. AdamW takes all that is no layer's
matrix: embeddings, norms, biases, head.
"""

from dataclasses import dataclass

import numpy as np

from ..engine.gpu.kernels import fused
from ..trees import flatten
from .optimiser import AdamW, decays, on_all_cores

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)                                # Jordan's: as steep as can be at 0
ROUNDS = 5


@dataclass
class Muon:
    """The optimiser's state: momentum of the layers' weight matrices, flat under their names, and AdamW for the rest.

    mu: μ, the share of the momentum that a step keeps.
    """

    momentum: dict
    adamw: AdamW
    mu: float = 0.95

    @classmethod
    def for_params(cls, params):
        """Zero momentum, and zero moments, for these params."""
        flat = flatten(params)
        return cls({n: np.zeros_like(a) for n, a in flat.items() if orthogonalised(n)},
                   AdamW.for_params({n: a for n, a in flat.items() if not orthogonalised(n)}))

    def step(self, params, grads, rate, decay, head_rate=1.0):
        """One step: changes params and the state in place. head_rate: as AdamW's."""
        params, grads = flatten(params), flatten(grads)
        self.adamw.step({n: params[n] for n in self.adamw.first}, grads, rate, decay, head_rate)

        def directions(name):
            w, g, m = params[name], grads[name], self.momentum[name]                     # (in, out)
            direction = np.empty_like(m)
            fused(gather, w, g, m, direction, self.mu, 1 - rate * decay)
            parts = matrices(name, w, params)
            return list(zip(np.split(w, parts, axis=1), np.split(direction, parts, axis=1)))

        def move(pairs):
            length = rate * 0.2 * max(pairs[0][0].shape) ** 0.5
            steps = length * orthogonal(np.stack([direction for _, direction in pairs]))
            for (part, _), step in zip(pairs, steps):
                part -= step

        def update(name):
            for pair in directions(name):
                move([pair])

        if all(isinstance(m, np.ndarray) for m in self.momentum.values()):
            on_all_cores(update, self.momentum)
            return
        # A GPU takes all matrices of a shape at once: five rounds for each by itself are thousands of small kernels.
        by_shape = {}
        for name in self.momentum:
            for pair in directions(name):
                by_shape.setdefault(pair[0].shape, []).append(pair)
        for pairs in by_shape.values():
            move(pairs)

    @property
    def steps(self):
        """The steps taken."""
        return self.adamw.steps

    @steps.setter
    def steps(self, steps):
        self.adamw.steps = steps

    def arrays(self):
        """The state's arrays, by part and name."""
        return {"momentum": self.momentum, **self.adamw.arrays()}


def gather(w, g, m, direction, mu, shrink):
    """The momentum m, the direction g + μ m, and the decay of w, written into them. shrink: 1 - rate · decay."""
    m *= mu
    m += g
    np.multiply(m, mu, out=direction)
    direction += g
    w *= shrink


def orthogonalised(name):
    """Whether Muon takes this parameter: a weight matrix inside a layer."""
    return name.startswith("blocks.") and decays(name)


def matrices(name, w, params):
    """How many matrices a weight (in, out) is, side by side: q, k and v, or the two of a gated MLP."""
    if name.endswith("qkv.weight"):
        return 3
    gated = name.endswith("mlp.fc1.weight") and w.shape[1] == 2 * len(params[name.replace("fc1", "fc2")])
    return 2 if gated else 1


def orthogonal(g):
    """The matrix U Vᵀ of g = U S Vᵀ, nearly: Newton and Schulz's iteration x = a x + (b x xᵀ + c (x xᵀ)²) x.

    It needs matrix products alone, no decomposition: U and V stay as they are, and each singular value s becomes
    a s + b s³ + c s⁵, five times over. Those of at least 0.0015 ‖g‖ come to lie between 0.67 and 1.21; smaller ones
    grow by up to a⁵ = 485 times. g: (..., in, out), of any size: ‖g‖ is divided out. Returns (..., in, out).
    """
    a, b, c = NEWTON_SCHULZ
    x = g if g.shape[-2] <= g.shape[-1] else g.swapaxes(-1, -2)          # x xᵀ is then the smaller square
    x = x / (np.sqrt((x * x).sum(axis=(-2, -1), keepdims=True)) + 1e-7)  # no singular value above 1
    for _ in range(ROUNDS):
        square = x @ x.swapaxes(-1, -2)
        x = a * x + (b * square + c * (square @ square)) @ x
    return x if g.shape[-2] <= g.shape[-1] else x.swapaxes(-1, -2)
