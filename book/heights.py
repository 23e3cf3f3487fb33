"""How tall a chart will be, so that a page keeps its place: what is drawn later pushes nothing away.

Vega-Lite lays a chart out without a browser (vl-convert), here as wide as a page's column on a large screen and on a
phone; what stands above it as HTML, sliders and menus, is added. Fonts differ, so a few pixels may be missing.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

WIDTHS = (688, 358)  # pixels of a page's column in a window of 1280, and of 390
LINE = {"range": 32, "select": 25, "radio": 24, "checkbox": 24}  # pixels of one line of each, as ldm.css has it
# Pixels across: a letter of a name and of a choice, a radio button and a menu without their text, a slider at least
LETTER, SMALL, DOT, BOX, SLIDER = 8, 6, 28, 42, 224
AROUND = 12  # of the space above and below them


def of(spec: dict[str, Any], cache: Path | None = None) -> tuple[int, ...]:
    """Return the height of a chart in pixels at each of `WIDTHS`. `cache`: a file that remembers them by the chart."""
    known = json.loads(cache.read_text("utf-8")) if cache and cache.is_file() else {}
    key = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:24]
    if key not in known:
        known[key] = [round(laid_out(spec, width) + controls(spec, width)) for width in WIDTHS]
        if cache:
            cache.parent.mkdir(parents=True, exist_ok=True)
            cache.write_text(json.dumps(known, indent=0), "utf-8")
    return tuple(known[key])


def laid_out(spec: dict[str, Any], width: int) -> float:
    """Return the height of the drawing alone, as ldm-charts.js fits it into a column of this width."""
    import vl_convert

    spec = copy.deepcopy(spec)
    views = spec.get("vconcat") or ([spec["spec"]] if "facet" in spec else [spec])
    for view in views:
        if view is not spec or view.get("width") == "container":
            view["width"] = max(120, width - (70 if view is spec else 110))
            if isinstance(mark := view.get("mark"), dict) and mark["type"] == "image":
                view["height"] = min(view["height"], 2 * (view["width"] / _most(spec) - 6))
    legend = spec.setdefault("config", {}).setdefault("legend", {})
    legend["columns"] = max(2, width // 120)
    picture = vl_convert.vegalite_to_svg(spec)
    return float(re.search(r'<svg[^>]*? height="([\d.]+)"', picture)[1])


def _most(spec: dict[str, Any]) -> int:
    """Return how many sizes the explorer shows pictures of, beside each other."""
    sizes = [param["value"] for param in spec.get("params", []) if param["name"] == "sizes"]
    return max((len(of) for families in sizes for of in families.values()), default=1)


def controls(spec: dict[str, Any], width: int) -> int:
    """Return the height of the sliders and menus that a chart is set by: each with its name before it, or above it."""
    binds = [bind for param in spec.get("params", []) if isinstance(bind := param.get("bind"), dict)]
    return sum(lines(bind, width) * LINE[bind["input"]] for bind in binds) + AROUND * bool(binds)


def lines(bind: dict[str, Any], width: int) -> int:
    """Return how many lines a control takes in a column of this width."""
    kind = bind["input"]
    around = DOT if kind == "radio" else BOX
    texts = [SMALL * len(str(text)) + around for text in bind.get("labels") or bind.get("options") or []]
    across = SLIDER if kind == "range" else sum(texts) if kind == "radio" else max(texts, default=BOX)
    named = LETTER * len(bind.get("name", "")) + 29  # its margin and the gap, of 0.9 rem each
    return 1 if named + across <= width else 1 + math.ceil(across / width)
