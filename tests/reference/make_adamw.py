"""Make adamw.npz: twelve steps of torch.optim.AdamW in float64, and torch's cross-entropy with label smoothing.

Needs torch: python tests/reference/make_adamw.py
"""

from pathlib import Path

import numpy as np
import torch

STEPS, DECAY, SMOOTHING = 12, 0.05, 0.1
SHAPES = {"head.weight": (3, 4), "head.bias": (4,), "norm.weight": (3,), "pos_embed": (1, 2, 3)}
DECAYED = ("head.weight",)


def main():
    """Write the start, the gradients and rates of every step, and the parameters after every step."""
    rng = np.random.default_rng(0)
    arrays = {"rates": rng.uniform(1e-3, 1e-1, STEPS), "decay": DECAY}
    params = {}
    for name, shape in SHAPES.items():
        arrays[f"start/{name}"] = rng.standard_normal(shape)
        # Sizes from 1e-9 up: epsilon, and where it stands beside the root, shows only beside small gradients.
        arrays[f"grads/{name}"] = rng.standard_normal((STEPS, *shape)) * 10 ** rng.uniform(-9, 1, shape)
        params[name] = torch.tensor(arrays[f"start/{name}"], requires_grad=True)
    optimiser = torch.optim.AdamW([
        {"params": [p for name, p in params.items() if name in DECAYED], "weight_decay": DECAY},
        {"params": [p for name, p in params.items() if name not in DECAYED], "weight_decay": 0.0}])
    after = {name: [] for name in params}
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = float(arrays["rates"][step])
        for name, p in params.items():
            p.grad = torch.tensor(arrays[f"grads/{name}"][step])
        optimiser.step()
        for name, p in params.items():
            after[name].append(p.detach().numpy().copy())
    arrays |= {f"after/{name}": np.array(values) for name, values in after.items()}

    logits, labels = 2 * rng.standard_normal((5, 7)), rng.integers(0, 7, 5)
    smoothed = torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels), label_smoothing=SMOOTHING)
    arrays |= {"logits": logits, "labels": labels, "smoothing": SMOOTHING, "smoothed_loss": smoothed.numpy()}
    np.savez_compressed(Path(__file__).parent / "adamw.npz", **arrays)


if __name__ == "__main__":
    main()
