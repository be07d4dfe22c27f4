"""Make muon.npz: eight steps of torch.optim.Muon and torch.optim.AdamW in float64, on a layer and what is around it.

torch runs Muon's iteration in bfloat16, whatever the parameters are; here it is kept in float64, so that the result can
be compared to the last digits. Its momentum is an average, (1 - μ) times ours: the size of a gradient cancels. What is
left of it is an epsilon beside the norm, which is 0 here and 1e-7 in the package; the gradients are large enough that
it does not show. Query, key and value are parameters of their own.

Needs torch: python tests/reference/make_muon.py
"""

from pathlib import Path
from unittest import mock

import numpy as np
import torch

STEPS, DECAY, MOMENTUM, D = 8, 0.1, 0.95, 6
SHAPES = {"blocks.0.attn.qkv.weight": (D, 3 * D), "blocks.0.attn.qkv.bias": (3 * D,),
          "blocks.0.attn.proj.weight": (D, D), "blocks.0.norm1.weight": (D,), "blocks.0.mlp.fc1.weight": (D, 10),
          "blocks.0.mlp.fc2.weight": (10, D), "head.weight": (D, 3), "cls_token": (1, 1, D)}
MATRICES = ("qkv.weight", "proj.weight", "fc1.weight", "fc2.weight")


def main():
    """Write the start, the gradients and rates of every step, and the parameters after every step."""
    rng = np.random.default_rng(0)
    arrays = {"rates": rng.uniform(1e-3, 1e-1, STEPS), "decay": DECAY}
    parts = {}
    for name, shape in SHAPES.items():
        arrays[f"start/{name}"] = rng.standard_normal(shape)
        arrays[f"grads/{name}"] = 1e7 * rng.standard_normal((STEPS, *shape))
        count = 3 if name.endswith("qkv.weight") else 1
        # torch's tensors would share the memory of the arrays that are stored.
        parts[name] = [torch.tensor(part.copy(), requires_grad=True)
                       for part in np.split(arrays[f"start/{name}"], count, axis=-1)]
    of_muon = [name for name in SHAPES if name.endswith(MATRICES)]
    muon = torch.optim.Muon([p for name in of_muon for p in parts[name]], weight_decay=DECAY, momentum=MOMENTUM,
                            eps=0.0, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([
        {"params": parts["head.weight"], "weight_decay": DECAY},
        {"params": [p for name in SHAPES if name not in (*of_muon, "head.weight") for p in parts[name]],
         "weight_decay": 0.0}])
    after = {name: [] for name in SHAPES}
    for step in range(STEPS):
        for group in muon.param_groups + adamw.param_groups:
            group["lr"] = float(arrays["rates"][step])
        for name, tensors in parts.items():
            for p, g in zip(tensors, np.split(arrays[f"grads/{name}"][step], len(tensors), axis=-1)):
                p.grad = torch.tensor(g.copy())
        with mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.double):
            muon.step()
        adamw.step()
        for name, tensors in parts.items():
            after[name].append(np.concatenate([p.detach().numpy() for p in tensors], axis=-1))
    arrays |= {f"after/{name}": np.array(values) for name, values in after.items()}
    np.savez_compressed(Path(__file__).parent / "muon.npz", **arrays)


if __name__ == "__main__":
    main()
