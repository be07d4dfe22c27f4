"""Cross-entropy: how far the predicted probabilities are from the labels, in nats.

    loss = -1/B Σ_b Σ_k p*_bk log p_bk,   p = softmax(logits)

p* is what is wanted: one-hot for a class, or any distribution over the classes (label smoothing, mixup).
"""

import numpy as np

from .engine.devices import check_same_device


def forward(logits, labels):
    """Mean cross-entropy in nats. logits: (B, K). labels: classes (B,) or probabilities (B, K).

    Returns the loss, an array of shape (), and the cache. Raises ValueError for labels of another shape, and for
    classes that are no whole numbers from 0 to K - 1.
    """
    targets = as_probabilities(labels, logits)                          # (B, K)
    log_p = log_softmax(logits)                                         # (B, K)
    loss = -(targets * log_p).sum() / len(logits)
    return loss, (log_p, targets)


def backward(cache):
    """dlogits = (p · Σ_k p* - p*) / B, (B, K): predicted minus wanted, the shortest gradient in the network."""
    log_p, targets = cache
    return (np.exp(log_p) * targets.sum(axis=-1, keepdims=True) - targets) / len(log_p)


def log_softmax(logits):
    """log p = s - max s - log Σ exp(s - max s): the logarithm of softmax, without its underflow. (..., K)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def as_probabilities(labels, logits):
    """Labels as probabilities (B, K) in the dtype and on the device of the logits; classes become one-hot rows."""
    B, K = logits.shape
    if isinstance(labels, (list, tuple)):
        labels = np.asarray(labels, like=logits)
    check_same_device(labels, logits, "the array of labels")
    if labels.shape == (B, K):
        return labels.astype(logits.dtype)
    if labels.shape != (B,):
        raise ValueError(f"labels of shape {labels.shape} do not fit logits of shape {(B, K)}: "
                         f"give {B} class numbers, or probabilities of shape {(B, K)}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"class labels are whole numbers, found dtype {labels.dtype}")
    if int(labels.min()) < 0 or int(labels.max()) >= K:
        raise ValueError(f"class labels run from 0 to {K - 1}, found {int(labels.min())} to {int(labels.max())}")
    classes = np.arange(K, like=labels)
    return (labels[:, None] == classes).astype(logits.dtype)            # (B, K)
