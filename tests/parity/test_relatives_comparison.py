"""`compare` with torch modules of the relatives: timm's by their weights, and what transformers' modules show."""

import contextlib

import numpy as np
import pytest
from libraries import TINY, peaked, pixels, timm_vit, torch

import minivit
from minivit.checking.torch_steps import hooks, two_tokens
from minivit.checking.torch_tracing import _output
from minivit.checking.torch_watch import Watch
from minivit.checking.verdict import GRADIENT
from minivit.tracing import trace

pytestmark = pytest.mark.parity


def distilled(**options):
    from timm.models.deit import VisionTransformerDistilled
    return peaked(VisionTransformerDistilled(img_size=24, patch_size=8, embed_dim=24, depth=2, num_heads=3,
                                             mlp_ratio=40 / 24, **{"num_classes": 5, **options}), 24)


def gated():
    from timm.layers import SwiGLUPacked
    return timm_vit(**{**TINY, "mlp": 96}, init_values=1.0, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU)


BRANCHES = {f"layer.1.{step}" for step in ("attended_scaled", "mlp_scaled")}
POOLING = {f"pool.{step}" for step in ("query", "key", "value", "scores", "attention", "attended", "norm", "hidden",
                                       "mlp")}
FAMILIES = {
    "distilled": (distilled, {"logits_cls", "logits_dist"}),
    "distilled, no classes": (lambda: distilled(num_classes=0), set()),
    "LayerScale": (lambda: timm_vit(**TINY, init_values=1.0), BRANCHES),
    "registers": (lambda: timm_vit(**TINY, init_values=1.0, reg_tokens=3, no_embed_class=True), BRANCHES),
    "SwiGLU": (gated, BRANCHES),
    "attention pooling": (lambda: timm_vit(**TINY, class_token=False, global_pool="map"), POOLING),
    "mean after the norm": (lambda: timm_vit(**TINY, global_pool="avg", fc_norm=False), set()),
    "a norm before the layers": (lambda: timm_vit(**TINY, pre_norm=True), {"norm_pre"}),
    "no qkv bias": (lambda: timm_vit(**TINY, qkv_bias=False), set()),
}


CONFIGS = {"distilled": {"dist_token": True, "pool": "distilled"},
           "distilled, no classes": {"dist_token": True, "pool": "distilled", "num_classes": 0},
           "LayerScale": {"layer_scale": True}, "SwiGLU": {"layer_scale": True, "gated_mlp": True, "mlp_width": 48},
           "registers": {"layer_scale": True, "registers": 3, "prefix_positions": False},
           "attention pooling": {"class_token": False, "pool": "map"}, "mean after the norm": {"pool": "normed_mean"},
           "a norm before the layers": {"norm_pre": True, "patch_bias": False}, "no qkv bias": {"qkv_bias": False}}


def with_weights_of(module, name):
    """minivit's model with a module's weights, handed over by name: what is judged here is `compare`."""
    state = {key: tensor.detach().numpy() for key, tensor in module.state_dict().items()}
    config = minivit.ViTConfig(**{"patch_size": 8, "width": 24, "num_layers": 2, "mlp_width": 40, "num_heads": 3,
                                  "image_size": 24, "num_classes": 5, **CONFIGS[name]})
    model = minivit.init(config, dtype="float64")
    for key, weight in minivit.trees.flatten(model.params).items():
        weight[...] = minivit.checkpoints.timm.from_timm(key, state[key])
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_timm(name):
    module, steps = FAMILIES[name][0]().double().eval(), FAMILIES[name][1]
    model = with_weights_of(module, name)
    comparison = minivit.compare(model, module, gradients=True)
    assert comparison.agrees and comparison.cause is None, comparison
    names = {row.name for row in comparison.rows}
    assert steps | {"embedded", "layer.0.norm1", "layer.1.scores", "layer.1.output", "norm", "representation",
                    GRADIENT + "pixels", GRADIENT + "blocks.0.attn.qkv.weight"} <= names
    expected = set(trace(model, pixels(24))) - {"pixels", "patches", "tokens"}
    assert expected <= names, expected - names


def test_timms_mistakes_are_named():
    module = FAMILIES["LayerScale"][0]().double().eval()
    model = minivit.load(module, dtype="float64")
    for block in module.blocks:
        block.ls1 = block.ls2 = torch.nn.Identity()
    comparison = minivit.compare(model, module)
    assert comparison.first_difference == "layer.0.residual1"        # an identity in the place of LayerScale is no step
    assert comparison.cause == "LayerScale is missing: the branches are added as they are"
    module = FAMILIES["attention pooling"][0]().double().eval()
    model = minivit.load(module, dtype="float64")
    module.attn_pool.mlp.act = torch.nn.SiLU()
    comparison = minivit.compare(model, module)
    assert comparison.first_difference == "pool.hidden" and "SiLU" in comparison.cause


def dinov2():
    from transformers import Dinov2Config, Dinov2Model
    return Dinov2Model(Dinov2Config(image_size=24, patch_size=8, hidden_size=24, num_hidden_layers=2,
                                    num_attention_heads=3, mlp_ratio=2, layer_norm_eps=1e-6)), {"layer_scale": True}


def clip():
    from transformers import CLIPVisionConfig, CLIPVisionModel
    return CLIPVisionModel(CLIPVisionConfig(image_size=24, patch_size=8, hidden_size=24, num_hidden_layers=2,
                                            num_attention_heads=3, intermediate_size=48)), {
        "norm_pre": True, "patch_bias": False, "gelu": "quick", "layer_norm_eps": 1e-5}


