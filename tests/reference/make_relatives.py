"""Make relatives.npz beside this file: what timm computes for small relatives, in float64. Needs torch and timm.

    python tests/reference/make_relatives.py

For each family: minivit's settings, weights (float32, exact), images, a gradient of the result, the result, and the
gradients of the pixels and of every parameter. Attention is peaked, which is asserted: flat attention hides mistakes.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import timm_steps  # noqa: E402 - it declares what torchvision wants before timm is imported
from timm.layers import GELUTanh, SwiGLUPacked  # noqa: E402
from timm.layers.activations import QuickGELU  # noqa: E402
from timm.models.deit import VisionTransformerDistilled  # noqa: E402
from timm.models.vision_transformer import VisionTransformer  # noqa: E402

IMAGE, PATCH, WIDTH, LAYERS, HEADS, MLP, CLASSES, BATCH = (8, 10), 2, 12, 2, 2, 20, 5, 2
QUERY_KEY_STD = 1.4

# minivit's settings that differ from the plain ViT's, and what timm calls them.
FAMILIES = {
    "distilled": ({"dist_token": True, "pool": "distilled"}, {}),
    "registers": ({"layer_scale": True, "registers": 3, "prefix_positions": False},
                  {"init_values": 1e-5, "reg_tokens": 3, "no_embed_class": True}),
    "giant": ({"layer_scale": True, "gated_mlp": True, "num_classes": 0},
              {"init_values": 1e-5, "mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU, "num_classes": 0,
               "mlp_ratio": 2 * MLP / WIDTH}),
    "siglip": ({"class_token": False, "pool": "map", "gelu": "tanh", "num_classes": 0},
               {"class_token": False, "global_pool": "map", "act_layer": GELUTanh, "num_classes": 0}),
    "map": ({"pool": "map"}, {"global_pool": "map"}),
    "clip": ({"norm_pre": True, "patch_bias": False, "gelu": "quick", "layer_norm_eps": 1e-5},
             {"pre_norm": True, "act_layer": QuickGELU, "norm_layer": partial(torch.nn.LayerNorm, eps=1e-5)}),
    "normed_mean": ({"pool": "normed_mean", "class_token": False},
                    {"global_pool": "avg", "class_token": False, "fc_norm": False}),
    "no_qkv_bias": ({"qkv_bias": False}, {"qkv_bias": False}),
}


def drawn(model, seed):
    """timm_steps.peak's weights, and tokens, LayerScale and attention pooling's maps of a size that matters."""
    timm_steps.peak(model, seed, QUERY_KEY_STD)
    generator = torch.Generator().manual_seed(seed + 50)
    stds = {"dist_token": 1.0, "reg_token": 1.0, "attn_pool.latent": 1.5, "gamma": 0.7, "attn_pool.q.weight": 0.5,
            "attn_pool.kv.weight": 0.4}
    with torch.no_grad():
        for name, weight in model.named_parameters():
            std = next((std for ending, std in stds.items() if name.endswith(ending)), None)
            if std is not None:
                weight.copy_(std * torch.randn(weight.shape, generator=generator))
    return model


def make(name, seed):
    settings, options = FAMILIES[name]
    kind = VisionTransformerDistilled if name == "distilled" else VisionTransformer
    options = {"img_size": IMAGE, "patch_size": PATCH, "embed_dim": WIDTH, "num_heads": HEADS, "depth": LAYERS,
               "mlp_ratio": MLP / WIDTH, "num_classes": CLASSES, **options}
    model = drawn(kind(**options), seed).eval().double()
    peaks = []
    for part in model.modules():
        if hasattr(part, "fused_attn"):
            part.fused_attn = False
        if hasattr(part, "attn_drop"):
            part.attn_drop.register_forward_hook(
                lambda _, inputs, a: peaks.append(float(a.detach().max(-1).values.mean())))
    generator = torch.Generator().manual_seed(seed + 100)
    images = torch.randn(BATCH, 3, *IMAGE, generator=generator).double().requires_grad_()
    result = model(images)
    assert len(peaks) >= LAYERS and all(0.2 <= p <= 0.6 for p in peaks), (name, peaks)
    dresult = torch.randn(result.shape, generator=generator).double()
    (result * dresult).sum().backward()
    settings = {"patch_size": PATCH, "width": WIDTH, "num_layers": LAYERS, "num_heads": HEADS, "mlp_width": MLP,
                "num_classes": CLASSES, "image_size": IMAGE} | settings
    arrays = {"settings": np.array(json.dumps(settings)), "images": last(images.detach()).float().numpy(),
              "dimages": last(images.grad).numpy(), "result": result.detach().numpy(), "dresult": dresult.numpy()}
    arrays |= {f"weight:{n}": w.detach().float().numpy() for n, w in model.named_parameters()}
    arrays |= {f"gradient:{n}": w.grad.numpy() for n, w in model.named_parameters()}
    print(f"{name:12} {len(arrays)} arrays, peakedness {', '.join(f'{p:.2f}' for p in peaks)}")
    return {f"{name}/{key}": array for key, array in arrays.items()}


def last(images):
    """(B, 3, H, W) -> (B, H, W, 3)."""
    return images.permute(0, 2, 3, 1).contiguous()


if __name__ == "__main__":
    arrays = {}
    for seed, name in enumerate(FAMILIES, start=20):
        arrays |= make(name, seed)
    np.savez_compressed(HERE / "relatives.npz", **arrays)
    print(f"{(HERE / 'relatives.npz').stat().st_size / 1000:.0f} kB")
