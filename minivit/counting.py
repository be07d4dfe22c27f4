"""What a Vision Transformer costs: its parameters, the numbers of its trace, its multiply-adds."""

from .config import ViTConfig
from .variants import as_config


def parameter_count(config: ViTConfig | str) -> int:
    """How many numbers the weights are: patches, tokens before them, positions, L layers, final norm, pooling, heads.

    config: a ViTConfig, or a variant's name, "B/16". Raises ValueError for an unknown name.
    """
    config = as_config(config)
    D, M, K = config.width, config.mlp_width, config.num_classes
    patch = config.patch_size ** 2 * 3 * D + D * config.patch_bias
    positions = config.position_rows * D if config.has_position_table else 0
    attention = (D * 3 * D + 3 * D * config.qkv_bias) + (D * D + D)
    mlp = (1 + config.gated_mlp) * (D * M + M) + (M * D + D)
    norm = 2 * D
    layer = attention + mlp + 2 * norm + 2 * D * config.layer_scale
    pool = D + (D * 3 * D + 3 * D) + (D * D + D) + norm + (D * M + M) + (M * D + D) if config.pool == "map" else 0
    head = (D * K + K) * (1 + (config.pool == "distilled")) if K else 0
    return (patch + config.num_prefix * D + positions + config.num_layers * layer + norm * (1 + config.norm_pre)
            + pool + head)


def trace_count(config: ViTConfig) -> int:
    """How many numbers the trace of one image holds, all steps together."""
    D, H, M, K = config.width, config.num_heads, config.mlp_width, config.num_classes
    N, T = config.num_patches, config.num_tokens
    height, width = config.height_width
    start = height * width * 3 + N * config.patch_size ** 2 * 3 + N * D + (2 + config.norm_pre) * T * D
    layer = (9 + 2 * config.layer_scale) * T * D + 2 * H * T * T + T * M
    normed = D if config.pool == "mean" else T * D
    pooled = T if config.pool_prefix else N
    pool = {"map": 4 * D + 2 * pooled * D + 2 * H * pooled + M, "distilled": 2 * K}.get(config.pool, 0)
    read = 2 * D if config.pool == "distilled" and K else D
    return start + config.num_layers * layer + normed + pool + read + 2 * K


def macs(config: ViTConfig | str) -> int:
    """Multiply-adds of the matrix products in one forward pass of one image (1 MAC = 2 FLOP).

    patches: N P²C D;  a layer: T (4D² + 2DM) for its linear maps and 2T²D for q kᵀ and A v;  head: D K. SwiGLU has 3DM
    in place of 2DM. Attention pooling of t tokens: 2tD² + 2tD for k, v, q kᵀ and A v, and 2D² + 2DM for its one query.
    All tokens of all layers are counted; minivit's own pass leaves out what the head does not read of the last layer
    (vit.queries_of_layers).
    config: a ViTConfig, or a variant's name, "B/16". Raises ValueError for an unknown name.
    """
    config = as_config(config)
    N, T = config.num_patches, config.num_tokens
    D, M = config.width, config.mlp_width
    patches = N * config.patch_size ** 2 * 3 * D
    layer = T * (4 * D * D + (2 + config.gated_mlp) * D * M) + 2 * T * T * D
    pooled = T if config.pool_prefix else N
    pool = 2 * pooled * (D * D + D) + 2 * (D * D + D * M) if config.pool == "map" else 0
    heads = 1 + (config.pool == "distilled")
    return patches + config.num_layers * layer + pool + heads * D * config.num_classes
