"""Figures of the book's pages: each with an address of its own, a page that shows it alone, and code that embeds it.

    an output of a chapter -> <div class="ldm-figure" id="figure-guidance"> in the page
      -> _static/figures/04_sampling/figure-guidance.html, and the chart's Vega-Lite specification beside it

An address is made of the heading that the figure stands under, so it stays when other sections come and go.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

ALONE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="../../ldm.css"><style>
html {{ --pst-color-primary: #176de8; --pst-color-surface: #f5f5f5; --pst-color-border: #c9c9c9;
  color-scheme: light dark;
  --pst-color-text-base: #222832; --pst-color-text-muted: #48566b; background: #fff; color: #222832; }}
html[data-theme="dark"] {{ --pst-color-primary: #8fb5f0; --pst-color-surface: #29313d; --pst-color-border: #48566b;
  --pst-color-text-base: #ced6dd; --pst-color-text-muted: #9ca4af; background: #121212; color: #ced6dd; }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: .5rem; }} a {{ color: var(--pst-color-primary); }}
</style><script>
document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
</script></head><body>
{figure}
<p><a href="../../../notebooks/{page}.html#{place}" target="_top">{title}</a></p>
<script src="../../ldm-charts.js"></script></body></html>
"""
DRAWN = ("ldm-chart", "ldm-strip", "ldm-grid", "ldm-divider")  # classes of what counts as a figure


def heading(markdown: str) -> str:
    """Return the last heading of a Markdown text without its links and signs, or "" where there is none."""
    outside = re.sub(r"(?s)```.*?```", "", markdown)
    found = re.findall(r"^#{1,6} +(.+?)\s*$", outside, re.M)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", found[-1]).strip("*` ") if found else ""


def place(heading: str, seen: Counter[str]) -> str:
    """Return the address of the next figure under a heading: figure-guidance, figure-guidance-2 and so on."""
    name = "figure-" + (re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "1")
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}-{seen[name]}"


def is_figure(element: str) -> bool:
    """Return whether the HTML of an output is a chart or pictures."""
    return any(f'class="{kind}"' in element for kind in DRAWN)


def framed(element: str, place: str, page: str) -> str:
    """Return the element with its address, a link to it, and the code that shows it on another page.

    `page`: the chapter's file name. The code is completed by ldm-figures.js, which knows where the book lies.
    """
    alone = f"../_static/figures/{page}/{place}.html"
    code = html.escape(f'<iframe src="{alone}" width="100%" height="500" loading="lazy"></iframe>')
    spec = f', <a href="{alone[:-5]}.vl.json" download>its Vega-Lite specification</a>' * ("ldm-chart" in element)
    return (
        f'<div class="ldm-figure" id="{place}">{element}<div class="ldm-share">'
        f'<a href="#{place}" aria-label="Link to this figure" title="Link to this figure">#</a>'
        f'<details><summary>embed</summary><a href="{alone}">This figure alone</a>{spec}; on another'
        f' page: <code class="ldm-embed command">{code}</code></details></div></div>'
    )


def alone(element: str, place: str, page: str, title: str) -> str:
    """Return a page that shows one figure and leads back to its place in the book."""
    nearer = element.replace("../_static/", "../../")
    return ALONE.format(title=html.escape(title), figure=nearer, page=page, place=place)


def specification(spec: dict[str, Any]) -> str:
    """Return a chart's specification as a file that any drawer of Vega-Lite opens, data and pictures inside."""
    return json.dumps({**spec, "$schema": "https://vega.github.io/schema/vega-lite/v6.json"}, separators=(",", ":"))


def files(folder: Path, page: str, place: str) -> tuple[Path, Path]:
    """Return where a figure's own page and its specification lie below _static."""
    return folder / "figures" / page / f"{place}.html", folder / "figures" / page / f"{place}.vl.json"
