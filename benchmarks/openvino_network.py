"""OpenVINO, for worker.py. The network is timm's, exported by onnx_export.py."""

import numpy as np
import openvino

from .onnx_files import onnx_path


class Network:
    """A model compiled for the CPU. In float32: left alone, OpenVINO takes bfloat16 where the processor has it."""

    library = f"OpenVINO {openvino.__version__.split('-')[0]}"

    def __init__(self, path, config, images, threads):
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.model = openvino.Core().compile_model(str(onnx_path(path, images)), "CPU", settings)

    def arranged(self, x, labels):
        """Images (B, 3, H, W)."""
        return (np.ascontiguousarray(x.transpose(0, 3, 1, 2)),)

    def forward(self, x):
        """Logits (B, K)."""
        return self.model([x])[0]
