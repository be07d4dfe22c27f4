"""timm's network on PyTorch eager with the weights of a minivit model, for `minivit bench`."""

import numpy as np
import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from ..checkpoints.timm import state_dict


class TimmNetwork:
    """Forward, and forward and backward. threads: PyTorch's."""

    library = f"timm {timm.__version__} on torch {torch.__version__}"

    def __init__(self, model, threads):
        torch.set_num_threads(threads)
        c = model.config
        self.module = VisionTransformer(img_size=c.image_size, patch_size=c.patch_size, embed_dim=c.width,
                                        depth=c.num_layers, num_heads=c.num_heads, mlp_ratio=c.mlp_width / c.width,
                                        num_classes=c.num_classes)
        self.module.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in state_dict(model).items()})
        self.module.eval()

    def arranged(self, x, labels):
        """Images (B, 3, H, W) and labels as tensors."""
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), torch.from_numpy(labels)

    def logits(self, x):
        """(B, K) of images (B, H, W, 3), as a NumPy array."""
        return self.forward(*self.arranged(x, np.zeros(len(x), int))).numpy()

    def forward(self, x, labels):
        """Logits (B, K)."""
        with torch.inference_mode():
            return self.module(x)

    def train(self, x, labels):
        """Forward, cross-entropy, backward."""
        self.module.zero_grad()
        torch.nn.functional.cross_entropy(self.module(x), labels).backward()
