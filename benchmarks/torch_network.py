"""PyTorch eager with the same weights, for worker.py: timm's network where timm is installed, else torchvision's."""

import warnings

import numpy as np
import torch

from minivit.checkpoints import torchvision as torchvision_names
from minivit.checkpoints.safetensors_file import TensorFile
from minivit.training.optimiser import decays

from .cases import LEARNING_RATE, WEIGHT_DECAY

_DECLARED = []                                                          # what a Library declares goes when it goes


def network_class():
    """(library, its VisionTransformer, whether it has timm's names). Raises ImportError without both."""
    try:
        return _imported()
    except RuntimeError:                    # a torchvision wheel whose compiled operators do not load misses these two
        library = torch.library.Library("torchvision", "FRAGMENT")
        _DECLARED.append(library)
        for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
                       "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):
            library.define(schema)
        return _imported()


def _imported():
    try:
        import timm
        from timm.models.vision_transformer import VisionTransformer
        return f"timm {timm.__version__}", VisionTransformer, True
    except ImportError:
        import torchvision
        from torchvision.models import VisionTransformer
        return f"torchvision {torchvision.__version__}", VisionTransformer, False


class Network:
    """A PyTorch Vision Transformer with the weights of a file under timm's names, and torch.optim.AdamW."""

    def __init__(self, path, config, images, threads):
        torch.set_num_threads(threads)
        library, VisionTransformer, timm_names = network_class()
        self.library = f"{library} on torch {torch.__version__}"
        size, P, D = config.height_width[0], config.patch_size, config.width
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if timm_names:
                self.module = VisionTransformer(img_size=size, patch_size=P, embed_dim=D, depth=config.num_layers,
                                                num_heads=config.num_heads, mlp_ratio=config.mlp_width / D,
                                                num_classes=config.num_classes)
            else:
                self.module = VisionTransformer(size, P, config.num_layers, config.num_heads, D, config.mlp_width,
                                                num_classes=config.num_classes)
        self.names = {} if timm_names else torchvision_names.name_map(
            [f"encoder.layers.encoder_layer_{i}." for i in range(config.num_layers)])
        with TensorFile(path) as file:
            self.module.load_state_dict({self._theirs(name): torch.from_numpy(file.read(name)) for name in file.shapes})
        self.module.eval()
        self.optimiser = None

    def _theirs(self, name):
        return self.names.get(name, (name,))[0]

    def arranged(self, x, labels):
        """Images (B, 3, H, W) and labels as tensors."""
        return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), torch.from_numpy(labels)

    def forward(self, x, labels):
        """Logits (B, K)."""
        with torch.inference_mode():
            return self.module(x)

    def training_step(self, x, labels):
        """Forward, cross-entropy, backward, AdamW."""
        if self.optimiser is None:
            self.optimiser = torch.optim.AdamW(self._groups(), lr=LEARNING_RATE)
        self.optimiser.zero_grad()
        torch.nn.functional.cross_entropy(self.module.train()(x), labels).backward()
        self.optimiser.step()

    def _groups(self):
        """Weight matrices decay, and nothing else does: minivit's rule."""
        ours = {self._theirs(name): name for name in self.names} or {n: n for n, _ in self.module.named_parameters()}
        groups = {WEIGHT_DECAY: [], 0.0: []}
        for name, parameter in self.module.named_parameters():
            groups[WEIGHT_DECAY if decays(ours[name]) else 0.0].append(parameter)
        return [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()]

    def first_step(self, x, labels):
        """{name: array} of what the first training step makes."""
        self.training_step(x, labels)
        grads = {name: parameter.grad for name, parameter in self.module.named_parameters()}
        return {"gradient of the positions": grads[self._theirs("pos_embed")].numpy().copy(),
                "gradient of the first norm": grads[self._theirs("blocks.0.norm1.weight")].numpy().copy(),
                "logits after the step": self.forward(x, labels).numpy()}
