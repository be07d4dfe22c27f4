"""What the images of a batch go without in training: some of their patches, and now and then a layer.

Everything random is drawn on the host, before the first layer, so that a GPU waits for nothing on the way.
"""

from dataclasses import dataclass

import numpy as np

from .. import layer
from ..engine.devices import to_device
from . import patch_dropout, stochastic_depth


@dataclass
class Dropped:
    """For `vit.forward`. kept: places of the tokens that each image keeps (b, S), or None for all.

    layers: L sections with layer's forward and backward, the module `layer` itself where no image skips.
    """

    kept: np.ndarray | None
    layers: list


@dataclass
class Draw:
    """What is drawn for a whole batch. kept: (B, S) or None. taking: booleans (L, B). rates: p of the L layers."""

    kept: np.ndarray | None
    taking: np.ndarray
    rates: list

    @classmethod
    def of(cls, rng, images, config, patches, layers):
        """patches: the share of its patches that each image goes without. layers: the rate p of the last layer."""
        return cls(patch_dropout.draw(rng, images, config, patches),
                   stochastic_depth.draw(rng, images, config.num_layers, layers),
                   stochastic_depth.rates(config.num_layers, layers))

    def chunk(self, images, device):
        """Dropped, for a slice of the images, on their device."""
        kept = None if self.kept is None else to_device(self.kept[images], device)
        layers = [stochastic_depth.Layer(to_device(np.flatnonzero(taking[images]), device), rate) if rate else layer
                  for taking, rate in zip(self.taking, self.rates)]
        return Dropped(kept, layers)
