"""ImageNet-1k's labels come with a model of 1,000 classes whose source says that they are its, and with no other."""

import json

import checkpoint_files
import pytest
from checkpoint_files import small_model
from safetensors.numpy import save_file

import minivit
from minivit.checkpoints import imagenet


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A function of a folder's config.json that makes the folder."""
    def make(num_classes=1000, **about):
        folder = tmp_path_factory.mktemp("timm")
        config = {"architecture": "vit_tiny_patch4_12", "model_args": {"num_heads": 2, "img_size": 12},
                  "pretrained_cfg": about}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        save_file(checkpoint_files.timm(small_model(num_classes=num_classes)), folder / "model.safetensors")
        return folder
    return make


@pytest.mark.parametrize("tag", ["augreg2_in21k_ft_in1k", "in1k", "fb_in1k", "sam_in1k", "laion2b_ft_in12k_in1k_448"])
def test_they_come_with_a_tag_of_imagenet_1k(weights, tag):
    labels = minivit.load(weights(tag=tag)).labels
    # The challenge's classes as its papers name them.
    assert {i: labels[i] for i in (0, 1, 2, 281, 388, 999)} == {0: "tench", 1: "goldfish", 2: "great white shark",
                                                                281: "tabby", 388: "giant panda", 999: "toilet tissue"}


@pytest.mark.parametrize("about", [{}, {"tag": None}, {"tag": ""}, {"tag": "augreg_in21k"}, {"tag": "dino"},
                                   {"tag": "in1k_ft_places"}, {"tag": "notin1k"}, {"tag": "in1kish"}], ids=str)
def test_they_do_not_come_without_one(weights, about):
    assert minivit.load(weights(**about)).labels is None


def test_they_do_not_come_with_another_number_of_classes(weights):
    assert minivit.load(weights(num_classes=7, tag="augreg2_in21k_ft_in1k")).labels is None


def test_own_labels_win(weights):
    names = [f"class {i}" for i in range(1000)]
    assert list(minivit.load(weights(tag="in1k", label_names=names)).labels) == names
    assert list(minivit.load(weights(tag="in1k"), labels=names).labels) == names


def test_there_are_a_thousand_and_none_twice():
    labels = imagenet.labels()
    assert len(labels) == len(set(labels)) == 1000 and all(label == label.strip() and label for label in labels)
