"""How good a model is on labelled images: loss, accuracy, and what it takes each class for."""

import numpy as np

from .. import loss
from ..engine.devices import to_device
from ..images.preparation import normalise


def evaluate(model, data, batch_size=500):
    """Loss (nats), accuracy, probabilities (n, K) and their logarithms of a model on LabelledImages, each as it is."""
    log_p = []
    for start in range(0, len(data), batch_size):
        x = normalise(data.images[start:start + batch_size], model.preprocessing).astype(model.dtype, copy=False)
        logits = to_device(model(to_device(x, model.device)), "cpu")                      # (b, K)
        log_p.append(loss.log_softmax(logits))
    log_p = np.concatenate(log_p)                                                         # (n, K)
    of_label = np.take_along_axis(log_p, data.labels[:, None], axis=1)                    # (n, 1)
    return {"loss": -float(of_label.mean()), "accuracy": float((log_p.argmax(axis=1) == data.labels).mean()),
            "probabilities": np.exp(log_p), "log_probabilities": log_p}


def confusion(labels, predicted, num_classes):
    """How often class i was taken for class j: whole numbers (K, K). labels, predicted: (n,)."""
    pairs = labels * num_classes + predicted
    return np.bincount(pairs, minlength=num_classes ** 2).reshape(num_classes, num_classes)
