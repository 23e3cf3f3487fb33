"""README.md lists every file of the package with its docstring's first line, in reading order.

`python tests/test_readme.py` (`make readme`) writes the list anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))
from api import first_line, reading_order  # noqa: E402

README = ROOT / "README.md"
BEGIN, END = "<!-- files: made by `make readme` -->\n", "<!-- end of files -->\n"


def listed() -> str:
    return "".join(
        f"- [`{path.relative_to(ROOT)}`]({path.relative_to(ROOT)}): {first_line(path)}.\n"
        for path in reading_order(ROOT)
    )


def with_list(readme: str) -> str:
    before, rest = readme.split(BEGIN)
    return before + BEGIN + listed() + END + rest.split(END)[1]


def test_every_file_of_the_package_is_listed_with_its_first_line():
    assert all(first_line(path) for path in reading_order(ROOT))
    assert len(reading_order(ROOT)) >= len(list((ROOT / "ldm").glob("[!_]*.py")))
    assert with_list(README.read_text()) == README.read_text(), "run `make readme`"


def test_what_the_readme_links_to_and_asks_to_type_exists():
    readme = README.read_text()
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE)) <= targets


if __name__ == "__main__":
    README.write_text(with_list(README.read_text()))
