"""Where two notebooks are checked at the same moment, each kernel has sockets of its own, in the file system.

Over TCP, which nbval takes, a kernel is told ports that were free a moment before: now and then the other one has taken
one of them meanwhile, and a notebook fails before its first cell.
"""

import os
import tempfile
from pathlib import Path

import nbval.kernel
from jupyter_client import KernelManager
from traitlets import default


class KernelManagerByFiles(KernelManager):
    """A KernelManager whose kernels are reached by sockets in a temporary folder."""

    @default("transport")
    def _transport_default(self):
        return "ipc"

    @default("ip")
    def _ip_default(self):
        self.folder = tempfile.TemporaryDirectory()         # removed with the manager
        return str(Path(self.folder.name) / "kernel")


if os.name == "posix" and len(tempfile.gettempdir()) < 80:      # a socket's path has at most 103 bytes on some systems
    nbval.kernel.KernelManager = KernelManagerByFiles
