"""Can the tests fail? One fault after another is planted in a copy of the package; the tests must reject each.

    python -m tests.faults [--only TEXT] [--jobs N]

Every fault is a change of one line, many of them seen in other people's Vision Transformers. It is first shown to the
tests of its own section, then, if those let it pass, to all. Exit status 1 where a fault survives, and where the
unchanged copy does not pass.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CHECKS = ("linear", "layer_norm", "softmax", "erf", "gelu", "patch_embedding", "cls_token", "position_embedding",
          "attention", "mlp", "layer", "head", "loss", "config", "tracing", "threads", "model", "gradient_checking",
          "pytorch_reference", "vit", "kernels", "muon", "patch_dropout", "stochastic_depth", "dropped", "rand_augment",
          "heap", "tiles")


@dataclass(frozen=True)
class Fault:
    """In minivit/<module>.py, `old`, which stands there exactly once, becomes `new`. check: the tests to ask first."""

    name: str
    module: str
    old: str
    new: str
    check: str | None = None


FAULTS = [
    # patch embedding
    Fault("patches in column order", "patch_embedding", "return x.reshape(B, rows * columns, P * P * C)",
          "return x.swapaxes(1, 2).reshape(B, rows * columns, P * P * C)"),
    Fault("pixels of a patch transposed", "patch_embedding", "return x.reshape(B, rows * columns, P * P * C)",
          "return x.swapaxes(3, 4).reshape(B, rows * columns, P * P * C)"),
    Fault("patch bias missing", "patch_embedding", 'patches, params["proj"])',
          'patches, params["proj"]); y = y - params["proj"]["bias"]'),
    Fault("pixel gradients left in patch order", "patch_embedding", "return x.reshape(B, rows * P, columns * P, -1)",
          "return patches.reshape(B, rows * P, columns * P, -1)"),
    # [CLS] token
    Fault("[CLS] gradient of the first image only", "cls_token", "dy[:, :1].sum(axis=0, keepdims=True)", "dy[:1, :1]"),
    Fault("[CLS] gradient averaged over the batch", "cls_token", "dy[:, :1].sum(axis=0", "dy[:, :1].mean(axis=0"),
    Fault("[CLS] behind the patches", "cls_token", "[cls, x]", "[x, cls]"),
    # position embedding
    Fault("position gradient averaged over the batch", "position_embedding", '"pos_embed": dy.sum',
          '"pos_embed": dy.mean'),
    Fault("rows and columns swapped in sin-cos", "position_embedding", "in (column, row)]", "in (row, column)]"),
    Fault("sin-cos shifted by one beside [CLS]", "position_embedding", "tokens[len(tokens) - len(table):] = table",
          "tokens[:len(table)] = table"),
    Fault("sin-cos turns float32 to float64", "position_embedding", "np.zeros(x.shape[1:], x.dtype)",
          "np.zeros(x.shape[1:])"),
    # LayerNorm
    Fault("eps 1e-5", "layer_norm", "eps=1e-6", "eps=1e-5"),
    Fault("eps outside the root", "layer_norm", "1.0 / np.sqrt(variance + eps)", "1.0 / (np.sqrt(variance) + eps)"),
    Fault("variance with D - 1", "layer_norm", "variance = (xhat * xhat).mean(axis=-1, keepdims=True)",
          "variance = (xhat * xhat).sum(axis=-1, keepdims=True) / (x.shape[-1] - 1)"),
    Fault("backward of LayerNorm ignores the variance", "layer_norm",
          "dx -= xhat * dxhat.mean(axis=-1, keepdims=True)", "pass"),
    Fault("backward of LayerNorm ignores the mean", "layer_norm",
          "np.subtract(dxhat, dxhat.mean(axis=-1, keepdims=True), out=dx)", "dx[...] = dxhat"),
    # attention
    Fault("heads split without the transpose", "attention", "parts.transpose(2, 0, 3, 1, 4)",
          "parts.transpose(2, 0, 1, 3, 4)"),
    Fault("heads split by a reshape alone", "attention", "parts.transpose(2, 0, 3, 1, 4)",
          "parts.transpose(2, 0, 1, 3, 4).reshape(3, B, num_heads, T, -1)"),
    Fault("keys and queries swapped", "attention", "query, key, value = split_heads(qkv, num_heads)",
          "key, query, value = split_heads(qkv, num_heads)"),
    Fault("scores not scaled", "attention", "s *= 1 / math.sqrt(query.shape[-1])", "pass"),
    Fault("scores scaled by the full width", "attention", "s *= 1 / math.sqrt(query.shape[-1])",
          "s *= 1 / math.sqrt(query.shape[-1] * query.shape[1])"),
    Fault("output projection missing", "attention", 'y, proj_cache = linear.forward(merged, params["proj"])',
          'y, proj_cache = merged.copy(), linear.forward(merged, params["proj"])[1]'),
    Fault("backward never returns through q, k, v", "attention", "dx, dqkv_params = linear.backward(dqkv, qkv_cache)",
          "dx, dqkv_params = np.zeros_like(dy), linear.backward(dqkv, qkv_cache)[1]"),
    Fault("backward returns through v alone", "attention", "ds *= 1 / math.sqrt(q.shape[-1])", "ds *= 0.0"),
    Fault("backward forgets the scale", "attention", "ds *= 1 / math.sqrt(q.shape[-1])", "pass"),
    Fault("gradient of v not transposed", "attention", "np.matmul(a.swapaxes(-1, -2), dheads",
          "np.matmul(a, dheads"),
    Fault("last tile of queries left out", "engine/tiles", "range(0, t, step)", "range(0, t - step + 1, step)"),
    # softmax
    Fault("diagonal softmax Jacobian", "softmax", "(a * da).sum(axis=-1, keepdims=True)", "(a * da)"),
    Fault("maximum over the wrong axis", "softmax", "s.max(axis=-1, keepdims=True)", "s.max(axis=0, keepdims=True)"),
    Fault("no maximum subtracted", "softmax", "np.exp(s - s.max(axis=-1, keepdims=True), out=a)", "np.exp(s, out=a)"),
    Fault("normalised over the queries", "softmax", "a /= a.sum(axis=-1, keepdims=True)", "a /= a.sum(axis=0)"),
    # GELU
    Fault("tanh form for erf", "gelu", 'erf_form if form == "erf" else tanh_form', "tanh_form"),
    Fault("slope of GELU is Φ alone", "gelu", "np.add(distribution, x * density, out=slope)",
          "slope[...] = distribution"),
    Fault("cubic term of the tanh form rounded", "gelu", "TANH_CUBIC = 0.044715", "TANH_CUBIC = 0.0447"),
    Fault("slope of the tanh form lacks the 3", "gelu", "3 * TANH_CUBIC", "TANH_CUBIC"),
    Fault("one digit of erf's coefficients", "engine/erf", "1.13864154151050156e2", "1.13864154151150156e2"),
    # MLP
    Fault("backward skips GELU", "mlp", "gelu.backward(dhidden, gelu_cache, out=dhidden)", "dhidden"),
    Fault("the form of GELU is not passed on", "mlp", "gelu.forward(expanded, form, with_cache,",
          'gelu.forward(expanded, "erf", with_cache,'),
    # layer
    Fault("residual taken after the norm", "layer", "residual += x[:, queries]", "residual += normed[:, queries]"),
    Fault("second norm with the first one's weights", "layer", 'layer_norm.forward(residual, params["norm2"]',
          'layer_norm.forward(residual, params["norm1"]'),
    Fault("backward forgets the MLP's residual", "layer", "dresidual += dy", "pass"),
    Fault("backward bypasses the MLP", "layer", "dx[:, queries] += dresidual", "dx[:, queries] += dy"),
    Fault("a single queries token gives its gradient to all", "layer", "dx[:, queries] += dresidual",
          "dx += dresidual"),
    Fault("queries that nobody asked keep what was there", "attention", "dqkv = np.zeros_like(dmerged",
          "dqkv = np.full_like(dmerged, fill_value=1.0"),
    # head
    Fault("final LayerNorm missing", "head", "layer_norm.forward(pooled, params[name], eps)",
          "layer_norm.forward(pooled, params[name], eps); y = pooled"),
    Fault("[CLS] read from the last place", "head", 'x[:, 0] if pool == "cls"', 'x[:, -1] if pool == "cls"'),
    Fault("[CLS] averaged in with the patches", "head", "x[:, int(class_token):].mean(axis=1)", "x.mean(axis=1)"),
    Fault("mean's gradient divided by T", "head", "/ (shape[1] - first)", "/ shape[1]"),
    Fault("head's eps 1e-5", "head", "eps=1e-6", "eps=1e-5"),
    # loss
    Fault("sign of the loss", "loss", "loss = -(targets", "loss = (targets"),
    Fault("loss summed, not averaged", "loss", ".sum() / len(logits)", ".sum()"),
    Fault("gradient of the loss not divided by B", "loss", "- targets) / len(log_p)", "- targets)"),
    Fault("log-softmax without the maximum", "loss", "logits - logits.max(axis=-1, keepdims=True)", "logits"),
    # linear
    Fault("parameters updated inside backward", "linear", 'dx = product(drows, params["weight"].T)',
          'dx = product(drows, params["weight"].T); params["weight"] -= 1e-3 * (rows.T @ drows)'),
    Fault("bias gradient averaged over the tokens", "linear", "drows.sum(axis=0)", "drows.mean(axis=0)"),
    Fault("sign of the weight gradient", "linear", "product(rows.T, drows)", "-product(rows.T, drows)"),
    Fault("bias missing", "linear", ', params["bias"])', ")"),
    # the whole model
    Fault("backward takes the layers in forward order", "vit", "layer_caches.pop()", "layer_caches.pop(0)",
          "pytorch_reference"),
    Fault("gradients of the layers in reverse order", "vit", "sorted(blocks)", "blocks", "pytorch_reference"),
    Fault("the last layer is left out", "vit", 'zip(layers, params["blocks"], queries_of_layers(config)):',
          'zip(layers, params["blocks"][:-1], queries_of_layers(config)):',
          "pytorch_reference"),
    Fault("the model's eps is not passed on", "vit", "config.num_heads, config.layer_norm_eps,",
          "config.num_heads, 1e-5,", "pytorch_reference"),
    Fault("the model's default eps is 1e-5", "config", "layer_norm_eps: float = 1e-6", "layer_norm_eps: float = 1e-5",
          "pytorch_reference"),
    Fault("gradients of the first thread's images only", "engine/threads",
          "enumerate(summands[1:], start=1)", "enumerate(summands[1:1], start=1)"),
    Fault("gradients of each thread's last images only", "engine/threads",
          "_added(self.own[key], part) if key in self.own else part", "part"),
    Fault("the thread that is done first comes first in the sum", "engine/threads",
          "summands.pop(i) for i in range(self.threads)", "summands.pop(i) for i in list(summands)"),
    Fault("columns of a product left out", "engine/threads", "out=y[:, part]", "out=y[:, :part.stop - part.start]"),
    Fault("heaps keep all that is free", "engine/heap", "SLACK = 1 << 20", "SLACK = 1 << 30"),
    Fault("heaps keep nothing", "engine/heap", "KEPT = 32 << 20", "KEPT = 32 << 10"),
    Fault("the user's own limits are overruled", "engine/heap", "if sys.platform != \"linux\" or users or",
          "if sys.platform != \"linux\" or"),
    Fault("the trace reads out before the final norm", "tracing", 'representation = steps["norm"][:, 0]',
          "representation = z[:, 0]"),
    # training
    Fault("Muon's momentum is not used", "training/muon", "np.split(g + self.mu * m, parts", "np.split(g, parts",
          "muon"),
    Fault("Muon takes the momentum without looking ahead", "training/muon", "np.split(g + self.mu * m, parts",
          "np.split(m, parts", "muon"),
    Fault("query, key and value are one matrix", "training/muon", 'parts = 3 if name.endswith("qkv.weight") else 1',
          "parts = 1", "muon"),
    Fault("Muon's decay grows with its step", "training/muon", "w *= 1 - rate * decay",
          "w *= 1 - rate * decay * 0.2 * max(w.shape) ** 0.5", "muon"),
    Fault("the gradient's size stays in Muon's iteration", "training/muon",
          "x = x / (np.sqrt((x * x).sum(axis=(-2, -1), keepdims=True)) + 1e-7)", "x = x / 2", "muon"),
    Fault("four rounds of Newton and Schulz", "training/muon", "ROUNDS = 5", "ROUNDS = 4", "muon"),
    Fault("gradients go to other tokens than those kept", "training/patch_dropout", "dx[images, kept] = dy",
          "dx[:, :dy.shape[1]] = dy", "patch_dropout"),
    Fault("[CLS] can be dropped", "training/patch_dropout", "patches + 1], axis=1)", "patches], axis=1)",
          "patch_dropout"),
    Fault("all images keep the same patches", "training/patch_dropout",
          "rng.random((images, config.num_patches)).argsort",
          "np.tile(rng.random((1, config.num_patches)), (images, 1)).argsort", "patch_dropout"),
    Fault("the first patches are kept", "training/patch_dropout", "argsort(axis=1)[:, :count]",
          "argsort(axis=1)[:, :count] * 0 + np.arange(count)", "patch_dropout"),
    Fault("what a layer adds is not scaled up", "training/stochastic_depth", "added *= scale", "pass",
          "stochastic_depth"),
    Fault("the gradient of a skipped layer is not scaled up", "training/stochastic_depth", "dy[taking] * scale",
          "dy[taking] * 1.0", "stochastic_depth"),
    Fault("the identity is counted twice in the gradient", "training/stochastic_depth", "dpart[:, queries] -= dadded",
          "pass", "stochastic_depth"),
    Fault("the last layer is never skipped", "training/stochastic_depth", "rate * i / max(1, num_layers - 1)",
          "rate * (num_layers - 1 - i) / max(1, num_layers - 1)", "stochastic_depth"),
    Fault("images skip with the probability 1 - p", "training/stochastic_depth", "rng.random((num_layers, images)) >=",
          "rng.random((num_layers, images)) <", "stochastic_depth"),
    Fault("each run of images weighs the same", "model", "share = len(x[chunk]) / len(x)",
          "share = 1 / len(threads.chunks(x))", "dropped"),
    Fault("patches are dropped but their gradient is not moved back", "vit",
          "dtokens = patch_dropout.backward(dtokens, dropout_cache)", "dtokens = dtokens", "dropped"),
    Fault("the magnitude of RandAugment is not used", "training/rand_augment", "(picture, float(m))", "(picture, 0.5)",
          "rand_augment"),
    Fault("only the last operation of RandAugment counts", "training/rand_augment",
          "picture = _FUNCTIONS[place](picture,", "picture = _FUNCTIONS[place](Image.fromarray(images[i]),",
          "rand_augment"),
    # GPU kernels
    Fault("numbers of a kernel's source are doubles", "engine/gpu/recording",
          'f"T({float(x)!r})"', 'f"{float(x)!r}"', "kernels"),
    Fault("a kernel's mean is a sum", "engine/gpu/kernel_source",
          ' / _type_reduce(_in_ind.size() / _out_ind.size())"', '"',
          "kernels"),
    Fault("kernels are made anew for every call", "engine/gpu/kernels",
          "if key not in _programs:", "if True:", "kernels"),
    Fault("a float32 kernel serves float64", "engine/gpu/kernels",
          "return given.dtype, *[", "return None, *[", "kernels"),
    Fault("an array is read after it is overwritten", "engine/gpu/kernels",
          "del self.places[self.initial[place]]", "pass",
          "kernels"),
    Fault("wide arrays are written before narrow ones", "engine/gpu/kernels",
          "key=math.prod)", "key=math.prod, reverse=True)",
          "kernels"),
    Fault("defaults are compiled in", "engine/gpu/kernels", "any(default is not None", "any(False", "kernels"),
    Fault("a branch on a value is taken", "engine/gpu/recording",
          'raise TypeError("a kernel cannot be asked for a number while it is made")', "return True", "kernels"),
    Fault("an array that stands twice is two", "engine/gpu/kernels", "if first < place}", "if first < 0}", "kernels"),
    Fault("comparisons are numbers", "engine/gpu/recording",
          '"bool" if name == "less_equal" else "T"', '"T"', "kernels"),
    # counting and checking
    Fault("final norm not counted", "config", "+ 2 * D + head", "+ head"),
    Fault("q kᵀ counted, A v not", "config", "+ 2 * T * T * D", "+ T * T * D"),
    Fault("the gradient check always says yes", "checking/gradient_checking", "bool(error <= tolerance)", "True"),
    Fault("the gradient check's upstream gradient is ones", "checking/gradient_checking",
          "dy = rng.standard_normal(y.shape)",
          "dy = np.ones(y.shape)", "softmax"),
]

UNCHANGED = Fault("the unchanged copy", "", "", "")

# Runs inside the copy: the package that is imported must be the copy's.
RUNNER = """
import sys, pathlib
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root))
import minivit
if pathlib.Path(minivit.__file__).resolve().parent != (root / "minivit").resolve():
    sys.exit(97)
