"""Chapters that were run again with other parameters: which there are, where they stand, and what leads past them.

In the table of contents each stands beneath its chapter. As a Sphinx extension, *Previous* and *Next* lead from chapter
to chapter; a page that was run again leads back to its chapter, and on to where the chapter does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pages import copy, title_of

from ldm.commands.variants import changed_in, chapter_of, in_words

ENDS = {"prev": 1, "next": 2}  # where a page's neighbours stand in what Sphinx knows: parent, previous, next


def run_again(notebooks: Path, executed: dict[str, Path]) -> dict[str, Path]:
    """Pages of the chapters that were run again with other parameters: page -> executed notebook, by name."""
    found = {}
    for path in sorted(notebooks.glob("*--*.ipynb")):
        page = f"notebooks/{path.stem}"
        if f"notebooks/{chapter_of(path.stem)}" in executed and changed_in(json.loads(path.read_text("utf-8"))):
            found[page] = path
    return found


def forget(folders: Sequence[Path], again: Mapping[str, Path]) -> None:
    """Remove from a build's folders what it made of notebooks that have been deleted since."""
    for folder in folders:
        for path in (folder / "notebooks").glob("*--*"):
            if f"notebooks/{path.stem}" not in again:
                path.unlink()


def list_under_chapters(toc: Path, again: dict[str, Path]) -> None:
    """Put what was run again beneath its chapter in the table of contents, named by what was changed.

    Beneath the first page none can stand: what was run again of it opens the first list of chapters.
    """
    import yaml

    content = yaml.safe_load(toc.read_text("utf-8"))
    lists = [part["chapters"] for part in [content, *content.get("parts", [])] if "chapters" in part]
    listed = {entry["file"]: entry for chapters in lists for entry in chapters}
    for page, path in again.items():
        other = json.loads(path.read_text("utf-8"))
        title = f"{title_of(other).split(':')[0]} ({in_words(changed_in(other))})"
        chapter = listed.get(f"notebooks/{chapter_of(path.stem)}")
        (chapter.setdefault("sections", []) if chapter else lists[0]).append({"file": page, "title": title})
    if again:
        copy(yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode(), toc)


def neighbour(page: str, relations: Mapping[str, Sequence[str | None]], end: str) -> str | None:
    """Return the page before or after one, `prev` or `next`, None where there is none."""
    chapter = chapter_of(page)
    if page != chapter and end == "prev" and chapter in relations:
        return chapter
    found = relations[page][ENDS[end]]
    while found and found != chapter_of(found):
        found = relations[found][ENDS[end]]
    return found


def setup(app: Any) -> dict[str, bool]:
    def put(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
        builder = app.builder
        if page not in getattr(builder, "relations", {}):
            return
        for end in ENDS:
            found = neighbour(page, builder.relations, end)
            title = found and builder.render_partial(builder.env.titles[found])["title"]
            context[end] = found and {"link": builder.get_relative_uri(page, found), "title": title}

    app.connect("html-page-context", put)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
