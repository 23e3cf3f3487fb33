"""The working memory of compiled programs: once taken, it may be kept.

On a CPU, XLA asks the C library for the working memory of every call, and gives it back afterwards. glibc hands large
pieces back to the system, so that the next call finds every page new: the system fills it with zeros and maps it in,
which takes a fifth of the time that Inception looks at a picture. What is kept instead is at most what the process has
needed at once.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # of malloc.h


def keep_freed() -> bool:
    """Let this process keep freed memory for what it asks next; return whether it does.

    Only glibc listens. Large pieces then come from the one heap, whichever thread asks, and the heap does not shrink.
    For programs that run long and compile little: compiling asks for many small pieces from several threads at once,
    which takes longer on one heap, and leaves it in pieces.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    settings = ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1))
    return mallopt is not None and all([mallopt(*setting) == 1 for setting in settings])
