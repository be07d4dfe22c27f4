"""What timm's modules say beside their weights, and where to ask: a module, config.json, or the convention."""

from ..errors import CheckpointError
from . import families, module_settings, timm_config
from .reading_out import OF_MANY, pool_of, reads_both

CONVENTION = {"layer_norm_eps": 1e-6, "gelu": "erf"}


def settings(source, sizes, places):
    """(fields of ViTConfig, labels). Raises CheckpointError."""
    if source.module is not None:
        return CONVENTION | _of_module(source.module, source, places, sizes["gated_mlp"]), None
    config = timm_config.of(source)
    if config is None:
        return _convention(source, places), None
    return CONVENTION | timm_config.fields(config, source, places), timm_config.labels(
        config, sizes["num_classes"], source.label)


def _convention(source, places):
    """The fields of a file of which only the tensors tell something, CLIP's eps and MAE's fixed positions among it."""
    fields = dict(CONVENTION)
    if "norm_pre.weight" in places:
        fields["layer_norm_eps"] = 1e-5
        source.assumed.append("layer_norm_eps=1e-5 as timm's models with a norm before the layers have")
        source.assumed.append('gelu="erf" (OpenAI\'s weights of CLIP have gelu="quick")')
    if reads_both(places) and "head_dist.weight" not in places:
        fields["pool"] = pool_of(source.label, "token", places)
        source.assumed.append('pool="distilled", the mean of both tokens, as timm has without a head')
    if beside_decoder(source):
        fields["position"] = told_as_fixed(source)
    return fields


def beside_decoder(source):
    """Whether the weights are the encoder of a masked autoencoder: its decoder, with positions of its own, is there."""
    return any(name.endswith("decoder_pos_embed") for name in source.ignored)


def told_as_fixed(source):
    """The position of a masked autoencoder; that it is assumed stands in source.assumed."""
    source.assumed.append('position="fixed", as beside a decoder of masked pre-training')
    return "fixed"


def cls_row(source):
    """Whether the table of positions has a row for [CLS]: True, False, or None where nothing tells."""
    if source.module is not None:
        return not getattr(source.module, "no_embed_class", False)
    config = timm_config.of(source)
    return None if config is None else timm_config.cls_row(config, source.label)


def preprocessing(source, config):
    """From pretrained_cfg, with timm's defaults; without one, the published recipe for the model's resolution."""
    about = getattr(source.module, "pretrained_cfg", None) or (timm_config.of(source) or {}).get("pretrained_cfg")
    if about:
        return timm_config.preprocessing(about, f"{source.label}: its pretrained_cfg")
    family = (families.CLIP if config.norm_pre else families.DEIT if config.dist_token
              else families.DINOV2 if config.layer_scale else families.MAE if config.position == "fixed"
              else families.SIGLIP if config.pool == "map" else None)
    if family is not None:
        return family.told(source)
    source.assumed.append("preprocessing as most of timm's ViTs have it (mean and std 0.5, bicubic)")
    return timm_config.usual_preprocessing(config)


def _of_module(module, source, places, gated):
    """Fields of a timm VisionTransformer, or of a class that follows it (DINO's, MAE's). gated: the tensors' word."""
    first, blocks = module.blocks[0], list(module.blocks)
    if type(module).__module__.startswith("timm."):
        for part, expected in ((first, "Block"), (first.attn, "Attention")):
            if type(part).__name__ != expected:
                raise CheckpointError(f"{source.label} has layers of timm's {type(part).__name__}, which compute "
                                      f"something else than its {expected}")
    else:
        source.assumed.append(f"that {type(module).__name__} computes as timm's VisionTransformer does")
    heads = module_settings.same((block.attn.num_heads for block in blocks), "num_heads")
    module_settings.check_scale((block.attn for block in blocks), module.embed_dim / heads)
    fc_norm = "fc_norm.weight" in places
    norms = [norm for block in blocks for norm in (block.norm1, block.norm2)]
    norms.append(module.fc_norm if fc_norm else module.norm)
    norms += [module.norm_pre] if "norm_pre.weight" in places else []
    mlps = [block.mlp for block in blocks]
    pool = pool_of(source.label, getattr(module, "global_pool", "token"), places)
    gelu = {} if module_settings.all_gated(mlps, gated) else {
        "gelu": module_settings.same((module_settings.gelu_form(mlp.act) for mlp in mlps), "GELU")}
    if pool == "map":
        norms.append(module.attn_pool.norm)
        module_settings.check_pooling(module.attn_pool, heads, gelu.get("gelu", "erf"))
    for head in ("head", "head_dist"):
        if getattr(module, head, None) is not None:
            module_settings.check_head(getattr(module, head))
    fields = {"num_heads": heads, "layer_norm_eps": module_settings.same_eps(norms), **gelu, "pool": pool,
              "pool_prefix": pool in OF_MANY and bool(getattr(module, "pool_include_prefix", False))}
    if beside_decoder(source):
        fields["position"] = told_as_fixed(source)
    size = getattr(module.patch_embed, "img_size", None)
    if size is not None:
        fields["image_size"] = tuple(size) if isinstance(size, (tuple, list)) else size
    return fields
