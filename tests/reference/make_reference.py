"""Make the files beside this one: what timm computes for small models, in float64. Needs torch, timm, torchvision.

    python tests/reference/make_reference.py

Each file holds one model: its settings, weights (float32, exact), images, logits, every step that timm has (of the
first image), and the gradients of the pixels and of every parameter, for a random gradient of the logits or for
cross-entropy. The weights make attention peaked, which is asserted: flat attention hides mistakes.
"""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from timm_steps import GELUTanh, VisionTransformer, peak, run  # noqa: E402

IMAGE, PATCH, WIDTH, HEADS, MLP, CLASSES, BATCH = (8, 10), 2, 12, 2, 20, 5, 3

# minivit's settings that differ from the above and from the default, and what timm calls them.
MODELS = {
    "cls_learned": ({"num_layers": 3}, {}),
    "cls_tanh": ({"num_layers": 2, "gelu": "tanh"}, {"act_layer": GELUTanh}),
    "mean_cross_entropy": ({"num_layers": 2, "pool": "mean"}, {"global_pool": "avg"}),
    "mean_no_cls_no_positions": ({"num_layers": 2, "pool": "mean", "class_token": False, "position": "none"},
                                 {"global_pool": "avg", "class_token": False, "pos_embed": "none"}),
}
QUERY_KEY_STD = 1.4


def make(name, seed):
    settings, timm_settings = MODELS[name]
    model = VisionTransformer(img_size=IMAGE, patch_size=PATCH, embed_dim=WIDTH, num_heads=HEADS,
                              depth=settings["num_layers"], mlp_ratio=MLP / WIDTH, num_classes=CLASSES,
                              norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), **timm_settings)
    model = peak(model, seed, QUERY_KEY_STD).eval().double()
    generator = torch.Generator().manual_seed(seed + 100)
    images = torch.randn(BATCH, 3, *IMAGE, generator=generator).double().requires_grad_()

    logits, steps = run(model, images)
    peaks = [float(a.detach()[:1].max(-1).values.mean()) for n, a in steps.items() if n.endswith(".attention")]
    assert len(peaks) == settings["num_layers"] and all(0.2 <= p <= 0.45 for p in peaks), peaks

    extra = {}
    if name.endswith("cross_entropy"):
        extra["labels"] = torch.tensor([3, 0, 4])
        loss = torch.nn.functional.cross_entropy(logits, extra["labels"])
        extra["loss"] = loss.detach()
    else:
        extra["dlogits"] = torch.randn(logits.shape, generator=generator).double()
        loss = (logits * extra["dlogits"]).sum()
    loss.backward()

    settings = {"patch_size": PATCH, "width": WIDTH, "num_heads": HEADS, "mlp_width": MLP,
                "num_classes": CLASSES, "image_size": IMAGE} | settings
    arrays = {"settings": np.array(json.dumps(settings)), "images": last(images.detach()).float().numpy(),
              "dimages": last(images.grad).numpy(), **{name: a.numpy() for name, a in extra.items()}}
    arrays |= {f"weight:{n}": w.detach().float().numpy() for n, w in model.named_parameters()}
    arrays |= {f"gradient:{n}": w.grad.numpy() for n, w in model.named_parameters()}
    arrays |= {f"step:{n}": a.detach()[:1].numpy() for n, a in steps.items() if n != "logits"}
    arrays["logits"] = logits.detach().numpy()
    np.savez_compressed(HERE / f"{name}.npz", **arrays)
    size = (HERE / f"{name}.npz").stat().st_size
    print(f"{name:26} {len(arrays)} arrays, {size / 1000:.0f} kB, peakedness {', '.join(f'{p:.2f}' for p in peaks)}")


def last(images):
    """(B, 3, H, W) -> (B, H, W, 3)."""
    return images.permute(0, 2, 3, 1).contiguous()


if __name__ == "__main__":
    for seed, name in enumerate(MODELS, start=5):
        make(name, seed)
