"""`minivit variants`: the table of variants, with what each costs."""

from .arguments import image_size, new_command, positive
from .outputs import add_json, check_output, tell_json

DESCRIPTION = """\
Print every variant of the table: patch side P, width D, layers L, MLP width M, heads H, image side R, tokens T, classes
K, parameters, multiply-adds of one forward pass of one image through all tokens of all layers, and the bytes of its
weights in single and half precision. First the plain ViTs, then their relatives, each at the image size and with the
classes of its weights.
"""

EXAMPLE = """\
  minivit variants
  minivit variants --image-size 384
"""


def add_to(commands):
    """Add `variants` to argparse's sub-parsers."""
    parser = new_command(commands, "variants", run, "the table of variants and what they cost", DESCRIPTION, EXAMPLE)
    parser.add_argument("--image-size", type=image_size, metavar="SIZE",
                        help="pixels, one number or HEIGHTxWIDTH, of every variant (default: its own, mostly 224)")
    parser.add_argument("--num-classes", type=positive, metavar="K", help="classes of every variant (default: its own, "
                                                                           "1000; 0 where there is no head)")
    add_json(parser, "the table")


def run(options):
    """Print the table; a variant whose patches do not divide the image, or are too many, is left out, and said so."""
    from dataclasses import replace

    from ..config import LARGEST, MOST_PATCHES
    from ..counting import macs, parameter_count
    from ..ranges import whole
    from ..variants import VARIANTS
    if options.num_classes is not None:
        whole("num_classes", options.num_classes, 1, LARGEST["num_classes"])
    check_output(options.json)
    show = print if options.json != "-" else lambda *_: None
    changes = {name: getattr(options, name) for name in ("image_size", "num_classes")
               if getattr(options, name) is not None}
    left_out, rows, wide = [], [], max(map(len, VARIANTS))
    show(f"{'variant':{wide}}{'P':>4}{'D':>6}{'L':>4}{'M':>6}{'H':>4}{'R':>6}{'T':>6}{'K':>6}{'parameters':>15}{'GMACs':>10}"
         f"{'fp32':>11}{'fp16':>11}")
    for name, config in VARIANTS.items():
        try:
            c = replace(config, **changes)
        except ValueError:
            left_out.append(name)
            continue
        n = parameter_count(c)
        rows.append({"variant": name, "patch_size": c.patch_size, "width": c.width, "layers": c.num_layers,
                     "mlp_width": c.mlp_width, "heads": c.num_heads, "tokens": c.num_tokens, "parameters": n,
                     "macs": macs(c), "image_size": c.image_size, "num_classes": c.num_classes})
        side = c.image_size if isinstance(c.image_size, int) else "-"
        show(f"{name:{wide}}{c.patch_size:4}{c.width:6}{c.num_layers:4}{c.mlp_width:6}{c.num_heads:4}{side:>6}"
             f"{c.num_tokens:6}{c.num_classes:6}{n:15,}{macs(c) / 1e9:10.3f}"
             f"{human_bytes(4 * n):>11}{human_bytes(2 * n):>11}")
    size = options.image_size
    side = "R x R" if size is None else f"{size} x {size}" if isinstance(size, int) else f"{size[0]} x {size[1]}"
    classes = "K" if options.num_classes is None else options.num_classes
    show(f"\nImages of {side} pixels, {classes} classes. 1 MAC is one multiply-add, 2 FLOP; "
         "GMACs are 1e9 of them. GB is 1e9 bytes.")
    if left_out:
        show(f"Left out, because their patches do not divide the image, or are more than {MOST_PATCHES:,}: "
             f"{', '.join(left_out)}.")
    tell_json(options, {"image_size": size, "num_classes": options.num_classes, "variants": rows})


def human_bytes(count):
    """346270624 -> "346.3 MB", 7377762720 -> "7.378 GB"."""
    return f"{count / 1e9:.3f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
