"""What is too large is refused; where a system does not tell its memory, nothing is."""

import os

import pytest

from minivit.engine import memory


@pytest.fixture
def no_container(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system has no sysconf")
@pytest.mark.parametrize("pages", [-1, 0])
def test_a_system_that_does_not_tell(monkeypatch, no_container, pages):
    monkeypatch.setattr(os, "sysconf", lambda name: pages if name == "SC_PHYS_PAGES" else 65536)
    assert memory.total() == float("inf")
    memory.check_fits(10 ** 15, "a petabyte")


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system has no sysconf")
def test_pages_times_their_size(monkeypatch, no_container):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get)
    assert memory.total() == 4_096_000
    with pytest.raises(MemoryError, match=r"what it takes would take 1\.0 GB, and there are 0\.0 GB"):
        memory.check_fits(10 ** 9, "what it takes")
