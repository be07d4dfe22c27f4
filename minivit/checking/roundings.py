"""Differences that are nothing but rounding: each step made again from its own input is off by what a format rounds."""

import numpy as np

from .evidence import ROOM, relative

BITS = {"float32": 24, "TF32 or float16": 11, "bfloat16": 8}
SPREAD = 32             # how unlike the steps may be: sums round less than they could, attention amplifies


def of_rows(evidence, rows, count):
    """What the rows that are wrong in themselves show of rounding, in words, or None. count: rows there are in all."""
    measured = evidence.rounding
    ratios = np.array([row.own / max(measured.get(row.name, 0.0), 2.0 ** -25) for row in rows])
    if not np.isfinite(ratios).all():
        return None
    names = rows[0].name if len(rows) == 1 else f"{len(rows)} of {count} steps, the first {rows[0].name},"
    verb = "is" if len(rows) == 1 else "are"
    if ratios.max() <= ROOM:
        return (f"rounding as in float32: made again from the reference's own input, {names} {verb} off by no more "
                "than float32 rounds")
    if 2 * len(rows) < count or len(rows) < 3:
        return None
    middle = float(np.median(ratios))
    if ratios.max() > SPREAD * middle or not all(_looks_random(evidence, row) for row in rows):
        return None
    bits = 24 - np.log2(middle)
    name = min(BITS, key=lambda name: abs(BITS[name] - bits))
    if not 2 < bits < 23:
        return None
    told = f"as {name} rounds" if abs(BITS[name] - bits) <= 1.5 else "of no usual format"
    return (f"rounding: made again from the reference's own input, {names} {verb} off by a little that looks random, "
            f"of the size of {bits:.0f} bits, {told}: weights or steps were kept in fewer bits")


def _looks_random(evidence, row):
    """Whether the difference has no part that is a multiple of the step itself."""
    made, theirs = evidence.step(row.name), evidence.theirs[row.name]
    factor = float((made * theirs).sum() / max(float((made * made).sum()), 1e-300))
    return row.own < 0.1 and relative(factor * made, theirs) > 0.7 * row.own
