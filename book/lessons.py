"""The two lessons of the book, made from the templates in book/lessons and from recorded rows.

    NAME.md         -> a page of the book, with live charts and questions that are checked in the page
    NAME.slides.md  -> _static/lessons/NAME.slides.html, one file that needs nothing beside it
    NAME.sheet.md   -> _static/lessons/NAME.sheet.html, a sheet of A4 to print, without any answer

A template says `{{ kind:name }}` where something computed stands (`parts`). One profile gives all the numbers.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ldm.profiles import DEFAULT

PROFILE = DEFAULT  # whose rows the lessons teach from
WIDE = {"slides": 720, "sheet": 640}  # pixels of a chart that cannot grow
LOW = {"slides": 250, "sheet": 170}  # pixels that a view of it may be high: a slide is low, and a sheet has to hold all
HALF = 230  # pixels across of a chart in half a sheet
PAPER = {"slides": "size: 297mm 167mm; margin: 0", "sheet": "size: A4; margin: 13mm 15mm"}
SHELL = """<!doctype html>
<html lang="en" class="ldm-{kind}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}
@page {{ {paper} }}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def parts() -> dict[str, Any]:
    """Return everything that a template may name, by `kind:name`: texts, charts, HTML, votes and questions.

    Raises: ValueError where the profile's rows cannot be taught from.
    """
    from ldm import profiles
    from ldm.figures import lessons as figures
    from ldm.metrics.catalogue import brief
    from ldm.paths import ROOT
    from ldm.study.lessons import Lessons
    from ldm.study.questions import first_lesson, letters, second_lesson
    from ldm.study.results import Store

    of = Lessons(profiles.get(PROFILE), Store(ROOT))
    steps = {c: of.affordable(c, of.small_budget) for c in of.sizes}
    buys = [f"{n} step{'s' if n != 1 else ''} of c = {c}" for c, n in steps.items() if n]
    row = of.pair.rows.iloc[0]
    asked = f"With a budget of {of.small_budget:.2g}, which size draws the best pictures?"
    said = (
        f"c = {row['c']} at guidance {row['guidance']:g}, {of.pair.rows['steps'].iloc[0]} steps against"
        f" {of.pair.rows['steps'].iloc[1]}, by {brief(of.metrics[0])} on {of.pair.paired.n} pictures each. The bars are"
        " 95 % intervals."
    )
    found = {
        "text:budget": f"{of.small_budget:.2g}",
        "text:affordable": " or ".join([", ".join(buys[:-1]), buys[-1]]),
        "text:named": figures.named(of),
        "text:answers": figures.answers(of),
        "text:pair": said,
        "text:trainings": figures.trainings(of),
        "text:ranking": figures.ranking(of),
        "text:printed_table1": figures.printed_table1(),
        "html:unnamed": figures.unnamed(of),
        "chart:step_costs": figures.step_costs(of),
        "chart:step_costs_on_half": figures.step_costs(of, HALF),
        "chart:curves": figures.curves(of),
        "chart:advantage": figures.advantage(of, of.metrics),
        "chart:advantage_first": figures.advantage(of, of.metrics[:1]),
        "chart:pair": figures.pair(of),
        "chart:differences": figures.differences(of),
        "guess:budget": (asked, [f"{n} step{'s' if n != 1 else ''} of c = {c}" for c, n in steps.items() if n]),
        "guess:letter": ("Which row is from the largest network?", list(letters(of.sizes))),
        "guess:overlap": ("Are the two settings equally good?", ["equal", "different", "one cannot tell from this"]),
        "ask:seeds": None,  # where no size was trained twice there is nothing to ask
    }
    return found | {f"ask:{name}": q for name, q in (first_lesson(of) | second_lesson(of)).items()}


def fill(template: str, known: Mapping[str, Any], show: Callable[[str, Any], str]) -> str:
    """Return a template with its places filled. Raises: ValueError for a place that nothing is known about."""

    def one(place: re.Match) -> str:
        if place[1] not in known:
            raise ValueError(f"{{{{ {place[1]} }}}} is not known to a lesson; choose one of {', '.join(known)}.")
        return "" if known[place[1]] is None else show(place[1], known[place[1]])

    return re.sub(r"\{\{ (\S+) \}\}", one, template)


