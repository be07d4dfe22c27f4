"""The errors that users meet. Each message says what was found, what was expected, and what to do."""


class ImageError(ValueError):
    """This cannot be read as an image."""


class CheckpointError(ValueError):
    """This cannot be read as the weights of a Vision Transformer."""
