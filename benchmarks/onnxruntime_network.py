"""ONNX Runtime, for worker.py. The network is timm's, exported by onnx_export.py."""

import numpy as np
import onnxruntime

from .onnx_files import onnx_path


class Network:
    """An inference session on the CPU."""

    library = f"ONNX Runtime {onnxruntime.__version__}"

    def __init__(self, path, config, images, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.session = onnxruntime.InferenceSession(str(onnx_path(path, images)), options,
                                                    providers=["CPUExecutionProvider"])

    def arranged(self, x, labels):
        """Images (B, 3, H, W)."""
        return (np.ascontiguousarray(x.transpose(0, 3, 1, 2)),)

    def forward(self, x):
        """Logits (B, K)."""
        return self.session.run(None, {"pixels": x})[0]
