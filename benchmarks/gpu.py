"""Speed on a GPU: minivit on CuPy beside PyTorch eager, the same network and images, in one run. `make gpu` prints it.

CUPY_TF32=1 in the environment lets the matrix products of both use TF32; without it neither does. PyTorch's network is
timm's where timm is installed, else torchvision's. `--device cpu` tries the script itself where there is no GPU.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

import minivit
from minivit import gelu, layer_norm, softmax
from minivit.commands.info import gpu_lines
from minivit.engine import tiles
from minivit.engine.devices import cupy, to_device
from minivit.training.augmentation import smooth
from minivit.training.data import LabelledImages
from minivit.training.loop import train
from minivit.training.optimiser import AdamW, clip
from minivit.training.recipe import Recipe

TF32 = os.environ.get("CUPY_TF32") == "1"
RATE, DECAY, LARGEST = 1e-4, 0.05, 1.0


def main():
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--variant", default="B/16", choices=tuple(minivit.VARIANTS))
    parser.add_argument("--batch", type=int, default=64, metavar="IMAGES")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed rounds, the two in turns")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = TF32

    library, module = torch_network(minivit.VARIANTS[options.variant])
    model = minivit.load(module).to(options.device)
    module = module.to(options.device)
    x, labels = batch(model.config, options.batch)
    print_heading(options, library)
    print_agreement(model, module, x)

    title = f"{options.variant}, {options.batch} images"
    print(f"{'':34}{'minivit':>12}{'PyTorch':>12}{'ratio':>8}   milliseconds, median of {options.rounds}")
    for name, mine, theirs in ((f"{title}, forward", *forwards(model, module, x)),
                               (f"{title}, training step", *training_steps(model, module, x, labels))):
        a, b = in_turns(mine, theirs, options)
        print(f"{name:34}{1e3 * a:12.2f}{1e3 * b:12.2f}{a / b:8.2f}")
    print_chains(model, options)
    print(f"packaged model's training: {packaged_training(options.device):,.0f} images per second")


def torch_network(config):
    """(library's name, PyTorch's Vision Transformer of this config with random weights)."""
    size, P, D = config.height_width[0], config.patch_size, config.width
    torch.manual_seed(0)
    try:
        from timm.models.vision_transformer import VisionTransformer
        return "timm", VisionTransformer(img_size=size, patch_size=P, embed_dim=D, depth=config.num_layers,
                                         num_heads=config.num_heads, mlp_ratio=config.mlp_width / D)
    except ImportError:
        from torchvision.models import VisionTransformer
        return "torchvision", VisionTransformer(size, P, config.num_layers, config.num_heads, D, config.mlp_width)


def batch(config, count):
    """Random images (B, H, W, 3) and class numbers (B,) on the host."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, *config.height_width, 3), np.float32),
            rng.integers(0, config.num_classes, count))


def forwards(model, module, x):
    """The two forward passes, as functions to time, their input already in place."""
    mine, theirs = to_device(x, model.device), torch_images(module, x)

    @torch.no_grad()
    def torch_forward():
        return module.eval()(theirs)

    return lambda: model(mine), torch_forward


def training_steps(model, module, x, labels):
    """The two training steps: forward, cross-entropy, backward, clipping, AdamW."""
    mine, theirs = to_device(x, model.device), torch_images(module, x)
    targets = to_device(smooth(labels, model.config.num_classes, 0.0), model.device)
    torch_labels = torch.from_numpy(labels).to(theirs.device)
    optimiser = AdamW.for_params(model.params)
    torch_optimiser = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY)

    def step():
        _, grads = model.loss_and_gradients(mine, targets)
        optimiser.step(model.params, clip(grads, LARGEST)[0], RATE, DECAY)

    def torch_step():
        torch_optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module.train()(theirs), torch_labels).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), LARGEST)
        torch_optimiser.step()

    return step, torch_step


