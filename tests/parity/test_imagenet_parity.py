"""ImageNet-1k's labels are torchvision's, and stand in the order of timm's classes."""

import libraries  # noqa: F401 - torchvision's operators are declared there
import pytest

from minivit.checkpoints import imagenet

pytestmark = pytest.mark.parity


def test_the_labels_are_torchvisions_in_timms_order():
    from timm.data import ImageNetInfo
    from torchvision.models._meta import _IMAGENET_CATEGORIES
    labels, info = imagenet.labels(), ImageNetInfo("imagenet-1k")
    assert labels == _IMAGENET_CATEGORIES
    named = [{name.strip() for name in info.index_to_description(i).split(",")} for i in range(1000)]
    # Two names are two classes' in WordNet, and torchvision tells them apart.
    assert {i: label for i, label in enumerate(labels) if label not in named[i]} == {134: "crane bird",
                                                                                    639: "maillot tank suit"}
