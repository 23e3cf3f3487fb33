"""An executed notebook as a page of the book: how it was made, its figures, and nothing that only machines read."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import figures
import heights
import published

from ldm.commands.variants import changed_in, chapter_of, in_words
from ldm.profiles import DEFAULT

VEGALITE = "application/vnd.vegalite.v5+json"  # what ldm.figures.charts emits
RESULTS = "application/vnd.ldm.results+json"  # what ldm.figures.record.record emits: not for readers


def for_readers(
    notebook: str,
    static: Path | None = None,
    name: str = "",
    *,
    foot: bool = False,
    where: dict[str, str] | None = None,
    cache: Path | None = None,
    interpreter: int = 0,
    since: str = "",
) -> str:
    """An executed notebook with its charts as HTML and without what only machines read.

    `static`: the folder for pictures of charts and for figures' own pages, so that a page loads those that are seen;
    None leaves them inside. `name`: of the notebook's file; if given, the command that made the page stands beneath
    its title, or with `foot` beneath its last words: the first page of the book begins with what it is about. `where`:
    the repository (`published.repository`). `cache`: a file that remembers the heights of charts. `interpreter`: bytes
    of what runs the cells that readers ask (`ldm.figures.ask`); without it they are left out. `since`: when the chapter
    was run (`ran`) that this is with other parameters.
    """
    content = published.parameters_as_run(json.loads(notebook))
    if name:
        introduce(content, name, where or {}, foot=foot, since=since)
    under, seen = "", Counter()
    for cell in content["cells"]:
        if cell.get("cell_type") == "markdown":
            under = figures.heading("".join(cell["source"])) or under
        kept = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if RESULTS in data:
                continue
            spec = data.get(VEGALITE)
            if spec:
                output["data"] = data = {"text/html": chart(spec, static and static / "pictures", cache=cache)}
            element = "".join(data.get("text/html", ""))
            if published.ASKED in element:
                if not (interpreter and static):
                    continue
                data["text/html"] = asked(element, static / "asked", interpreter)
            if name and static and figures.is_figure(element):
                place = figures.place(under, seen)
                data["text/html"] = figures.framed(element, place, name)
                page, raw = figures.files(static, name, place)
                title = ": ".join(dict.fromkeys([title_of(content), under]))
                copy(figures.alone(element, place, name, title).encode(), page)
                if spec:
                    copy(figures.specification(spec).encode(), raw)
            if "text/markdown" in data:  # to Sphinx the Markdown of an output is text, whose links it leaves alone
                text = "".join(data["text/markdown"])
                data["text/markdown"] = re.sub(r"(\]\((?!\w+:)[^)#]+)\.(ipynb|md)(?=[)#])", r"\1.html", text)
            kept.append(output)
        if "outputs" in cell:
            cell["outputs"] = kept
    return json.dumps(content, indent=1)


def title_of(content: dict[str, Any]) -> str:
    """The title of a notebook: the first line of its first cell."""
    return "".join(content["cells"][0]["source"]).split("\n")[0].lstrip("# ")


def ran(content: dict[str, Any]) -> str:
    """When a notebook was executed, such as 2026-11-29T16:13:48+00:00; empty where it does not say."""
    return content["metadata"].get("papermill", {}).get("end_time", "")


def introduce(content: dict[str, Any], name: str, where: dict[str, str], *, foot: bool, since: str = "") -> None:
    """Say on the page how it was made, where its notebook lies, and, of one run with other parameters, with which.

    Of that one it also says when, and whether the chapter was run after it (`since`).
    """
    source, other = chapter_of(name), changed_in(content)
    given = content["metadata"].get("papermill", {}).get("parameters", {})
    if other:
        given = {**{key: given[key] for key in ("profile",) if key in given}, **other}
    again = (
        f"*Run this page again: `{command(source, given)}`. Open it as a notebook: `make lab`, `notebooks/{source}.py`;"
        f" or take {published.offer(name, source, where)}.*"
    )
    title, *rest = "".join(content["cells"][0]["source"]).split("\n")
    if other:
        title += f" ({in_words(other)})"
        day = f" on {ran(content)[:10]}" if ran(content) else ""
        newer = " **The chapter was run after this page, so it may show newer rows.**" if ran(content) < since else ""
        again = (
            f"**[The chapter]({source}.ipynb), run again{day} with {in_words(other)}.** What is said of the recorded"
            f" numbers alone has been left out; all parameters stand below.{newer}\n\n{again}"
        )
    if foot:
        last = [cell for cell in content["cells"] if cell["cell_type"] == "markdown"][-1]
        last["source"] = "".join(last["source"]) + f"\n\n{again}"
    else:
        content["cells"][0]["source"] = "\n".join([title, "", again, *rest])


def command(name: str, given: dict[str, Any]) -> str:
    """What to type for a notebook with these parameters."""
    said = {key: ",".join(map(str, value)) if isinstance(value, list) else str(value) for key, value in given.items()}
    profile = said.pop("profile", DEFAULT)
    more = " ".join(f"-p {key} {value!r}" if " " in value else f"-p {key} {value}" for key, value in said.items())
    parts = [
        f"make notebook N={name}",
        f"PROFILE={profile}" if profile != DEFAULT else "",
        f'ARGS="{more}"' if more else "",
    ]
    return " ".join(filter(None, parts))


def chart(spec: dict[str, Any], pictures: Path | None = None, *, cache: Path | None = None) -> str:
    """A chart as the element that book/_static/ldm-charts.js fills, as tall as the drawing will be.

    Its pictures go into the folder, if there is one. `cache`: a file that remembers heights.
    """
    spec = {**spec, "$schema": "https://vega.github.io/schema/vega-lite/v6.json"}
    label = html.escape(str(spec.get("description", "an interactive chart")))
    text = json.dumps(spec, separators=(",", ":")).replace("</", "<\\/")
    if pictures:
        text = re.sub(
            r"data:image/webp;base64,([\w+/=]+)", lambda found: "../_static/pictures/" + put(found[1], pictures), text
        )
    wide, narrow = heights.of(spec, cache)
    return (
        f'<div class="ldm-chart" role="figure" aria-label="{label}" style="--wide:{wide}px;--narrow:{narrow}px">'
        f'<script type="application/json">{text}</script>'
        "<noscript>This chart is drawn by JavaScript.</noscript></div>"
    )


def asked(element: str, folder: Path, interpreter: int) -> str:
    """A cell that readers ask, with its rows in a file of the folder, and with the bytes that its first run loads."""
    found = re.search(r'data-rows="data:application/zip;base64,([\w+/=]+)"', element)
    if found is None:
        raise ValueError("A cell that readers ask has no rows; run its notebook again.")
    name = put(found[1], folder, ".npz")
    size = interpreter + (folder / name).stat().st_size
    return element.replace(found[0], f'data-rows="../_static/{folder.name}/{name}" data-bytes="{size}"')


def put(picture: str, folder: Path, ending: str = ".webp") -> str:
    """Write a picture, given as base64, and return the file's name, which its content determines."""
    data = base64.b64decode(picture)
    name = hashlib.sha256(data).hexdigest()[:16] + ending
    copy(data, folder / name)
    return name


def copy(data: bytes, target: Path) -> None:
    """Write only what changed: Sphinx rebuilds a page when its file is newer."""
    if not target.is_file() or target.read_bytes() != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
