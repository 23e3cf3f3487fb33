"""The small notebook of tests/data and a small book of it: the fixtures `tour` and `small_book` make each once."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from ldm.commands import notebook

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))
import build  # noqa: E402

DATA = Path(__file__).parent / "data"
os.environ["LDM_TESTS"] = str(DATA.parent)  # where the notebook finds its made-up rows


def execute(folder: Path) -> None:
    """tests/data/tour.py, run with two parameters changed."""
    notebook.execute("tour", folder / "tour.ipynb", {"steps": "4,8", "guidance": "4"}, folder=DATA)


def make_book(root: Path, executed: Path) -> None:
    """A book of that notebook and the real pages, built with warnings as errors; its pages: root/build/_build/html."""
    for folder in ("book", "ldm"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    shutil.copy(ROOT / "_config.yml", root)
    shutil.copy(DATA / "_toc.yml", root / "book/_toc.yml")
    for page in root.glob("book/*.md"):  # links to chapters that the small book lacks
        link = r"\[([^\]]*)\]\([^)]+\.ipynb\)"
        page.write_text(re.sub(link, lambda found: found[1] or "there", page.read_text()))
    build.build(root, root / "build", executed.parent)
