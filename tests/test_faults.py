"""The table of faults must not rot: `python -m tests.faults` plants them, here it is only checked that it can."""

from collections import Counter

import faults
import pytest

SECTIONS = ("patch_embedding", "cls_token", "position_embedding", "layer_norm", "attention", "softmax", "gelu", "mlp",
            "layer", "head", "loss", "linear", "vit")


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_one_line_and_leaves_python(fault):
    source = faults.source_of(fault)
    changed = faults.planted(fault, source)
    before, after = source.splitlines(), changed.splitlines()
    assert len(before) == len(after) and sum(a != b for a, b in zip(before, after)) == 1
    compile(changed, fault.module, "exec")
    assert (fault.check or fault.module.split("/")[-1]) in faults.CHECKS


def test_every_section_has_at_least_two():
    count = Counter(fault.module for fault in faults.FAULTS)
    assert all(count[section] >= 2 for section in SECTIONS)
    assert len({fault.name for fault in faults.FAULTS}) == len(faults.FAULTS) >= 28


def test_old_text_must_stand_exactly_once():
    with pytest.raises(ValueError, match="stands 2 times"):
        faults.planted(faults.Fault("name", "linear", "ab", "c"), "ab ab")
