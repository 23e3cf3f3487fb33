"""The part "The code": a page for each file of ldm/ in reading order, made from its docstrings by Sphinx's autodoc."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

FILES = "(the list of files)"  # what the build replaces in book/code.md


def reading_order(root: Path) -> list[Path]:
    """The files of ldm/ from the bottom of the import contract to its top."""
    contract = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    names = [layer.strip("()") for layer in reversed(contract["contracts"][0]["layers"])]
    paths = [path for name in names for path in [root / f"ldm/{name}.py", *sorted((root / "ldm" / name).glob("*.py"))]]
    return [path for path in paths if path.is_file()]


def first_line(path: Path) -> str:
    """What a file is about: the first line of its docstring."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0].rstrip(".")


def pages(root: Path) -> dict[str, str]:
    """Name -> Markdown of every page; the files of a package share one."""
    found: dict[str, list[str]] = {}
    for path in reading_order(root):
        parts = path.relative_to(root).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        level = "##" if len(parts) > 2 and parts[-1] != "__init__" else "#"
        title = module.removeprefix("ldm.").replace("__", r"\_\_")  # underscores, not bold letters
        found.setdefault(parts[1], []).append(
            f"{level} {title}\n\n"
            f"[`{path.relative_to(root)}`](../../{path.relative_to(root)}), {len(path.read_text().splitlines())} lines\n\n"
            f"```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n   :ignore-module-all:\n```\n"
        )
    return {name: "\n".join(parts) for name, parts in found.items()}


def contents(root: Path, made: dict[str, str]) -> str:
    """The pages as a numbered list in Markdown, each with the first line of its file."""
    about = {name: root / f"ldm/{name}.py" for name in made}
    lines = {name: first_line(path if path.is_file() else root / f"ldm/{name}/__init__.py") for name, path in about.items()}
    return "\n".join(f"1. [{name}](code/{name}.md): {line}." for name, line in lines.items())


def setup(app: Any) -> None:
    """As a Sphinx extension: our docstrings are plain text, in which reStructuredText sees a little too much."""
    app.connect("autodoc-process-docstring", lambda app, what, name, obj, options, lines: lines.__setitem__(slice(None), plain(lines)))
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
