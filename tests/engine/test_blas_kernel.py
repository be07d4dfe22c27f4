"""The choice of the BLAS kernel: only where it helps, never over the user's own, and before NumPy is imported."""

import io
import os
import subprocess
import sys

import pytest

from minivit.engine import blas_kernel

AVX512 = "fpu avx2 avx512f avx512dq avx512cd avx512bw avx512vl"


def cpuinfo(vendor, flags):
    return f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: some: name\nflags\t\t: {flags}\n\nprocessor\t: 1\n"


@pytest.mark.parametrize("vendor, flags, expected", [
    ("AuthenticAMD", AVX512, True),
    ("AuthenticAMD", "fpu avx2", False),
    ("AuthenticAMD", AVX512.replace("avx512vl", ""), False),
    ("GenuineIntel", AVX512, False),
])
def test_worthwhile_on_amd_with_avx512(monkeypatch, vendor, flags, expected):
    monkeypatch.setattr("builtins.open", lambda path, encoding: io.StringIO(cpuinfo(vendor, flags)))
    assert blas_kernel.worthwhile() is expected


def test_not_worthwhile_where_the_processor_is_unknown(monkeypatch):
    def missing(path, encoding):
        raise FileNotFoundError(path)
    monkeypatch.setattr("builtins.open", missing)
    assert blas_kernel.worthwhile() is False


@pytest.fixture
def unset(monkeypatch):
    """No value in the environment, and whatever choose() sets is taken back."""
    monkeypatch.setenv(blas_kernel.VARIABLE, "")
    monkeypatch.delenv(blas_kernel.VARIABLE)
    monkeypatch.setattr(blas_kernel, "worthwhile", lambda: True)
    return monkeypatch


def test_chosen_before_numpy_is_imported(unset):
    unset.delitem(sys.modules, "numpy")
    assert blas_kernel.choose() == os.environ[blas_kernel.VARIABLE] == blas_kernel.AVX512_KERNEL


def test_not_chosen_once_numpy_is_imported(unset):
    assert "numpy" in sys.modules
    assert blas_kernel.choose() is None and blas_kernel.VARIABLE not in os.environ


def test_the_users_own_value_stays(unset):
    unset.delitem(sys.modules, "numpy")
    unset.setenv(blas_kernel.VARIABLE, "Haswell")
    assert blas_kernel.choose() == "Haswell"


def test_not_chosen_where_it_does_not_help(unset):
    unset.delitem(sys.modules, "numpy")
    unset.setattr(blas_kernel, "worthwhile", lambda: False)
    assert blas_kernel.choose() is None


@pytest.mark.parametrize("start", [
    "import minivit.commands.cli; minivit.commands.cli.main(['--version'])",
    "import runpy; sys.argv = ['minivit', '--version']; runpy.run_module('minivit', run_name='__main__')"])
def test_the_command_line_chooses_before_it_imports_numpy(start):
    """`choose` is called, and NumPy is not there yet; nor is it once all options are known."""
    script = f"""
import sys
from minivit.engine import blas_kernel
before = []
original = blas_kernel.choose
blas_kernel.choose = lambda: (before.append('numpy' in sys.modules), original())
try:
    {start}
except SystemExit:
    pass
print(before, 'numpy' in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines()[-1] == "[False] False", done.stdout + done.stderr


def test_a_program_started_with_the_choice(monkeypatch):
    """What `make notebooks` does: the kernel is in the environment of the program, whose exit status is passed on."""
    monkeypatch.delenv(blas_kernel.VARIABLE, raising=False)
    look = f"import os, sys; print(os.environ.get('{blas_kernel.VARIABLE}')); sys.exit(3)"
    done = subprocess.run([sys.executable, "-m", "minivit.engine.blas_kernel", sys.executable, "-c", look],
                          capture_output=True, encoding="utf-8")
    expected = blas_kernel.AVX512_KERNEL if blas_kernel.worthwhile() else None
    assert done.stdout.strip() == str(expected) and done.returncode == 3


def test_without_a_program_it_says_what_it_is_for():
    done = subprocess.run([sys.executable, "-m", "minivit.engine.blas_kernel"], capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and "jupyter lab" in done.stderr and "Traceback" not in done.stderr
