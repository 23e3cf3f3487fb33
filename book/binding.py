"""Bind printed pages to one PDF: contents, running page numbers, and links that lead to their place in it."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TITLE = "Bigger is not always better"
SHEET = "width:210mm;height:297mm;position:relative;break-after:page;overflow:hidden"
NUMBER = "position:absolute;bottom:8mm;left:0;right:0;text-align:center;font:8pt system-ui,sans-serif;color:#444"
FRONT = """<!doctype html><meta charset="utf-8"><style>
body {{ font: 10.5pt/1.45 system-ui, sans-serif; color: #1a1f26; margin: 0; }}
h1 {{ font-size: 26pt; margin: 0 0 .2em; }}
h2 {{ font-size: 12pt; margin: 1.1em 0 .2em; break-after: avoid; }}
p {{ margin: .2em 0 1em; }}
a {{ display: flex; gap: .5em; color: inherit; text-decoration: none; }}
a::before {{ content: ""; order: 1; flex: 1; border-bottom: 1px dotted #999; margin-bottom: .35em; }}
b {{ order: 2; font-weight: normal; }}
.within {{ margin-left: 1.5em; }}
</style><h1>{title}</h1>
<p>An open replication. On paper nothing moves: where a page speaks of choosing, dragging or pointing, it stands here as
it is at first. Readers new to diffusion models begin with <i>How to read it</i>.</p>
{parts}"""
Printer = Callable[[str, Mapping[str, Any]], bytes]  # (HTML, margins) -> PDF


class Printed(NamedTuple):
    """One page of the book on paper."""

    title: str
    data: bytes  # its PDF


class Entry(NamedTuple):
    """A page in the table of contents."""

    page: str
    part: str  # the caption above it, or ""
    depth: int = 0


def entries(toc: Mapping[str, Any]) -> list[Entry]:
    """Return all pages of a table of contents (`_toc.yml`), in order."""

    def below(chapters: Sequence[Mapping[str, Any]], part: str, depth: int) -> list[Entry]:
        found = []
        for entry in chapters:  # of links to elsewhere there is nothing to print
            own = [Entry(entry["file"], part, depth)] if "file" in entry else []
            found += own + below(entry.get("sections", []), part, depth + 1)
        return found

    parts = toc.get("parts", [{"caption": "", "chapters": toc.get("chapters", [])}])
    return [Entry(toc["root"], "")] + [
        e for part in parts for e in below(part.get("chapters", []), part.get("caption", ""), 0)
    ]


def bound(folder: Path, pages: Mapping[str, Printed], toc: Sequence[Entry], paper: Printer, home: str = "") -> Any:
    """Return one PDF (`pypdf.PdfWriter`) of all pages, with contents, an outline and numbers at their feet.

    Args:
        folder: where the book was built, from which links between pages lead.
        pages: name -> what was printed. toc: their order; those that were not printed are passed over.
        paper: prints HTML. home: where the book is published; without it links to files beside its pages go.
    """
    from pypdf import PdfReader, PdfWriter

    toc = [entry for entry in toc if entry.page in pages]
    read = {entry.page: PdfReader(io.BytesIO(pages[entry.page].data)) for entry in toc}
    front = _front(folder, pages, toc, read, paper)
    book, first, parts = PdfWriter(), {}, {}
    for page in front.pages:
        book.add_page(page)
    for entry in toc:
        first[entry.page] = len(book.pages)
        if entry.part and entry.part not in parts:
            parts[entry.part] = book.add_outline_item(title=entry.part, page_number=first[entry.page])
        for page in read[entry.page].pages:
            book.add_page(page)
        book.add_outline_item(
            title=pages[entry.page].title, page_number=first[entry.page], parent=parts.get(entry.part)
        )
    places = {name: _places(reader) for name, reader in read.items()}
    starts = sorted((start, name) for name, start in first.items())
    for number, page in enumerate(book.pages):
        own = next((name for start, name in reversed(starts) if start <= number), "")
        _lead(book, page, own, first, places, folder, home)
    _number(book, [name for _, name in starts], first, pages, paper)
    book.add_metadata({"/Title": TITLE})
    book.page_mode = "/UseOutlines"
    return book


def _front(
    folder: Path, pages: Mapping[str, Printed], toc: Sequence[Entry], read: Mapping[str, Any], paper: Printer
) -> Any:
    """Return the contents on paper. Their own length moves all numbers, so they are printed until it is right."""
    from pypdf import PdfReader

    margin, length = {"top": "22mm", "bottom": "20mm", "left": "25mm", "right": "25mm"}, 1
    while True:
        number, part, lines = length + 1, "", []
        for entry in toc:
            if entry.part != part:
                part = entry.part
                lines.append(f"<h2>{html.escape(part)}</h2>")
            within = ' class="within"' if entry.depth else ""
            link = (folder / f"{entry.page}.html").as_uri()
            lines.append(f'<a{within} href="{link}">{html.escape(pages[entry.page].title)}<b>{number}</b></a>')
            number += len(read[entry.page].pages)
        found = PdfReader(io.BytesIO(paper(FRONT.format(title=TITLE, parts="\n".join(lines)), margin)))
        if len(found.pages) <= length:
            return found
        length = len(found.pages)


def _places(reader: Any) -> dict[str, tuple[int, float]]:
    """Return the places of a printed page that links may name: name -> (page from 0, height in points)."""
    found = {}
    for name, place in reader.named_destinations.items():
        number = reader.get_destination_page_number(place)
        if number is not None and number >= 0:
            found[name.lstrip("/")] = (number, float(place.top) if isinstance(place.top, int | float) else 0.0)
    return found


def _lead(
    book: Any,
    page: Any,
    own: str,
    first: Mapping[str, int],
    places: Mapping[str, Mapping[str, tuple[int, float]]],
    folder: Path,
    home: str,
) -> None:
    """Let the links of a page lead to their place in the book; those to files of the site lead there, or go."""
    from urllib.parse import unquote, urlsplit

    from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject, TextStringObject

    kept, site = ArrayObject(), folder.as_uri() + "/"
    for each in page.get("/Annots", []):
        link = each.get_object()
        address = str(link.get("/A", {}).get("/URI", ""))
        name, place = own, str(link.get("/Dest", "")).lstrip("/")
        if address.startswith("file:"):
            path = urlsplit(address)
            within = address.split("#")[0].removeprefix(site)
            name, place = unquote(within).removesuffix(".html"), unquote(path.fragment)
            if name not in first:
                if not home or not address.startswith(site):
                    continue
                link["/A"][NameObject("/URI")] = TextStringObject(f"{home.rstrip('/')}/{address.removeprefix(site)}")
                kept.append(each)
                continue
        elif address:
            kept.append(each)
            continue
        inside, top = places.get(name, {}).get(place, (0, None))
        target = book.pages[first.get(name, 0) + inside].indirect_reference
        height = NullObject() if top is None else FloatObject(top)
        link.pop("/A", None)
        link[NameObject("/Dest")] = ArrayObject([target, NameObject("/XYZ"), NullObject(), height, NullObject()])
        kept.append(each)
    if "/Annots" in page:
        page[NameObject("/Annots")] = kept


def _number(
    book: Any, names: Sequence[str], first: Mapping[str, int], pages: Mapping[str, Printed], paper: Printer
) -> None:
    """Put the title of the chapter and the number of the page in the whole book at the foot of each page."""
    from pypdf import PdfReader

    feet, title = [], TITLE
    starts = {first[name]: pages[name].title for name in names}
    for number in range(len(book.pages)):
        title = starts.get(number, title)
        feet.append(f'<div style="{SHEET}"><p style="{NUMBER}">{html.escape(title)} · {number + 1}</p></div>')
    margin = dict.fromkeys(("top", "bottom", "left", "right"), "0")
    printed = PdfReader(
        io.BytesIO(paper('<style>body{margin:0}</style><meta charset="utf-8">' + "".join(feet), margin))
    )
    for page, foot in zip(book.pages, printed.pages, strict=False):
        page.merge_page(foot)
        page.compress_content_streams()
