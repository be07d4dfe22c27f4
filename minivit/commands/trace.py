"""`minivit trace`: every step from pixels to probabilities, with its shape and what it is."""

from . import letters
from .arguments import LOADING, add_device, add_model, model_from, new_command, whole
from .inputs import opened
from .outputs import add_json, check_output, tell_json

DESCRIPTION = """\
Print every named step of one forward pass: its shape, what it is, its mean and its standard deviation. Without IMAGE
it traces the photo that comes with minivit, without --model the packaged model. --variant traces one of the table's
variants with random weights: the shapes are the lesson's own, the numbers mean nothing. Equations are those of the
ViT paper, arXiv 2010.11929.
"""

EXAMPLE = """\
  minivit trace photo.jpg
  minivit trace --variant B/16
  minivit trace photo.jpg -o steps.npz
"""

STEPS = {
    "pixels": "the image, normalised",
    "patches": "cut into patches, each a row of P²C numbers",
    "patch_embedding": "xₚE + bias: a token a patch (eq. 1)",
    "tokens": "the [CLS] token put first (eq. 1)",
    "embedded": "z₀ = tokens + positions (eq. 1)",
    "norm1": "LN(z) (eq. 2)",
    "query": "q, what each token looks for (eq. 5)",
    "key": "k, what each token answers to (eq. 5)",
    "value": "v, what each token hands on (eq. 5)",
    "scores": "q kᵀ / √d (eq. 6)",
    "attention": "A = softmax of each row (eq. 6)",
    "attended": "[A₁v₁ … A_H v_H] U (eq. 7, 8)",
    "residual1": "z' = attended + z (eq. 2)",
    "norm2": "LN(z') (eq. 3)",
    "hidden": "GELU(LN(z') W₁ + b₁)",
    "mlp": "hidden W₂ + b₂",
    "output": "z = mlp + z', the layer's result (eq. 3)",
    "norm": "LN of the last layer's result (eq. 4)",
    "representation": "y, what the image has become (eq. 4)",
    "logits": "yW + b: a score a class",
    "probabilities": "softmax of the logits",
}

# Steps that only the relatives have, and what their heads make of the plain ViT's.
RELATIVES = {
    "norm_pre": "LN of the tokens, before the layers",
    "attended_scaled": "γ₁ attended (LayerScale)",
    "mlp_scaled": "γ₂ mlp (LayerScale)",
    "pool.query": "q of the learned latent, the same for all",
    "pool.key": "k of the normed tokens",
    "pool.value": "v of the normed tokens",
    "pool.scores": "q kᵀ / √d",
    "pool.attention": "A = softmax of the one row",
    "pool.attended": "p = [A₁v₁ … A_H v_H] U",
    "pool.norm": "LN(p)",
    "pool.hidden": "GELU(LN(p) W₁ + b₁)",
    "pool.mlp": "hidden W₂ + b₂",
    "logits_cls": "the first head, of [CLS]",
    "logits_dist": "the second head, of the other token",
}


def add_to(commands):
    """Add `trace` to argparse's sub-parsers."""
    parser = new_command(commands, "trace", run, "print every step from pixels to probabilities", DESCRIPTION, EXAMPLE)
    parser.add_argument("image", nargs="?", metavar="IMAGE",
                        help="an image file, or - for standard input (default: the photo that comes with minivit)")
    add_model(parser)
    parser.add_argument("--variant", metavar="NAME", help="a variant of the table, with random weights: B/16, Ti/16 …")
    parser.add_argument("--num-classes", type=whole, metavar="K",
                        help="0: no head; another number than the model's: a head of zeros (default: the model's; "
                             "with --variant, 1000)")
    parser.add_argument("--seed", type=whole, metavar="N",
                        help="with --variant: decides the random weights (default: 0)")
    parser.add_argument("-o", "--output", metavar="FILE.npz", help="write the arrays, under the steps' names")
    add_json(parser, "the table")
    add_device(parser)


def run(options):
    """Trace, print the table, and write the arrays where asked."""
    _check(options)
    import sys

    from ..errors import plain
    from ..samples import CAT
    from ..tracing import trace
    model, about = _model(options)
    steps = trace(model, model.prepare(CAT if options.image is None else opened(options.image)))
    if options.output:
        write(steps, options.output)
        print(f"wrote {len(steps)} arrays to {plain(options.output)}", file=sys.stderr)
    name = {None: "the photo that comes with minivit", "-": "standard input"}.get(options.image, options.image)
    if options.json != "-":
        print(f"{plain(name)}\n{about}\n")
        _print_table(steps, model.config)
    tell_json(options, {"image": name, "model": model.name, "steps": [
        {"step": step, "shape": list(array.shape), "mean": float(array.mean()), "std": float(array.std())}
        for step, array in steps.items()]})


