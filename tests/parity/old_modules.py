"""Modules with the names and structure of older code: timm 0.4.12, on which DeiT, MAE, MoCo v3 build, and DINO's class.

Written here from what their weights and their published code's interface show: attribute names, the order of calls, and
what each returns. Sizes are a test's.
"""

from functools import partial

import torch
from torch import nn


class Mlp(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        self.drop = nn.Dropout(0.0)

    def forward(self, x):
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class Attention(nn.Module):
    """q, k and v of one tensor; the weights by a softmax of their own. gives_weights: DINO's returns them as well."""

    def __init__(self, width, heads, gives_weights=False):
        super().__init__()
        self.num_heads, self.scale, self.gives_weights = heads, (width // heads) ** -0.5, gives_weights
        self.qkv, self.attn_drop = nn.Linear(width, 3 * width), nn.Dropout(0.0)
        self.proj, self.proj_drop = nn.Linear(width, width), nn.Dropout(0.0)

    def forward(self, x):
        B, T, D = x.shape
        qkv = self.qkv(x).reshape(B, T, 3, self.num_heads, D // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = self.attn_drop(((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1))
        x = self.proj_drop(self.proj((attn @ v).transpose(1, 2).reshape(B, T, D)))
        return (x, attn) if self.gives_weights else x


class Block(nn.Module):
    def __init__(self, width, heads, hidden, norm, gives_weights=False):
        super().__init__()
        self.norm1, self.attn = norm(width), Attention(width, heads, gives_weights)
        self.drop_path, self.norm2, self.mlp = nn.Identity(), norm(width), Mlp(width, hidden)

    def forward(self, x):
        y = self.attn(self.norm1(x))
        x = x + self.drop_path(y[0] if isinstance(y, tuple) else y)
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """timm 0.4.12's knows its grid; DINO's knows one number for each side."""

    def __init__(self, size, patch, width, dino=False):
        super().__init__()
        self.img_size, self.patch_size = (size, patch) if dino else ((size, size), (patch, patch))
        if not dino:
            self.grid_size = (size // patch, size // patch)
        self.num_patches, self.proj = (size // patch) ** 2, nn.Conv2d(3, width, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """timm 0.4.12's, which DeiT's small recipe and MoCo v3 use as it is."""

    def __init__(self, size=24, patch=8, width=24, layers=2, heads=3, hidden=40, classes=5, dino=False):
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.num_classes, self.embed_dim, self.num_features = classes, width, width
        self.patch_embed = PatchEmbed(size, patch, width, dino)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.patch_embed.num_patches + 1, width))
        self.pos_drop = nn.Dropout(0.0)
        blocks = [Block(width, heads, hidden, norm, dino) for _ in range(layers)]
        self.blocks = nn.ModuleList(blocks) if dino else nn.Sequential(*blocks)
        self.norm = norm(width)
        self.head = nn.Linear(width, classes) if classes else nn.Identity()

    def tokens(self, x):
        x = self.patch_embed(x)
        return self.pos_drop(torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed)

    def forward_features(self, x):
        return self.norm(self.blocks(self.tokens(x)))[:, 0]

    def forward(self, x):
        return self.head(self.forward_features(x))


class DeiT(VisionTransformer):
    """timm 0.4.12's whole form: a pre_logits that does nothing, and no distillation head."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.pre_logits, self.head_dist = nn.Identity(), None

    def forward_features(self, x):
        return self.pre_logits(super().forward_features(x))


class MAE(VisionTransformer):
    """MAE's fine-tuning class: global_pool is a bool, and with it fc_norm stands in norm's place."""

    def __init__(self, global_pool=False, **sizes):
        super().__init__(**sizes)
        self.global_pool = global_pool
        if global_pool:
            self.fc_norm = self.norm
            del self.norm

    def forward_features(self, x):
        x = self.tokens(x)
        for block in self.blocks:
            x = block(x)
        return self.fc_norm(x[:, 1:, :].mean(dim=1)) if self.global_pool else self.norm(x)[:, 0]


class MoCo(VisionTransformer):
    """MoCo v3's: positions are a parameter that is not trained, nor is the patch embedding."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.pos_embed.requires_grad = False
        self.patch_embed.proj.weight.requires_grad = False


class DINO(VisionTransformer):
    """DINO's own: a list of blocks, attention that returns its weights, and no head in the forward pass."""

    def __init__(self, **sizes):
        super().__init__(dino=True, **{"classes": 0, **sizes})

    def forward(self, x):
        x = self.tokens(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]
