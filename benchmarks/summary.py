"""Samples in one line: the median, and the quartiles as the spread."""

import statistics

from minivit.commands.bench import in_words


def median(samples):
    """The middle sample, which one disturbed turn does not move."""
    return statistics.median(samples)


def quartiles(samples):
    """(lower, upper): a quarter of the samples lies below, a quarter above. A sample alone is both."""
    if len(samples) == 1:
        return samples[0], samples[0]
    lower, _, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return lower, upper


def ratio(samples, others):
    """Ratio of the medians."""
    return median(samples) / median(others)


def with_spread(seconds):
    """Samples -> "12.30 ms (12.10–12.90)", the median and in parentheses the quartiles."""
    words, unit = in_words(median(seconds)).split()
    digits, factor = len(words.partition(".")[2]), 1e3 if unit == "ms" else 1
    edges = (f"{factor * edge:.{digits}f}" for edge in quartiles(seconds))
    return f"{words} {unit} ({'–'.join(edges)})"