def print_chains(model, options):
    """Each chain as the few kernels that `fused` makes of it, beside one kernel a NumPy call: what fusing gains."""
    c, B = model.config, options.batch
    rng = np.random.default_rng(0)
    tokens, hidden, scores, weight = (to_device(rng.standard_normal(shape, np.float32), options.device) for shape in (
        (B, c.num_tokens, c.width), (B, c.num_tokens, c.mlp_width), (B, c.num_heads, c.num_tokens, c.num_tokens),
        (c.width, c.mlp_width)))
    params = {"a.weight": weight}
    norm, optimiser = model.params["blocks"][0]["norm1"], AdamW.for_params(params)
    _, norm_cache = layer_norm.forward(tokens, norm)
    _, weights = softmax.forward(scores)
    print(f"\n{'':34}{'fused':>12}{'by call':>12}{'ratio':>8}   milliseconds, median of {options.rounds}")
    for name, chain in {
        "GELU": lambda: gelu.forward(hidden, c.gelu, with_cache=False),
        "GELU and its slope": lambda: gelu.forward(hidden, c.gelu),
        "softmax": lambda: softmax.forward(scores), "softmax, backward": lambda: softmax.backward(scores, weights),
        "LayerNorm": lambda: layer_norm.forward(tokens, norm),
        "LayerNorm, backward": lambda: layer_norm.backward(tokens, norm_cache),
        "AdamW, one matrix": lambda: optimiser.step(params, params, RATE, DECAY),
    }.items():
        a, b = in_turns(chain, partial(chain), options, around_theirs=one_kernel_a_call)
        print(f"{name:34}{1e3 * a:12.3f}{1e3 * b:12.3f}{a / b:8.2f}")
    print()


def one_kernel_a_call():
    """Inside this context, a chain is one kernel a NumPy call."""
    return patch.object(tiles, "fused", lambda function, *arrays: function(*arrays))


def in_turns(mine, theirs, options, around_theirs=nullcontext):
    """Median seconds of each, timed in turns, so that a machine that slows down slows both. The GPU has no work left
    when a clock starts or stops; what has to be around theirs is there before."""
    wait = cupy().cuda.runtime.deviceSynchronize if options.device == "cuda" else lambda: None
    times = {mine: [], theirs: []}
    for round_number in range(options.rounds + 2):
        for function, seconds in times.items():
            with around_theirs() if function is theirs else nullcontext():
                wait()
                started = time.perf_counter()
                function()
                wait()
                stopped = time.perf_counter()
            if round_number >= 2:                                        # the first two compile kernels and fill pools
                seconds.append(stopped - started)
    if options.device == "cuda":
        cupy().get_default_memory_pool().free_all_blocks()
        torch.cuda.empty_cache()
    return [statistics.median(seconds) for seconds in times.values()]


def packaged_training(device, copies=128):
    """Images per second of `minivit train` at the packaged model's size, augmentation on the host included."""
    thumbnails, labels = minivit.samples.cifar10_test()
    count = copies * len(thumbnails) if device == "cuda" else 2 * len(thumbnails)
    places = np.arange(count) % len(thumbnails)
    data = LabelledImages(np.asarray(thumbnails)[places], np.asarray(labels)[places],
                          [str(k) for k in range(10)], [str(i) for i in range(count)])
    recipe = Recipe(epochs=2, batch_size=128 if device == "cuda" else 32, held_out=0)
    with tempfile.TemporaryDirectory() as folder:
        train(data, minivit.load().config, recipe, folder, device=device, progress=False)
        header, *rows = Path(folder, "log.csv").read_text("utf-8").splitlines()
    return float(rows[-1].split(",")[header.split(",").index("images_per_second")])


def torch_images(module, x):
    """Images (B, H, W, 3) as PyTorch has them: (B, 3, H, W), on the module's device."""
    device = next(module.parameters()).device
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)


def print_heading(options, library):
    """Where and with what this was measured."""
    print(f"{date.today()}, {platform.system()} {platform.machine()}, float32, TF32 {'on' if TF32 else 'off'}")
    for line in gpu_lines() if options.device == "cuda" else ["on the CPU, to try the script"]:
        print(line)
    print(f"minivit {minivit.__version__}, NumPy {np.__version__}, PyTorch {torch.__version__}, "
          f"{library}'s network\n")


def print_agreement(model, module, x):
    """The two networks' logits for the first two images: the same weights must give the same numbers."""
    mine = to_device(model(to_device(x[:2], model.device)), "cpu")
    with torch.no_grad():
        theirs = module.eval()(torch_images(module, x[:2])).cpu().numpy()
    print(f"logits differ by {np.linalg.norm(mine - theirs) / np.linalg.norm(theirs):.1e} of their norm\n")


if __name__ == "__main__":
    main()
