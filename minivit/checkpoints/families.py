"""How the images of a family's published weights are prepared, where neither a file nor a module says so."""

from dataclasses import dataclass

from ..images.preparation import Preprocessing

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
OPENAI = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}


@dataclass(frozen=True)
class Family:
    """A family's name in messages, its mean and standard deviation in words, and its Preprocessing."""

    name: str
    colours: str
    preprocessing: Preprocessing

    def told(self, source):
        """The Preprocessing; that it is assumed stands in source.assumed."""
        source.assumed.append(f"preprocessing as {self.name} has it ({self.colours}, bicubic)")
        return self.preprocessing


def _family(name, colours, mean_std, **geometry):
    return Family(name, colours, Preprocessing(**mean_std, interpolation="bicubic", **geometry))


CLIP = _family("CLIP", "mean and std of its own images", OPENAI, crop_fraction=1.0)
SIGLIP = _family("SigLIP", "mean and std 0.5", HALF, resize="stretch", crop_fraction=1.0)
DEIT = _family("DeiT", "ImageNet's mean and std", IMAGENET, crop_fraction=224 / 256)
DINOV2 = _family("DINOv2", "ImageNet's mean and std", IMAGENET, crop_fraction=224 / 256)
MAE = _family("the masked autoencoder", "ImageNet's mean and std", IMAGENET, crop_fraction=224 / 256)