def on_page(name: str, value: Any) -> str:
    """A part of a page of the book: charts live, questions as forms."""
    import pages

    import build
    from ldm.figures import lessons as figures

    kind, _, key = name.partition(":")
    if kind == "text":
        return value
    shown = {
        "html": lambda: value,
        "chart": lambda: pages.chart(value.to_dict()),
        "guess": lambda: figures.guess(key, *value),
        "ask": lambda: figures.form(key, value),
    }
    return build.raw(shown[kind]())


def on_slide(name: str, value: Any) -> str:
    """A part of a slide: charts as pictures, questions as forms."""
    kind, _, key = name.partition(":")
    if kind == "chart":
        return picture(value, WIDE["slides"], LOW["slides"])
    return re.sub(r"^```.*\n?", "", on_page(name, value), flags=re.M)


def on_sheet(name: str, value: Any) -> str:
    """A part of a sheet: charts as pictures, a question with a line to write on and without its answer."""
    kind, _, key = name.partition(":")
    if kind == "chart":
        return picture(value, WIDE["sheet"], LOW["sheet"])
    if kind == "ask":
        choices = f" ({' / '.join(value.choices)})" if value.choices else ""
        return f'<p class="ask">{html.escape(value.ask + choices)} <span class="line"></span></p>'
    return on_slide(name, value)


def picture(chart: Any, width: int, height: int = 1000) -> str:
    """A chart as a picture inside the page, which needs no JavaScript to be seen or printed.

    height: of each of its views, at most.
    """
    import vl_convert

    spec = chart.to_dict()
    for view in (spec, spec.get("spec", {}), *spec.get("vconcat", ())):
        if view.get("width") in ("container", 540):
            view["width"] = width - 90
        if isinstance(view.get("height"), int | float):
            view["height"] = min(view["height"], height)
    spec = json.loads(json.dumps(spec).replace('"#888"', '"#3b4350"'))
    svg = vl_convert.vegalite_to_svg(spec | {"background": "white"}, vl_version="6.4")
    data = base64.b64encode(svg.encode()).decode()
    alt = html.escape(spec.get("description", "a chart"))
    return f'<img class="chart" alt="{alt}" src="data:image/svg+xml;base64,{data}">'


def marked(text: str) -> str:
    """Markdown as HTML; what is HTML already stays as it is."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def slides(text: str) -> str:
    """Slides as one HTML file; `text`: a filled template, with a line `---` between two slides."""
    sheets = [marked(part) for part in re.split(r"^---$", text, flags=re.M)]
    body = "\n".join(
        f'<section aria-label="slide {i} of {len(sheets)}">\n{part}</section>' for i, part in enumerate(sheets, 1)
    )
    return shell("slides", text, body)


def sheet(text: str) -> str:
    """A sheet to print as one HTML file; `text`: a filled template."""
    return shell("sheet", text, marked(text))


def shell(kind: str, text: str, body: str) -> str:
    static = Path(__file__).parent / "_static"
    title = re.search(r"^# (.+)$", text, re.M)[1]
    style = (static / "lessons.css").read_text("utf-8")
    script = (static / "lessons.js").read_text("utf-8")
    return SHELL.format(kind=kind, title=html.escape(title), style=style, paper=PAPER[kind], script=script, body=body)


def put(root: Path, source: Path) -> None:
    """Write the lessons of a repository into the source of its book."""
    from build import copy

    known = parts()
    for path in sorted((root / "book/lessons").glob("*.md")):
        text, name = path.read_text("utf-8"), path.name.removesuffix(".md")
        if name.endswith(".slides"):
            copy(slides(fill(text, known, on_slide)).encode(), source / f"book/_static/lessons/{name}.html")
        elif name.endswith(".sheet"):
            copy(sheet(fill(text, known, on_sheet)).encode(), source / f"book/_static/lessons/{name}.html")
        else:
            head = loaded()
            copy(f"{fill(text, known, on_page)}\n{head}\n".encode(), source / f"book/lessons/{path.name}")


def loaded() -> str:
    """What a page of a lesson loads: the same two files that slides have inside."""
    import build

    return build.raw(
        '<link rel="stylesheet" href="../../_static/lessons.css"><script src="../../_static/lessons.js" defer></script>'
    )
