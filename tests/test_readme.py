"""README.md, the book's list of files, and what both lead to."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
import api  # noqa: E402

README = ROOT / "README.md"


def test_the_book_lists_every_file_of_the_package_room_by_room_after_what_it_imports():
    found = api.rooms(ROOT)
    files = [path for paths in found.values() for path in paths]
    assert sorted(files) == sorted((ROOT / "ldm").rglob("*.py"))
    assert not [path for path in files if not api.first_line(path)], "each says in its first line what it is about"
    order = [path.stem for path in found["diffusion"]]
    assert order.index("schedule") < order.index("solvers") < order.index("sampler")
    assert (
        list(found).index("networks")
        < list(found).index("data.scenes")
        < list(found).index("data")
        < list(found).index("figures")
    )


def test_the_readme_names_every_room():
    folders = {path.parent.name for path in (ROOT / "ldm").glob("*/__init__.py")}
    assert folders == set(re.findall(r"^\| \[`(\w+)/`\]\(ldm/", README.read_text(), re.MULTILINE))
    assert all(f"    {name}/ " in (ROOT / "ldm/__init__.py").read_text() for name in folders)


def test_what_the_readme_links_to_and_asks_to_type_exists():
    readme = README.read_text()
    assert len(readme.splitlines()) <= 120
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE)) <= targets
