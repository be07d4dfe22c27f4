"""minivit itself, for worker.py. What every such Network has is written there."""

from minivit import __version__
from minivit.checkpoints.loading import load
from minivit.training.optimiser import AdamW
from minivit.trees import flatten

from .cases import LEARNING_RATE, WEIGHT_DECAY


class Network:
    """A minivit model read from a file, with AdamW once it trains."""

    library = f"minivit {__version__}"

    def __init__(self, path, config, images, threads):
        self.model = load(path)
        self.optimiser = None

    def arranged(self, x, labels):
        """Inputs as minivit reads them: as they are."""
        return x, labels

    def forward(self, x, labels):
        """Logits (B, K)."""
        return self.model(x)

    def training_step(self, x, labels):
        """Forward, cross-entropy, backward, AdamW. Returns the gradients."""
        if self.optimiser is None:
            self.optimiser = AdamW.for_params(self.model.params)
        _, grads = self.model.loss_and_gradients(x, labels)
        self.optimiser.step(self.model.params, grads, LEARNING_RATE, WEIGHT_DECAY)
        return grads

    def first_step(self, x, labels):
        """{name: array} of what the first training step makes: its deepest gradients, and the logits after it."""
        grads = flatten(self.training_step(x, labels))
        return {"gradient of the positions": grads["pos_embed"].copy(),
                "gradient of the first norm": grads["blocks.0.norm1.weight"].copy(),
                "logits after the step": self.model(x)}
