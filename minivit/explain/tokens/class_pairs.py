"""How alike images are within a class and between classes, each figure with its standard error."""

import numpy as np

from .read_out import cosine_similarity


def within_and_between(vectors, labels):
    """Mean cosine of two different images of one class, and of two of different classes: (2,). vectors: (n, D)."""
    cosines, same = cosine_similarity(vectors), labels[:, None] == labels
    pairs = same & ~np.eye(len(labels), dtype=bool)
    return np.array([cosines[pairs].mean(), cosines[~same].mean()])


def between_class_share(vectors, labels):
    """The share of the variance of vectors (n, D) that lies between their classes' means; 0 where all are equal.

    n vectors that know nothing of K classes have a share of (K - 1) / (n - 1) on average.
    """
    deviations = vectors - vectors.mean(axis=0)
    means = np.stack([deviations[labels == label].mean(axis=0) for label in labels])                 # (n, D)
    total = (deviations ** 2).sum()
    return np.array((means ** 2).sum() / total if total > 1e-12 * (vectors ** 2).sum() else 0.0)


def class_cosines(vectors, labels):
    """Mean cosine of two different images, one per class: (K, K). vectors: (n, D). labels: (n,), from 0 to K - 1."""
    cosines = cosine_similarity(vectors)
    K = labels.max() + 1
    member = np.eye(K)[labels]                                          # (n, K)
    count = np.outer(member.sum(axis=0), member.sum(axis=0)) - np.diag(member.sum(axis=0))
    return member.T @ (cosines - np.eye(len(labels))) @ member / count


def standard_error(statistic, vectors, labels):
    """The jackknife's standard error of statistic(vectors, labels): what leaving out one image changes, scaled up."""
    n = len(labels)
    without = np.array([statistic(np.delete(vectors, i, axis=0), np.delete(labels, i)) for i in range(n)])
    return np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
