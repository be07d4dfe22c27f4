"""What some systems lack: the tests that need it are skipped there, by name."""

import importlib.util
import os
import signal

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
needs_resource = pytest.mark.skipif(importlib.util.find_spec("resource") is None,
                                    reason="this system cannot limit a process's seconds (no resource module)")
needs_links = pytest.mark.skipif(os.name != "posix", reason="this system lets few users make links")
needs_sigterm = pytest.mark.skipif(os.name != "posix", reason="this system has no SIGTERM, and no process groups")
needs_sigint = pytest.mark.skipif(os.name != "posix", reason="this system sends no Ctrl-C to a child alone")
