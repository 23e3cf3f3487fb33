"""README.md, the book's list of files, and what both lead to."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
import api  # noqa: E402

README = ROOT / "README.md"


def test_the_book_lists_every_file_of_the_package_room_by_room_in_reading_order():
    found = api.rooms(ROOT)
    files = [path for paths in found.values() for path in paths]
    assert sorted(files) == sorted((ROOT / "ldm").rglob("*.py"))
    assert not [path for path in files if not api.first_line(path)], "each says in its first line what it is about"
    assert [path.stem for path in found["diffusion"]][:3] == ["__init__", "schedule", "losses"]
    assert (
        list(found).index("networks")
        < list(found).index("data.scenes")
        < list(found).index("data")
        < list(found).index("figures")
    )


def test_a_room_whose_docstring_leaves_a_file_out_of_the_reading_order_is_refused(tmp_path):
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").touch()
    room = tmp_path / "__init__.py"
    room.write_text('"""A room.\n\nIn reading order: second,\nfirst.\n"""\n')
    assert [path.stem for path in api.in_order(tmp_path)] == ["__init__", "second", "first"]
    for listed in ("In reading order: second.", "In reading order: first, second, second.", ""):
        room.write_text(f'"""A room.\n\n{listed}\n"""\n')
        with pytest.raises(ValueError, match="has to list each file once"):
            api.in_order(tmp_path)


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