def describe(step, config=None):
    """What a step of the trace is, in one phrase: "layer.3.query" -> "q, what each token looks for (eq. 5)".

    config: of the model, whose phrases then are a relative's where it is one.
    """
    inner = step if step.startswith("pool.") else step.split(".")[-1]
    return (RELATIVES | STEPS | (_otherwise(config) if config else {}))[inner]


def _otherwise(config):
    """What a relative's steps are, where they are not the plain ViT's."""
    from ..explain.relatives import tokens_before
    before = tokens_before(config)
    found = {} if before == ("[CLS]",) else {"tokens": f"{', '.join(before)} put first" if before else
                                             "the patches' tokens"}
    if config.registers > 1:
        named = [*before[:-config.registers], f"{config.registers} registers"]
        found["tokens"] = f"{', '.join(named)} put first"
    if config.layer_scale:
        found |= {"residual1": "z' = attended_scaled + z (eq. 2)",
                  "output": "z = mlp_scaled + z', the layer's result (eq. 3)"}
    if config.gated_mlp:
        found["hidden"] = "SwiGLU(LN(z') W₁ + b₁)"
    if config.pool == "map":
        found["representation"] = "y = p + mlp"
    elif config.pool == "normed_mean":
        found["representation"] = "y, the mean of the normed tokens"
    elif config.pool == "distilled":
        found |= {"representation": "y, of [CLS] and the distillation token" if config.num_classes else
                  "y, the mean of [CLS] and the other token", "logits": "the mean of both heads' scores"}
    return found


def write(steps, path):
    """The steps as an .npz file under their own names, written atomically."""
    import numpy as np

    from ..checkpoints.atomic import replacing
    from ..engine.devices import to_device
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{name: to_device(array, "cpu") for name, array in steps.items()})


def _check(options):
    if options.model and options.variant:
        raise ValueError("--model has trained weights and --variant random ones: give one of the two")
    if options.seed is not None and not options.variant:
        raise ValueError("--seed goes with --variant: a trained model has its own weights")
    for name in LOADING:
        if name != "image_size" and getattr(options, name) is not None and options.variant:
            raise ValueError(f"--{name.replace('_', '-')} goes with --model: a variant has its own")
    if options.output and not options.output.endswith(".npz"):
        raise ValueError(f"-o writes an .npz file, found the name {options.output!r}")
    for output in (options.output, options.json):
        check_output(output, (options.image, options.model))


def _model(options):
    """The model, and the lines that say what it is."""
    changes = {} if options.image_size is None else {"image_size": options.image_size}
    if not options.variant:
        model = model_from(options, num_classes=options.num_classes)
        return model, repr(model)
    if options.num_classes is not None:
        changes["num_classes"] = options.num_classes
    from ..counting import parameter_count, trace_count
    from ..engine import memory
    from ..training.initial_weights import init
    from ..variants import as_config
    config = as_config(options.variant, **changes)
    memory.check_fits(4 * (parameter_count(config) + trace_count(config)),
                      f"the weights and the trace of {options.variant} at this size")
    model = init(options.variant, seed=options.seed or 0, **changes).to(options.device)
    return model, f"{model!r}\nThe weights are random: the shapes are the variant's, the numbers mean nothing."


def _print_table(steps, config):
    shapes = {name: " x ".join(str(side) for side in array.shape) for name, array in steps.items()}
    phrases = {name: letters.as_printed(describe(name, config)) for name in steps}
    wide = max(map(len, steps)), max(map(len, shapes.values())), max(map(len, phrases.values()))
    print(f"{'step':{wide[0]}}  {'shape':{wide[1]}}  {'what it is':{wide[2]}}  {'mean':>9}  {'std':>9}")
    for name, array in steps.items():
        print(f"{name:{wide[0]}}  {shapes[name]:{wide[1]}}  {phrases[name]:{wide[2]}}  "
              f"{float(array.mean()):9.4f}  {float(array.std()):9.4f}")
