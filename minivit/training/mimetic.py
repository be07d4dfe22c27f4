"""Mimetic initialisation: attention begins with the pattern that trained attention has (Trockman & Kolter 2023,
arXiv 2305.09828).

    W_q W_kᵀ ≈ 0.7 Z + 0.7 I        of each head: a token looks at tokens that are like it,
    W_v W_o  ≈ 0.4 Z - 0.4 I        of all heads together: and takes away what it sees there
    E_pos    = sines and cosines    patches near one another are alike from the start, so that attention is local

The form is the paper's; 0.7 and 0.4 are what is used here, not checked against it. Z: normal numbers of variance 1/D,
new ones for each product. A product U S Vᵀ is parted evenly, U √S and √S Vᵀ. The query and key of a head have D/H
features, so theirs is the nearest product of that rank: the D/H largest parts of S.
"""

import numpy as np

from ..position_embedding import sincos_2d

ALIKE = 0.7                                                             # of query · key
AWAY = -0.4                                                             # of value · projection


def mimic(params, config, rng):
    """Change random params of this config in place. Raises ValueError unless 4 divides D, where positions are learned.

    Registers and [CLS] begin without a position; tokens, MLP, norms and biases stay as they are.
    """
    D, H = config.width, config.num_heads
    if config.position == "learned":
        params["pos_embed"][:] = 0
        params["pos_embed"][:, config.position_rows - config.num_patches:] = sincos_2d(config.grid, D)
    for block in params["blocks"]:
        qkv, proj = block["attn"]["qkv"]["weight"], block["attn"]["proj"]["weight"]      # (D, 3D), (D, D)
        query, key, value = np.split(qkv, 3, axis=1)                    # (D, D) each, views
        for q, k in zip(np.split(query, H, axis=1), np.split(key, H, axis=1)):           # (D, D/H)
            left, right = _parted(_near_identity(D, ALIKE, rng), D // H)
            q[:], k[:] = left, right.T
        value[:], proj[:] = _parted(_near_identity(D, AWAY, rng), D)


def _near_identity(D, share, rng):
    """|share| Z + share I: (D, D)."""
    return abs(share) * rng.standard_normal((D, D)) / np.sqrt(D) + share * np.eye(D)


def _parted(product, rank):
    """Two matrices (D, rank) and (rank, D) whose product is the nearest of that rank to this one, (D, D)."""
    u, s, vt = np.linalg.svd(product)
    return u[:, :rank] * np.sqrt(s[:rank]), np.sqrt(s[:rank])[:, None] * vt[:rank]
