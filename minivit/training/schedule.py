"""The learning rate over time: a linear warm-up, then half a cosine down to zero (Loshchilov & Hutter 2017)."""

import math


def learning_rate(step, total_steps, warmup_steps, peak):
    """The rate of step 0, 1, … total_steps - 1: peak (step + 1) / warmup, then peak (1 + cos π t) / 2."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    t = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return peak * (1 + math.cos(math.pi * t)) / 2
