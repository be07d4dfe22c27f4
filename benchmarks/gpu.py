"""Speed on a GPU: minivit on CuPy beside PyTorch eager, the same network and images, in one run. `make gpu` prints it.

CUPY_TF32=1 in the environment lets the matrix products of both use TF32; without it neither does. PyTorch's network is
timm's where timm is installed, else torchvision's; without PyTorch, minivit is measured alone. `--device cpu` tries
the script itself where there is no GPU. With `--results`, each figure is also printed as "RESULT " and a JSON object as
soon as it is there.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from contextlib import ExitStack, nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np

import minivit
from minivit import attention, gelu, head, layer_norm, linear, mlp, patch_embedding, softmax
from minivit.commands.info import gpu, gpu_lines
from minivit.engine import tiles
from minivit.engine.devices import cupy, to_device
from minivit.training.augmentation import smooth
from minivit.training.data import LabelledImages
from minivit.training.loop import train
from minivit.training.optimiser import AdamW, clip
from minivit.training.recipe import Recipe

try:
    import torch
except ImportError:
    torch = None

TF32 = os.environ.get("CUPY_TF32") == "1"
RATE, DECAY, LARGEST = 1e-4, 0.05, 1.0


def main():
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--variant", default="B/16", choices=tuple(minivit.VARIANTS))
    parser.add_argument("--batch", type=int, default=64, metavar="IMAGES")
    parser.add_argument("--copies", type=int, default=128, metavar="N", help="of the 100 samples, to train on")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="timed rounds, the two in turns")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try the script")
    parser.add_argument("--results", action="store_true", help="print each figure as a JSON object too")
    options = parser.parse_args()
    config = minivit.VARIANTS[options.variant]
    if options.tiny:
        config = minivit.ViTConfig(patch_size=4, width=16, num_layers=2, mlp_width=16, num_heads=2, image_size=8)
        options.variant, options.copies = "tiny", 1
    library, module = torch_network(config)
    model = (minivit.load(module) if module else minivit.init(config)).to(options.device)
    x, labels = batch(model.config, options.batch)
    print_heading(options, library)
    if module:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = TF32
        module = module.to("cuda" if options.device == "cuda" and torch.cuda.is_available() else "cpu")
        print_agreement(model, module, x, options)

    title = f"{options.variant}, {options.batch} images"
    print(f"{'':34}{'minivit':>12}{'PyTorch':>12}{'ratio':>8}   milliseconds, median of {options.rounds}")
    for name, pair in ((f"{title}, forward", forwards), (f"{title}, training step", training_steps)):
        print_pair(name, *pair(model, module, x, labels), options, digits=2)
    print(f"\n{'':34}{'fused':>12}{'by call':>12}{'ratio':>8}   milliseconds, median of {options.rounds}")
    for name, chain in chains(model, options).items():
        print_pair(name, chain, partial(chain), options, around_theirs=one_kernel_a_call)
    print_profile(model, x, labels, options)
    speed = packaged_training(options.device, options.copies)
    print(f"packaged model's training: {speed:,.0f} images per second")
    result(options, what="packaged model's training", images_per_second=speed)


def print_pair(name, mine, theirs, options, digits=3, **around):
    """A row: both timed in turns. theirs: None where there is nothing to compare with."""
    a, b = (1e3 * seconds if seconds else None for seconds in in_turns(mine, theirs, options, **around))
    other = f"{'-':>12}{'-':>8}" if b is None else f"{b:12.{digits}f}{a / b:8.2f}"
    print(f"{name:34}{a:12.{digits}f}{other}", flush=True)
    result(options, what=name, milliseconds=a, other_milliseconds=b, ratio=b and a / b)


def result(options, **found):
    """One figure for a program to read."""
    if options.results:
        print("RESULT " + json.dumps({**found, "tf32": TF32}), flush=True)


def torch_network(config):
    """(library's name, PyTorch's Vision Transformer of this config with random weights), or two Nones without it."""
    if torch is None:
        return None, None
    size, P, D = config.height_width[0], config.patch_size, config.width
    torch.manual_seed(0)
    try:
        from timm.models.vision_transformer import VisionTransformer
        return "timm", VisionTransformer(img_size=size, patch_size=P, embed_dim=D, depth=config.num_layers,
                                         num_heads=config.num_heads, mlp_ratio=config.mlp_width / D)
    except (ImportError, RuntimeError) as error:                         # RuntimeError: a torchvision for another torch
        print(f"timm cannot be used: {error}")
    try:
        from torchvision.models import VisionTransformer
        return "torchvision", VisionTransformer(size, P, config.num_layers, config.num_heads, D, config.mlp_width)
    except (ImportError, RuntimeError) as error:
        print(f"nor can torchvision: {error}")
        return None, None


def batch(config, count):
    """Random images (B, H, W, 3) and class numbers (B,) on the host."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, *config.height_width, 3), np.float32),
            rng.integers(0, config.num_classes, count))


