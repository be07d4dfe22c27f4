"""Make minivit/samples/pytorch_gradients.npz: a small ViT's loss and all its gradients, as PyTorch computes them.

    python tests/reference/make_gradients.py

timm's model in float64, with weights that are float32 exactly and make attention peaked; cross-entropy of three random
images; torch's backward pass. Names and shapes are timm's. Chapter 10 holds the reader's own gradients against it.
Needs torch, timm, torchvision.
"""

import json
from functools import partial

import numpy as np
import torch
from make_reference import BATCH, CLASSES, HEADS, HERE, IMAGE, MLP, PATCH, QUERY_KEY_STD, WIDTH, last
from timm_steps import VisionTransformer, peak

LAYERS, SEED = 6, 1
FILE = HERE.parents[1] / "minivit" / "samples" / "pytorch_gradients.npz"


def main():
    """Write the file and print its size."""
    model = VisionTransformer(img_size=IMAGE, patch_size=PATCH, embed_dim=WIDTH, num_heads=HEADS, depth=LAYERS,
                              mlp_ratio=MLP / WIDTH, num_classes=CLASSES,
                              norm_layer=partial(torch.nn.LayerNorm, eps=1e-6))
    model = peak(model, SEED, QUERY_KEY_STD).eval().double()
    images = torch.randn(BATCH, 3, *IMAGE, generator=torch.Generator().manual_seed(SEED)).double()
    labels = torch.tensor([3, 0, 4])
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()

    settings = {"patch_size": PATCH, "width": WIDTH, "num_layers": LAYERS, "mlp_width": MLP, "num_heads": HEADS,
                "num_classes": CLASSES, "image_size": IMAGE}
    arrays = {"settings": json.dumps(settings), "made by": f"torch {torch.__version__}", "images": last(images).numpy(),
              "labels": labels.numpy(), "loss": loss.detach().numpy()}
    for name, weight in model.named_parameters():
        arrays[f"weight:{name}"] = weight.detach().float().numpy()
        arrays[f"gradient:{name}"] = weight.grad.numpy()
    np.savez_compressed(FILE, **arrays)
    print(f"{len(list(model.parameters()))} gradients, {FILE.stat().st_size / 1000:.0f} kB, loss {loss:.3f}")


if __name__ == "__main__":
    main()