def siglip():
    from transformers import SiglipVisionConfig, SiglipVisionModel
    return SiglipVisionModel(SiglipVisionConfig(image_size=24, patch_size=8, hidden_size=24, num_hidden_layers=2,
                                                num_attention_heads=3, intermediate_size=48)), {
        "class_token": False, "pool": "map", "gelu": "tanh"}


PARTS = {"dinov2": (dinov2, BRANCHES), "clip": (clip, {"norm_pre"}),
         "siglip": (siglip, {"pool.attended", "pool.norm", "pool.hidden", "pool.mlp"})}


def weights_of(state, name, L=2):
    """{minivit's name: array} of transformers' tensors, by hand: what is judged here are the hooks."""
    def linear(key):
        return {"weight": state[key + ".weight"].T} | ({"bias": state[key + ".bias"]} if key + ".bias" in state else {})

    def norm(key):
        return {part: state[f"{key}.{part}"] for part in ("weight", "bias")}

    def joined(keys):
        parts = [linear(key) for key in keys]
        return {part: np.concatenate([p[part] for p in parts], axis=-1) for part in parts[0]}

    start = next(key for key in state if "embeddings." in key).split("embeddings.")[0]
    kernel = next(key for key in state if key.endswith(("projection.weight", "patch_embedding.weight")))
    proj = {"weight": state[kernel].transpose(2, 3, 1, 0).reshape(-1, 24)}
    if (bias := kernel.replace("weight", "bias")) in state:
        proj["bias"] = state[bias]
    position = next(state[key] for key in state if "position_embedding" in key)
    params = {"patch_embed": {"proj": proj}, "pos_embed": position.reshape(1, -1, 24), "blocks": []}
    if name != "siglip":
        cls = next(state[key] for key in state if key.endswith(("cls_token", "class_embedding")))
        params["cls_token"] = cls.reshape(1, 1, 24)
    if name == "clip":
        params["norm_pre"] = norm(start + "pre_layrnorm")
    for i in range(L):
        layer = next(key for key in state if f".{i}." in key or key.startswith(f"{i}.")).split(f".{i}.")[0] + f".{i}."
        there = {part for part in ("attention.", "attention.attention.", "self_attn.") if any(
            (layer + part + q) in key for key in state for q in ("q_proj", "query"))}
        attn = layer + max(there, key=len)
        q, k, v = ("q_proj", "k_proj", "v_proj") if attn + "q_proj.weight" in state else ("query", "key", "value")
        out = next(layer + o for o in ("attention.o_proj", "attention.output.dense", "self_attn.out_proj")
                   if layer + o + ".weight" in state)
        norms = ("norm1", "norm2") if name == "dinov2" else ("layer_norm1", "layer_norm2")
        block = {"norm1": norm(layer + norms[0]), "norm2": norm(layer + norms[1]),
                 "attn": {"qkv": joined([attn + q, attn + k, attn + v]), "proj": linear(out)},
                 "mlp": {"fc1": linear(layer + "mlp.fc1"), "fc2": linear(layer + "mlp.fc2")}}
        if name == "dinov2":
            block |= {f"ls{n}": {"gamma": state[f"{layer}layer_scale{n}.lambda1"]} for n in (1, 2)}
        params["blocks"].append(block)
    params["norm"] = norm(start + ("layernorm" if name == "dinov2" else "post_layernorm"))
    if name == "siglip":
        head = start + "head."
        qkv, bias = state[head + "attention.in_proj_weight"].T, state[head + "attention.in_proj_bias"]
        params["attn_pool"] = {"latent": state[head + "probe"], "q": {"weight": qkv[:, :24], "bias": bias[:24]},
                               "kv": {"weight": qkv[:, 24:], "bias": bias[24:]},
                               "proj": linear(head + "attention.out_proj"), "norm": norm(head + "layernorm"),
                               "mlp": {"fc1": linear(head + "mlp.fc1"), "fc2": linear(head + "mlp.fc2")}}
    return params


@pytest.mark.parametrize("name", PARTS)
def test_the_modules_of_transformers(name):
    (module, options), more = PARTS[name][0](), PARTS[name][1]
    module = peaked(module, 24).double().eval()
    config = minivit.ViTConfig(**{"patch_size": 8, "width": 24, "num_layers": 2, "mlp_width": 48, "num_heads": 3,
                                  "image_size": 24, "num_classes": 0, **options})
    params = weights_of({key: value.detach().numpy() for key, value in module.state_dict().items()}, name)
    model = minivit.VisionTransformer(config, params)
    x, record = pixels(24), {}
    with contextlib.ExitStack() as stack, torch.no_grad():
        watch = Watch(record, torch)
        for handle in hooks(module, "a format of its own", record, watch):
            stack.callback(handle.remove)
        stack.enter_context(watch)
        output = _output(module(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float64)), module)
        two_tokens(record, output)
    record.setdefault("representation", output)
    comparison = minivit.compare(model, {"pixels": x} | {step: a.numpy() for step, a in record.items()})
    assert comparison.agrees, comparison
    assert more | {"embedded", "layer.0.norm1", "layer.1.attended", "layer.1.residual1", "layer.1.hidden",
                   "layer.1.output", "patch_embedding", "representation"} <= {row.name for row in comparison.rows}