import pytest
sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE", *sys.argv[2:]]))
"""


def planted(fault, source):
    """The source with the fault in it. Raises ValueError unless the old text stands there exactly once."""
    count = source.count(fault.old)
    if count != 1 or fault.old == fault.new:
        raise ValueError(f"{fault.name}: {fault.old!r} stands {count} times in {fault.module}.py, expected once")
    return source.replace(fault.old, fault.new)


def source_of(fault):
    return (ROOT / "minivit" / f"{fault.module}.py").read_text(encoding="utf-8")


def copy_to(folder):
    """The package and its tests in a folder of their own."""
    for part in ("minivit", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def run_checks(folder, names):
    """The first test that fails in these test files of the copy, or None. Raises RuntimeError where none can run."""
    files = [str(path.relative_to(folder)) for name in names for path in (folder / "tests").rglob(f"test_{name}.py")]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1",
                                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, "-c", RUNNER, str(folder), *files], cwd=folder, env=environment,
                          capture_output=True, text=True, encoding="utf-8", timeout=600)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with status {done.returncode}, not with a failed test:\n{done.stdout[-3000:]}"
                           f"{done.stderr[-2000:]}")
    failed = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - |$)", done.stdout.replace("\\", "/"), re.MULTILINE)
    if bool(done.returncode) != bool(failed):
        raise RuntimeError(f"cannot tell what failed from\n{done.stdout[-3000:]}")
    return failed and failed[1]


def judge(fault):
    """(the test that caught the fault, or None; seconds)."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="minivit-fault-") as name:
        folder = Path(name)
        copy_to(folder)
        first = []
        if fault is not UNCHANGED:
            (folder / "minivit" / f"{fault.module}.py").write_text(planted(fault, source_of(fault)), encoding="utf-8")
            first = [fault.check or fault.module.split("/")[-1]]
        caught = first and run_checks(folder, first)
        caught = caught or run_checks(folder, [name for name in CHECKS if name not in first])
    return caught, time.monotonic() - start


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name or module contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    options = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if options.only in f"{fault.module} {fault.name}"]
    for fault in faults:
        planted(fault, source_of(fault))

    survivors = 0
    start = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        print(f"{'module':18} {'fault':48} {'s':>5}  caught by", flush=True)
        for fault, (caught, seconds) in zip([*faults, UNCHANGED], pool.map(judge, [*faults, UNCHANGED])):
            if fault is UNCHANGED:
                failed, verdict = caught, caught or "nothing: it passes, as it must"
            else:
                survivors += caught is None
                verdict = caught or "NOTHING: the fault survives"
            print(f"{fault.module:18} {fault.name:48} {seconds:5.1f}  {verdict}", flush=True)
    print(f"{len(faults) - survivors} of {len(faults)} faults caught in {time.monotonic() - start:.0f} s")
    return 1 if survivors or failed else 0


if __name__ == "__main__":
    sys.exit(main())
