"""What `make bench` measures, and with which libraries."""

from minivit.engine.blas_kernel import VARIABLE
from minivit.variants import VARIANTS, as_config

from .cases import FORWARD, SMALL, SMALL_CONFIG, TRAINING, Case
from .process import Contender

SIDES = (224, 384, 512, 768, 1024)

TIMM = Contender("timm", "benchmarks.torch_network", needs=("torch", "timm"))
MINIVIT = Contender("minivit", "benchmarks.numpy_network")
PRODUCTS = Contender("matrix products alone", "benchmarks.products_network")
ONNX_RUNTIME = Contender("ONNX Runtime", "benchmarks.onnxruntime_network",
                         needs=("torch", "timm", "onnx", "onnxruntime"))
OPENVINO = Contender("OpenVINO", "benchmarks.openvino_network", needs=("torch", "timm", "onnx", "openvino"))
JAX = Contender("JAX", "benchmarks.jax_network", needs=("jax",))
ALL = (TIMM, MINIVIT, PRODUCTS, ONNX_RUNTIME, OPENVINO, JAX)
FROM_ONNX = (ONNX_RUNTIME, OPENVINO)
GROWING = (TIMM, MINIVIT, ONNX_RUNTIME)


def cases():
    """The rows of the table."""
    b16, s16 = VARIANTS["B/16"], VARIANTS["S/16"]
    return [Case("B/16", b16, 1), Case("B/16", b16, 8), Case("S/16", s16, 1), Case(SMALL, SMALL_CONFIG, 1),
            Case(SMALL, SMALL_CONFIG, 256), Case("B/16", b16, 4, TRAINING), Case(SMALL, SMALL_CONFIG, 64, TRAINING)]


def growth_cases():
    """[(case, rounds)]: B/16 with one image of growing side. Fewer rounds where a call takes long."""
    return [(Case("B/16", as_config("B/16", image_size=side), 1), 9 if side < 512 else 3) for side in SIDES]


def with_kernel(kernel):
    """minivit with this BLAS kernel; None for the one that OpenBLAS chooses where it is left alone."""
    name = f"minivit, {kernel} kernel" if kernel else "minivit, OpenBLAS's own kernel"
    return Contender(name, MINIVIT.module, {VARIABLE: kernel})


def contenders(case, kernels=()):
    """The libraries for a case, the reference first; JAX, which compiles for long, for B/16 alone.

    kernels: see `with_kernel`. None that is missing.
    """
    minivits = [MINIVIT, *map(with_kernel, kernels)]
    if case.kind == FORWARD:
        chosen = [TIMM, *minivits, PRODUCTS, ONNX_RUNTIME, OPENVINO, *([JAX] if case.name == "B/16" else [])]
    else:
        chosen = [TIMM, *minivits, PRODUCTS]
    return [contender for contender in chosen if not contender.missing()]
