"""The Vision Transformers of timm, transformers, torchvision and flax, of any size, with peaked random weights."""

import numpy as np
import torch

try:
    # torchvision's wheel wants its compiled operators declared before it is imported on a machine without them.
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for _schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):
        _LIBRARY.define(_schema)
except RuntimeError:
    pass                                # declared already, by torchvision itself or by another test module

B16 = {"size": 224, "patch": 16, "width": 768, "layers": 12, "heads": 12, "mlp": 3072, "classes": 1000}
TINY = {"size": 24, "patch": 8, "width": 24, "layers": 2, "heads": 3, "mlp": 40, "classes": 5}


def timm_vit(size, patch, width, layers, heads, mlp, classes, **options):
    from timm.models.vision_transformer import VisionTransformer
    return peaked(VisionTransformer(img_size=size, patch_size=patch, embed_dim=width, depth=layers, num_heads=heads,
                                    mlp_ratio=mlp / width, num_classes=classes, **options), width)


def hugging_face_vit(size, patch, width, layers, heads, mlp, classes, headless=False, eps=1e-12, **options):
    from transformers import ViTConfig, ViTForImageClassification, ViTModel
    config = ViTConfig(image_size=size, patch_size=patch, hidden_size=width, num_hidden_layers=layers,
                       num_attention_heads=heads, intermediate_size=mlp, num_labels=classes, layer_norm_eps=eps,
                       **options)
    return peaked((ViTModel if headless else ViTForImageClassification)(config), width)


def torchvision_vit(size, patch, width, layers, heads, mlp, classes):
    from torchvision.models import VisionTransformer
    return peaked(VisionTransformer(size, patch, layers, heads, width, mlp, num_classes=classes), width)


LIBRARIES = {"timm": timm_vit, "transformers": hugging_face_vit, "torchvision": torchvision_vit}


def peaked(module, width, seed=0):
    """Random weights in place: q and k with std 1.8/√D, so that attention is peaked; no bias is 0, no scale 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std + mean)

    with torch.no_grad():
        for name, tensor in module.named_parameters():
            queries_and_keys = any(part in name for part in ("qkv.w", "in_proj_w", "q_proj.w", "k_proj.w"))
            if "norm" in name or ".ln" in name:
                normal(tensor, 0.1, 1.0 if name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                normal(tensor, 0.1)
            elif "pos" in name or "cls" in name or "class_token" in name:
                normal(tensor, 0.5)
            elif queries_and_keys:
                normal(tensor, 1.8 / width ** 0.5)
                if tensor.shape[0] == 3 * width:
                    tensor[2 * width:] *= 0.5
            else:
                fan_in = tensor[0].numel() if tensor.ndim else 1
                normal(tensor, 0.65 / fan_in ** 0.5)
    return module.eval()


def pixels(size, count=1, seed=1):
    """Prepared images (B, H, W, 3) in float64: smooth enough to look like one, in [-1, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (count, size // 8 + 1, size // 8 + 1, 3))
    return np.kron(coarse, np.ones((1, 8, 8, 1)))[:, :size, :size]


def relative(ours, theirs):
    """‖ours − theirs‖ / ‖theirs‖."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
