"""README.md lists every file of the package with its docstring's first line, in reading order.

`python tests/test_readme.py` (`make readme`) writes the list anew.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- files: made by `make readme` -->\n", "<!-- end of files -->\n"


def reading_order() -> list[Path]:
    """The files of ldm/ from the bottom of the import contract to its top."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    names = [layer.strip("()") for layer in reversed(contract["contracts"][0]["layers"])]
    paths = [
        path
        for name in names
        for path in [ROOT / f"ldm/{name}.py", *sorted((ROOT / "ldm" / name).glob("*.py"))]
    ]
    return [path for path in paths if path.is_file()]


def first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")


def listed() -> str:
    return "".join(
        f"- [`{path.relative_to(ROOT)}`]({path.relative_to(ROOT)}): {first_line(path)}.\n"
        for path in reading_order()
    )


def with_list(readme: str) -> str:
    before, rest = readme.split(BEGIN)
    return before + BEGIN + listed() + END + rest.split(END)[1]


def test_every_file_of_the_package_is_listed_with_its_first_line():
    assert all(first_line(path) for path in reading_order())
    assert len(reading_order()) >= len(list((ROOT / "ldm").glob("[!_]*.py")))
    assert with_list(README.read_text()) == README.read_text(), "run `make readme`"


def test_what_the_readme_links_to_and_asks_to_type_exists():
    readme = README.read_text()
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", readme, re.MULTILINE)) <= targets


if __name__ == "__main__":
    README.write_text(with_list(README.read_text()))
