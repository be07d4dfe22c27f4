"""`differences`: compare with a reference, and see the largest differences in a table at the end of the run."""

import pytest
from peaked import relative_error

ROWS = []


def pytest_ignore_collect(config):
    """Torch is imported plainly: `make parity` fails without it; `make test`, which may lack it, skips the files."""
    return True if "not parity" in config.option.markexpr else None


@pytest.fixture
def differences(request):
    """differences(what, found, expected, allowed=1e-12): assert that ‖found - expected‖ / ‖expected‖ is within it.

    The two may be arrays, or dicts of arrays of the same names and shapes, of which the worst counts.
    """
    def compare(what, found, expected, allowed=1e-12):
        found, expected = ({"": a} if not isinstance(a, dict) else a for a in (found, expected))
        assert found.keys() == expected.keys()
        errors = {}
        for name in expected:
            assert found[name].shape == expected[name].shape, name
            errors[name] = relative_error(found[name], expected[name])
        worst = max(errors, key=errors.get)
        ROWS.append((request.node.name, what, len(errors), errors[worst], worst))
        beyond = {name: error for name, error in errors.items() if not error <= allowed}
        assert not beyond, beyond
    return compare


def pytest_terminal_summary(terminalreporter):
    if ROWS:
        terminalreporter.section("largest relative differences, ‖a - b‖ / ‖b‖")
        terminalreporter.write_line(f"{'test':44} {'what':24} {'arrays':>6}  {'largest':>8}  at")
        for test, what, count, error, worst in ROWS:
            terminalreporter.write_line(f"{test:44} {what:24} {count:6}  {error:8.1e}  {worst}")
