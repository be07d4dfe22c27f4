"""What Pillow remarks while it decodes, kept from the terminal, on any number of threads.

Python's filters for warnings belong to the whole process: threads that each set and restore them would leave them as
another had them. So the first thread that comes in sets them, and the last that goes restores them.
"""

import threading
import warnings
from contextlib import contextmanager

from PIL import Image

MOST = 1000                 # remarks that are kept

_lock = threading.Lock()
_inside, _context, _told = 0, None, []


@contextmanager
def remarks():
    """Inside, no warning is shown, or raised under -W error: the list that it yields has them, of all threads."""
    global _inside, _context, _told
    with _lock:
        if not _inside:
            _context = warnings.catch_warnings(record=True)
            _told = _context.__enter__()
            warnings.simplefilter("always")
            # Pillow warns from half of its limit on; up to the limit an image is simply large.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        _inside += 1
        told = _told
    try:
        yield told
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _context.__exit__(None, None, None)
            elif len(told) > MOST:
                del told[:-MOST]
