"""Memory that was freed is found again, and not asked of the system anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

# How often a page is mapped in while arrays of 64 MB come and go, after the first of them.
FAULTS = """
import resource
import numpy as np
{before}
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**23)
begin = faults()
for _ in range(8):
    np.ones(2**23)
print(faults() - begin)
"""


def faults(before: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS.format(before=before)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return int(done.stdout)


def test_freed_memory_is_kept():
    freed, kept = faults(""), faults("from ldm import heap; assert heap.keep_freed()")
    if freed < 1_000:
        pytest.skip("this system keeps freed memory by itself, or maps large pages")
    assert kept < freed / 100
