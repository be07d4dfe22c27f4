"""timm's network as an ONNX file: python -m benchmarks.onnx_export WEIGHTS CONFIG IMAGES FILE.

onnx_files.py calls it. CONFIG is a ViTConfig in JSON. The number of images is fixed, so that the libraries
may fold all that is constant.
"""

import json
import sys
import warnings

import torch

from minivit.config import ViTConfig

from .torch_network import Network


def main(weights, config, images, file):
    """Write the file."""
    config = ViTConfig(**json.loads(config))
    network = Network(weights, config, int(images), torch.get_num_threads())
    x = torch.zeros(int(images), 3, *config.height_width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.module, (x,), file, dynamo=False, opset_version=20, input_names=["pixels"],
                          output_names=["logits"])


if __name__ == "__main__":
    main(*sys.argv[1:])
