"""`minivit evaluate`: how well a model names labelled images."""

from .arguments import LABELLED, add_device, add_model, model_from, new_command
from .outputs import add_json, check_output, tell_json

DESCRIPTION = f"""\
Measure a model on labelled images, which must not be those it was trained on: accuracy, loss, mean confidence, expected
calibration error, accuracy of each class, and the confusion matrix. DATA is {LABELLED} in ImageFolder layout,
<split>/<class>/<image>, or CIFAR-10's original binary version, as for minivit train.
"""

EXAMPLE = """\
  minivit evaluate cifar10.zip
  minivit evaluate photos --split val --model runs/photos --json result.json
"""

WIDEST_MATRIX = 20          # with more classes the matrix is in the JSON alone


def add_to(commands):
    """Add `evaluate` to argparse's sub-parsers."""
    parser = new_command(commands, "evaluate", run, "accuracy and confusion on labelled images", DESCRIPTION, EXAMPLE)
    parser.add_argument("data", metavar="DATA", help="the labelled images")
    parser.add_argument("--split", help="folder inside DATA whose folders are the classes "
                                        "(default: test or testing where there is one, else DATA itself)")
    add_model(parser)
    add_json(parser, "the figures")
    add_device(parser)


def run(options):
    """Read, measure, print, and write the JSON where asked."""
    from ..training.calibration import expected_calibration_error
    from ..training.data import MEASURING, read_labelled_images, test_part
    from ..training.evaluation import confusion, evaluate
    check_output(options.json, (options.data, options.model))
    model = model_from(options)
    split = test_part(options.data) if options.split is None else options.split
    data = read_labelled_images(options.data, split, model.config.height_width, model.preprocessing, MEASURING)
    data = _with_model_classes(data, model)
    result = evaluate(model, data)
    probabilities = result["probabilities"]                                                         # (n, K)
    counts = confusion(data.labels, probabilities.argmax(axis=1), len(data.classes))                # (K, K)
    figures = {"model": model.name, "data": str(options.data), "split": split, "images": len(data),
               "accuracy": result["accuracy"], "loss": result["loss"],
               "mean_confidence": float(probabilities.max(axis=1).mean()),
               "expected_calibration_error": expected_calibration_error(probabilities, data.labels),
               "accuracy_per_class": {name: int(row[k]) / int(row.sum()) if row.sum() else None
                                      for k, (name, row) in enumerate(zip(data.classes, counts))},
               "classes": list(data.classes), "confusion": counts.tolist()}
    if options.json != "-":
        _print(figures)
    tell_json(options, figures)


def _with_model_classes(data, model):
    """The data with labels numbered as the model numbers its classes. Raises ValueError where it lacks one."""
    from dataclasses import replace
    K = model.config.num_classes
    if model.labels is None:
        if len(data.classes) != K:
            raise ValueError(f"the model tells {K} classes apart and does not name them, the data has "
                             f"{len(data.classes)}: give data with the model's classes")
        return data
    import numpy as np
    twice = next((name for name in data.classes if list(model.labels).count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"the model has {list(model.labels).count(twice)} classes named {twice!r}, and the data has "
                         "one: give the model's classes different names, minivit.load(…, labels=…), and save it")
    unknown = [name for name in data.classes if name not in model.labels]
    if unknown:
        raise ValueError(f"the model knows no class {unknown[0]!r}, which the data has: it knows "
                         f"{', '.join(model.labels[:20])}{' …' if K > 20 else ''}")
    places = np.array([model.labels.index(name) for name in data.classes])
    return replace(data, labels=places[data.labels], classes=model.labels)


def _print(figures):
    from ..errors import plain
    print(plain(f"{figures['model']} on {figures['images']:,} images of {figures['data']} {figures['split']}".rstrip()))
    print(f"accuracy {figures['accuracy']:.2%}, loss {figures['loss']:.4f} nats")
    print(f"mean confidence {figures['mean_confidence']:.2%}, expected calibration error "
          f"{figures['expected_calibration_error']:.4f} (15 bins)\n")
    names, counts = [plain(name) for name in figures["classes"]], figures["confusion"]
    wide = max(10, *map(len, names))
    matrix = len(names) <= WIDEST_MATRIX
    heading = " ".join(f"{name[:8]:>8}" for name in names)
    print(f"{'true class':{wide}}  accuracy" + f"   predicted: {heading}" * matrix)
    for name, known_as, row in zip(names, figures["classes"], counts):
        share = figures["accuracy_per_class"][known_as]
        told = "–" if share is None else f"{share:.1%}"
        print(f"{name:{wide}}  {told:>8}" + (" " * 14 + " ".join(f"{n:8}" for n in row)) * matrix)
