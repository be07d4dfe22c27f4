"""`minivit info` says what is there, and for what is not there why."""

import json
import platform
import sys

import numpy as np
import pytest
import threadpoolctl

import minivit
from minivit.commands import info, kernel_rates
from minivit.commands.cli import main
from minivit.engine import blas_kernel
from tests.strict_array import fake_cupy


def test_it_prints_versions_and_the_blas(capsys):
    assert main(["info"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"minivit     {minivit.__version__}\n" in out and f"NumPy       {np.__version__}\n" in out
    assert "\nBLAS        " in out and "thread(s)" in out and "\nGPU         " in out
    assert max(len(line) for line in out.splitlines()) <= 200


def test_as_json(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["info", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["minivit"], told["numpy"]) == (minivit.__version__, np.__version__)
    assert told["python"] == platform.python_version() and told["cores"] >= 1
    libraries = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    assert [library["kernel"] for library in told["blas"]] == [library.get("architecture") for library in libraries]
    if [library["name"] for library in told["blas"]][:1] == ["openblas"]:
        rates = told["kernels"]["rates"]
        assert min(rates.values()) > 0 and {told["kernels"]["in_use"], told["kernels"]["own_choice"]} <= set(rates)
    else:
        assert told["kernels"] is None
    assert "needs CuPy" in told["gpu"]["error"]
    monkeypatch.setattr(info, "kernels", lambda libraries: None)
    assert main(["info", "--json", str(tmp_path / "machine.json")]) == 0
    assert "\nBLAS        " in capsys.readouterr().out
    assert json.loads((tmp_path / "machine.json").read_text("utf-8"))["system"] == told["system"]


@pytest.mark.parametrize("libraries, kernels, last", [
    ([], None, "a library that threadpoolctl does not know"),
    ([{"name": "mkl", "version": "2024.1", "kernel": None, "threads": 4}], None,
     "mkl 2024.1, kernel unnamed, 4 thread(s)"),
    ([{"name": "openblas", "version": "0.3", "kernel": "Zen", "threads": 2}], {"error": "no process"},
     "how fast it is could not be measured: no process")])
def test_what_is_not_there_is_said(libraries, kernels, last):
    assert info.blas_lines(libraries, kernels)[-1] == last


def test_another_library_is_not_measured(monkeypatch):
    monkeypatch.setattr(kernel_rates, "kernel_rates", lambda *_: pytest.fail("it was measured"))
    assert info.kernels([]) is None and info.kernels([{"name": "mkl", "kernel": None}]) is None


def test_without_cupy_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert info.gpu_lines(info.gpu()) == ['not usable: device "cuda" needs CuPy: pip install "minivit[cuda12]" or '
                                '"minivit[cuda13]", whichever your driver supports']


def test_without_a_driver_it_says_what_cupy_says(monkeypatch):
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)

    def fails():
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    cupy.cuda.runtime.getDeviceCount = fails
    (line,) = info.gpu_lines(info.gpu())
    assert "not usable" in line and "cudaErrorNoDevice" in line


def test_with_a_gpu_it_names_gpu_and_driver(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    assert info.gpu() == {"name": "Stand-in GPU", "memory": 8_589_934_592, "driver_cuda": "12.4",
                          "cupy": fake_cupy().__version__, "cuda": "12.4"}
    assert info.gpu_lines(info.gpu()) == ["Stand-in GPU, 8.6 GB of memory",
                                f"driver for CUDA 12.4; CuPy {fake_cupy().__version__} with CUDA 12.4"]


@pytest.mark.parametrize("avx512_on_amd, in_use, own, advice", [
    (True, "SkylakeX", "Zen", "export OPENBLAS_CORETYPE=SkylakeX"),
    (True, "SkylakeX", "SkylakeX", "OPENBLAS_CORETYPE would not help"),
    (True, "Cooperlake", "Cooperlake", "OPENBLAS_CORETYPE would not help"),
    (False, "Haswell", "Haswell", "OPENBLAS_CORETYPE would not help"),
    (False, "Haswell", "SapphireRapids", "left alone, OpenBLAS takes SapphireRapids"),
])
def test_the_advice_on_the_kernel(monkeypatch, avx512_on_amd, in_use, own, advice):
    monkeypatch.setattr(blas_kernel, "worthwhile", lambda: avx512_on_amd)
    assert advice in info._kernel_advice(in_use, own)[-1]


def test_the_advice_says_what_to_type_where_nothing_has_chosen(monkeypatch):
    monkeypatch.setattr(blas_kernel, "worthwhile", lambda: True)
    lines = info._kernel_advice("Zen", "Zen")
    assert "import minivit.engine.blas_kernel; minivit.engine.blas_kernel.choose()" in lines
    exec(next(line for line in lines if line.startswith("import")), {})


HEAD = "measured now, true while nothing else runs: "


@pytest.mark.parametrize("rates, in_use, own, line", [
    ({"Zen": 2e11}, "Zen", "Zen", HEAD + "Zen 200 GFLOP/s (in use, OpenBLAS's own choice)"),
    ({"Zen": 2e11, "SkylakeX": 3.5e11}, "SkylakeX", "Zen",
     HEAD + "SkylakeX 350 GFLOP/s (in use); Zen 200 GFLOP/s (OpenBLAS's own choice)"),
    ({"Zen": 2e11, "SkylakeX": 3.5e11}, "Zen", "Zen",
     HEAD + "Zen 200 GFLOP/s (in use, OpenBLAS's own choice); SkylakeX 350 GFLOP/s")])
def test_the_rates_of_the_kernels(rates, in_use, own, line):
    assert info._rates_line(rates, in_use, own) == line


def test_openblas_own_choice_is_seen_whatever_is_set(monkeypatch):
    if not any(library["internal_api"] == "openblas" for library in minivit.engine.blas_threads.blas().info()):
        pytest.skip("NumPy does not use OpenBLAS here")
    _, own = kernel_rates.kernel_rates(None, seconds=0)
    monkeypatch.setenv(blas_kernel.VARIABLE, "Haswell")
    rates, again = kernel_rates.kernel_rates("Haswell", seconds=0)
    assert again == own and own and "Haswell" in rates and min(rates.values()) > 0
