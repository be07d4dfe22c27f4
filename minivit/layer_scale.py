"""LayerScale: each feature of a branch has a learned scale (Touvron et al. 2021, arXiv 2103.17239, equation 4).

    y = γ · x

It stands between a branch of a layer and the residual connection. γ (D,) begins near 0, 1e-5 in DINOv2, so that each
layer begins as the identity and deep networks can be trained. CaiT, DeiT III and DINOv2 have it, the plain ViT has not.
"""

from .engine.column_sums import column_sums


def forward(x, params):
    """γ · x. x: (..., D). params: gamma (D,), or None for no LayerScale.

    Returns y (..., D) and the cache.
    """
    if params is None:
        return x, None
    return x * params["gamma"], (x, params)


def backward(dy, cache):
    """dx = γ · dy,   dγ = Σ x · dy over all tokens. dy: (..., D). Returns dx (..., D) and grads."""
    if cache is None:
        return dy, {}
    x, params = cache
    return dy * params["gamma"], {"gamma": column_sums(x * dy)}         # (D,)
