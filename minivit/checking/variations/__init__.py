"""The known ways in which two models part, each as a Variation that the whole network can be computed with.

`causes` finds the one under which a step that differs agrees. Those that are met most come first.
"""

from . import activations, heads, norms, orders, readouts, relatives, residuals, roundings, weights
from .norms import eps_variation
from .variation import Variation, steps

__all__ = ["Variation", "eps_variation", "known", "steps"]


def known(model):
    """Every Variation that is tried on a model, those first that are met most."""
    yield from norms.of_eps(model)
    yield from activations.of_gelu(model)
    # Libraries differ in both: a reference that has only the logits shows them at once.
    yield from (eps.and_also(gelu) for eps in norms.of_eps(model) for gelu in activations.of_gelu(model))
    yield from heads.of_qkv(model)
    yield from heads.of_splits(model)
    yield from relatives.of_layer_scale(model)
    yield from relatives.of_pooling(model)
    yield from relatives.of_two_heads(model)
    yield from activations.of_swiglu(model)
    if model.config.has_position_table:
        yield from orders.resamplings(model)
        yield from orders.of_positions(model)
    yield from orders.of_tokens(model)
    yield from orders.of_pixels(model)
    yield from readouts.of_head(model)
    yield from heads.of_scores(model)
    yield from weights.transposed()
    yield from weights.without_bias(model)
    yield from norms.of_forms(model)
    yield from norms.of_places(model)
    yield from activations.others()
    yield from residuals.of_sums()
    yield from weights.layer_orders(model)
    yield from roundings.of_weights()
