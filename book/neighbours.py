"""As a Sphinx extension: *Previous* and *Next* lead from chapter to chapter, past what was run again of them.

A page of a chapter with other parameters leads back to its chapter, and on to where the chapter does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

AGAIN = "--"  # in the name of a page that was made of a chapter with other parameters (`ldm.commands.variants`)
ENDS = {"prev": 1, "next": 2}  # where a page's neighbours stand in what Sphinx knows: parent, previous, next


def neighbour(page: str, relations: Mapping[str, Sequence[str | None]], end: str) -> str | None:
    """Return the page before or after one, `prev` or `next`, None where there is none."""
    chapter, again, _ = page.partition(AGAIN)
    if again and end == "prev" and chapter in relations:
        return chapter
    found = relations[page][ENDS[end]]
    while found and AGAIN in found:
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
