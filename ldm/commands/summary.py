"""What an executed notebook found, as lines for a terminal: verdicts, best settings, numbers, cells, where to look."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ldm.commands.variants import changed_in, chapter_of, in_words
from ldm.figures.record import BEST, CELLS, VERDICTS, recorded
from ldm.profiles import DEFAULT

WIDTH = 110
SPECIAL = (VERDICTS, BEST, CELLS)


def summary(notebook: Path) -> str:
    """Return what an executed notebook recorded of itself, for whoever has just run it.

    Numbers that no verdict and no best setting says stand by the names under which the chapter records them. A value
    of many parts is cut: the notebook holds it all.
    """
    found, changed = recorded(notebook), changed_in(json.loads(notebook.read_text("utf-8")))
    title = chapter_of(notebook.stem) + (f" ({in_words(changed)})" if changed else "")
    lines = [title, *_verdicts(found.get(VERDICTS, [])), *_best(found.get(BEST, {}))]
    numbers = {name: value for name, value in found.items() if name not in SPECIAL}
    if numbers:
        lines += ["", "Recorded:", *(_item(f"{name}: {_short(value)}") for name, value in numbers.items())]
    cells = found.get(CELLS)
    if cells:
        lines += ["", f"Cells: {cells['new']:,} new, {cells['recorded']:,} taken from recorded rows."]
    return "\n".join([*lines, "", *where(notebook)])


def where(notebook: Path) -> Iterator[str]:
    """Yield where to look: the notebook, and the page that it becomes, where it lies in a build."""
    yield f"The notebook: {notebook}"
    if notebook.parent.name == "notebooks":
        out = notebook.parent.parent
        page = out / "_build/html/notebooks" / f"{notebook.stem}.html"
        profile = f" PROFILE={out.name}" if out.name != DEFAULT else ""
        yield f"The page, after `make book{profile}`: {page}"


def _verdicts(verdicts: list[str]) -> Iterator[str]:
    if verdicts:
        yield from ("", "Verdicts:", *(_item(verdict.replace("**", "")) for verdict in verdicts))


def _best(best: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for metric, settings in best.items():
        yield from ("", f"Best settings, by {metric}:", *(_item(f"{size}: {said}") for size, said in settings.items()))


def _item(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def _short(value: Any, most: int = 200) -> str:
    if isinstance(value, Mapping):
        text = ", ".join(f"{name} {_short(part)}" for name, part in value.items())
    else:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= most else text[: most - 2].rsplit(", ", 1)[0] + ", ..."