def forwards(model, module, x, _labels):
    """The two forward passes, as functions to time, their input already in place."""
    mine = to_device(x, model.device)
    theirs = module and torch_images(module, x)

    def torch_forward():
        with torch.no_grad():
            return module.eval()(theirs)

    return lambda: model(mine), module and torch_forward


def training_steps(model, module, x, labels):
    """The two training steps: forward, cross-entropy, backward, clipping, AdamW."""
    mine = to_device(x, model.device)
    targets = to_device(smooth(labels, model.config.num_classes, 0.0), model.device)
    optimiser = AdamW.for_params(model.params)

    def step():
        _, grads = model.loss_and_gradients(mine, targets)
        optimiser.step(model.params, clip(grads, LARGEST)[0], RATE, DECAY)

    if module is None:
        return step, None
    theirs = torch_images(module, x)
    torch_labels = torch.from_numpy(labels).to(theirs.device)
    torch_optimiser = torch.optim.AdamW(module.parameters(), lr=RATE, weight_decay=DECAY)

    def torch_step():
        torch_optimiser.zero_grad()
        torch.nn.functional.cross_entropy(module.train()(theirs), torch_labels).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), LARGEST)
        torch_optimiser.step()

    return step, torch_step


def chains(model, options):
    """{name: a function to time} of each chain that `fused` makes a few kernels of."""
    c, B = model.config, options.batch
    rng = np.random.default_rng(0)
    tokens, hidden, scores, weight = (to_device(rng.standard_normal(shape, np.float32), options.device) for shape in (
        (B, c.num_tokens, c.width), (B, c.num_tokens, c.mlp_width), (B, c.num_heads, c.num_tokens, c.num_tokens),
        (c.width, c.mlp_width)))
    params = {"a.weight": weight}
    norm, optimiser = model.params["blocks"][0]["norm1"], AdamW.for_params(params)
    _, norm_cache = layer_norm.forward(tokens, norm)
    _, weights = softmax.forward(scores)
    return {
        "GELU": lambda: gelu.forward(hidden, c.gelu, with_cache=False),
        "GELU and its slope": lambda: gelu.forward(hidden, c.gelu),
        "softmax": lambda: softmax.forward(scores), "softmax, backward": lambda: softmax.backward(scores, weights),
        "LayerNorm": lambda: layer_norm.forward(tokens, norm),
        "LayerNorm, backward": lambda: layer_norm.backward(tokens, norm_cache),
        "AdamW, one matrix": lambda: optimiser.step(params, params, RATE, DECAY),
    }


def one_kernel_a_call():
    """Inside this context, a chain is one kernel a NumPy call."""
    return patch.object(tiles, "fused", lambda function, *arrays: function(*arrays))


def in_turns(mine, theirs, options, around_theirs=nullcontext):
    """Median seconds of each, timed in turns, so that a machine that slows down slows both; None for no `theirs`. The
    GPU has no work left when a clock starts or stops; what has to be around theirs is there before."""
    wait = waiting(options)
    times = {mine: [], theirs: []} if theirs else {mine: []}
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
        if torch:
            torch.cuda.empty_cache()
    return [statistics.median(times[function]) if function else None for function in (mine, theirs)]


def waiting(options):
    """A function that returns once the GPU has nothing left to do."""
    return cupy().cuda.runtime.deviceSynchronize if options.device == "cuda" else lambda: None


SECTIONS = (attention, gelu, head, layer_norm, linear, mlp, patch_embedding, softmax)


