"""The part "The code": a page for each room of ldm/, made from docstrings by Sphinx's autodoc.

Files are in the reading order that the docstring of each room gives.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

FILES = "(the list of files)"  # what the build replaces in book/code.md


def rooms(root: Path) -> dict[str, list[Path]]:
    """Return each room with its files in reading order, from the bottom of the import contract to its top.

    A room is named by its folder below ldm/, "scenes" of data as "data.scenes"; files beside the rooms are of room
    "ldm".
    """
    contract = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    names = [name for layer in reversed(contract["contracts"][0]["layers"]) for name in layer.split(" : ")]
    beside = [path for name in names if (path := root / f"ldm/{name}.py").is_file()]
    found = {"ldm": [root / "ldm/__init__.py", *beside]}
    for name in names:
        folders = sorted(
            {path.parent for path in (root / "ldm" / name).rglob("*.py")}, key=lambda path: (-len(path.parts), path)
        )
        for folder in folders:
            found[".".join(folder.relative_to(root / "ldm").parts)] = in_order(folder)
    return found


def in_order(folder: Path) -> list[Path]:
    """Return the files of a folder as its docstring lists them, its own first.

    Raises: ValueError where the list has not every file once.
    """
    first = folder / "__init__.py"
    listed = re.search(r"^In reading order: ([\w,\s]+)\.$", first.read_text("utf-8"), re.MULTILINE)
    names = re.findall(r"\w+", listed[1]) if listed else []
    files = {path.stem for path in folder.glob("*.py")} - {first.stem}
    if sorted(names) != sorted(files):
        wrong = sorted(files ^ set(names)) or "a file twice"
        raise ValueError(f'{first}: "In reading order: ..." in its docstring has to list each file once; see {wrong}.')
    return [first, *(folder / f"{name}.py" for name in names)]


def module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def first_line(path: Path) -> str:
    """Return what a file is about: the first paragraph of its docstring, on one line."""
    about = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
    return " ".join(about.split()).rstrip(".")


def pages(root: Path) -> dict[str, str]:
    """Return the name and the Markdown of every page; a room's files share one."""
    found = {}
    for room, paths in rooms(root).items():
        parts = []
        for path in paths:
            name = module(root, path)
            first = path.name == "__init__.py"
            title = name.removeprefix("ldm.").replace("__", r"\_\_")  # underscores, not bold letters
            parts.append(
                f"{'#' if first else '##'} {title}\n\n[`{path.relative_to(root)}`](../../{path.relative_to(root)}),"
                f" {len(path.read_text('utf-8').splitlines())} lines\n\n```{{eval-rst}}\n.. automodule:: {name}\n  "
                " :members:\n   :ignore-module-all:\n```\n"
            )
        found[room] = "\n".join(parts)
    return found


def contents(root: Path) -> str:
    """Return the rooms as headings in Markdown, each with its files and what they are about."""
    lines = []
    for room, paths in rooms(root).items():
        first, *files = paths
        lines.append(f"\n## [{room}](code/{room}.md)\n\n{first_line(first)}.\n")
        lines += [f"1. `{path.stem}`: {first_line(path)}." for path in files]
    return "\n".join(lines)


def setup(app: Any) -> None:
    """As a Sphinx extension: our docstrings are plain text, in which reStructuredText sees a little too much."""
    app.connect(
        "autodoc-process-docstring",
        lambda app, what, name, obj, options, lines: lines.__setitem__(slice(None), plain(lines)),
    )
    app.connect("autodoc-before-process-signature", lambda app, obj, bound: without_markers(obj))
    app.connect("autodoc-skip-member", lambda app, what, name, obj, skip, options: is_alias(obj) or None)


def plain(lines: list[str]) -> list[str]:
    """`|x|` is a norm and no substitution, and letters may follow what stands in backticks."""
    return [re.sub(r"(?<=[\w)\]]`)(?=\w)", r"\\ ", line.replace("|", r"\|")) for line in lines]


def without_markers(member: Any) -> None:
    """The command line's `Positional[str]` is to a reader a `str`."""
    if re.search("Annotated|Positional", str(getattr(member, "__annotations__", ""))):
        member.__annotations__ = get_type_hints(member)


def is_alias(member: Any) -> bool:
    """Whether it is a field of a named tuple, which has only Python's own words for a docstring."""
    return (getattr(member, "__doc__", None) or "").startswith("Alias for field number")
