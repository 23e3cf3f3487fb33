"""How tall a chart will be, so that a page keeps its place: what is drawn later pushes nothing away.

Vega-Lite lays a chart out without a browser (vl-convert), here as wide as a page's column on a large screen and on a
phone; what stands above it as HTML, sliders and menus, is added. Fonts differ, so a few pixels may be missing.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any

WIDTHS = (704, 342)  # pixels of a page's column in a window of 1280, and of 390
CONTROL = {"range": 32, "select": 30, "radio": 26, "checkbox": 26}  # pixels of one, as ldm.css has it
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
    legend = spec.setdefault("config", {}).setdefault("legend", {})
    legend["columns"] = max(2, width // 120)
    picture = vl_convert.vegalite_to_svg(spec)
    return float(re.search(r'<svg[^>]*? height="([\d.]+)"', picture)[1])


def controls(spec: dict[str, Any], width: int) -> int:
    """Return the height of the sliders and menus that a chart is set by."""
    kinds = [bind["input"] for param in spec.get("params", []) if isinstance(bind := param.get("bind"), dict)]
    lines = [CONTROL[kind] * (2 if width < 500 and kind in ("range", "radio") else 1) for kind in kinds]
    return sum(lines) + AROUND * bool(lines)