def print_profile(model, x, labels, options):
    """Where a training step's time goes.

    By phase: until its calls have returned, which is what starting kernels costs, and until the GPU has done them.
    Where the two are nearly equal, the GPU waits for Python. By section: its own time, without the sections that it
    calls, the GPU's work waited for before and after each, which makes a step longer than it is.
    """
    wait = waiting(options)
    mine = to_device(x, model.device)
    targets = to_device(smooth(labels, model.config.num_classes, 0.0), model.device)
    optimiser, kept = AdamW.for_params(model.params), {}
    phases = {
        "forward, backward": lambda: kept.update(grads=model.loss_and_gradients(mine, targets)[1]),
        "clipping": lambda: kept.update(clipped=clip(kept["grads"], LARGEST)[0]),
        "AdamW": lambda: optimiser.step(model.params, kept["clipped"], RATE, DECAY),
    }
    times = {name: [] for name in phases}
    for _ in range(options.rounds + 2):
        for name, phase in phases.items():
            wait()
            started = time.perf_counter()
            phase()
            called = time.perf_counter()
            wait()
            times[name].append((called - started, time.perf_counter() - started))
    print(f"\n{'':34}{'calls':>12}{'done':>12}           milliseconds, median of {options.rounds}")
    for name, pairs in times.items():
        called, done = (1e3 * statistics.median(part) for part in zip(*pairs[2:]))
        print(f"{name:34}{called:12.2f}{done:12.2f}")
        result(options, what=f"a step's {name}", milliseconds_until_called=called, milliseconds=done)

    own, inside = {}, [0.0]
    with ExitStack() as patches:
        for section in SECTIONS:
            for way in ("forward", "backward"):
                name = f"{section.__name__.rpartition('.')[2]}, {way}"
                patches.enter_context(patch.object(section, way, timed(getattr(section, way), name, own, inside, wait)))
        model.loss_and_gradients(mine, targets)
    print(f"\n{'':34}{'own time':>12}{'calls':>12}           milliseconds")
    for name, (seconds, calls) in sorted(own.items(), key=lambda item: -item[1][0]):
        print(f"{name:34}{1e3 * seconds:12.2f}{calls:12}")
    result(options, what="own milliseconds of each section", sections={
        name: {"milliseconds": 1e3 * seconds, "calls": calls} for name, (seconds, calls) in own.items()})
    print(flush=True)


def timed(function, name, own, inside, wait):
    """The function, its own seconds and its calls added to own[name]. inside: seconds in callees, innermost last."""
    def call(*args, **keywords):
        wait()
        started = time.perf_counter()
        inside.append(0.0)
        try:
            return function(*args, **keywords)
        finally:
            wait()
            whole, callees = time.perf_counter() - started, inside.pop()
            seconds, calls = own.get(name, (0.0, 0))
            own[name] = (seconds + whole - callees, calls + 1)
            inside[-1] += whole
    return call


def packaged_training(device, copies):
    """Images per second of `minivit train` at the packaged model's size, augmentation on the host included."""
    thumbnails, labels = minivit.samples.cifar10_test()
    count = copies * len(thumbnails)
    places = np.arange(count) % len(thumbnails)
    data = LabelledImages(np.asarray(thumbnails)[places], np.asarray(labels)[places],
                          [str(k) for k in range(10)], [str(i) for i in range(count)])
    recipe = Recipe(epochs=2, batch_size=min(128, count), held_out=0)
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
    for line in gpu_lines(gpu()) if options.device == "cuda" else ["on the CPU, to try the script"]:
        print(line)
    print(f"minivit {minivit.__version__}, NumPy {np.__version__}, "
          + (f"PyTorch {torch.__version__}, {library}'s network\n" if library else "no PyTorch to compare with\n"))
    result(options, machine=gpu_lines(gpu()) if options.device == "cuda" else ["CPU"], numpy=np.__version__,
           pytorch=torch and torch.__version__, network=library)


def print_agreement(model, module, x, options):
    """The two networks' logits for the first two images: the same weights must give the same numbers."""
    mine = to_device(model(to_device(x[:2], model.device)), "cpu")
    with torch.no_grad():
        theirs = module.eval()(torch_images(module, x[:2])).cpu().numpy()
    difference = float(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs))
    print(f"logits differ by {difference:.1e} of their norm\n")
    result(options, what="relative difference of the logits", value=difference)


if __name__ == "__main__":
    main()
