"""The small notebook of tests/data, executed once for all tests that look at its outcome."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

from ldm.commands import notebook

DATA = Path(__file__).parent / "data"
os.environ["LDM_TESTS"] = str(DATA.parent)  # where the notebook finds its made-up rows


@functools.cache
def executed() -> Path:
    """Path of the executed tests/data/tour.py, run with two parameters changed."""
    folder = Path(tempfile.mkdtemp(prefix="ldm-tour-"))
    return notebook.execute("tour", folder / "tour.ipynb", {"steps": "4,8", "guidance": "4"}, folder=DATA)
