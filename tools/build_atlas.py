"""Rebuild art/: one 96 px lossless WebP atlas a style, and art/emoji.csv. Maintainers only.

    npm install --ignore-scripts --prefix /tmp/emoji @iconify-json/noto@1.2.9 \\
        @iconify-json/twemoji@1.2.5 @iconify-json/fluent-emoji-flat@1.2.6 \\
        @iconify-json/fluent-emoji@1.2.7
    pip install resvg_py==0.5.0
    python tools/build_atlas.py /tmp/emoji/node_modules

Users never run this: the atlases are in the repository, because pixels may change between
versions of the rasteriser. tools/emoji.txt lists the emoji: order is the nested vocabulary
(a vocabulary of n is the first n rows that are not held out), and says how a caption names each.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ldm.data.scenes.emoji import CELL, COLOURS, COLUMNS, STYLES  # noqa: E402
from ldm.files import write_atomic  # noqa: E402

PACKAGES = {
    "cartoon": "noto",
    "flat": "twemoji",
    "papercut": "fluent-emoji-flat",
    "3d": "fluent-emoji",
}
DRAWN_AT = 192  # pixels; drawn at twice the cell and reduced, so that edges are smooth
HIDES_WITHIN = 75  # RGB distance at which a part of a drawing is lost on a colour
HIDES_SHARE = 0.42  # and the share of the drawing, in any style, that makes it hidden


class Style:
    """One style of emoji, as an npm package has its drawings."""

    def __init__(self, modules: Path, style: str):
        folder = modules / "@iconify-json" / PACKAGES[style]
        self.icons = json.loads((folder / "icons.json").read_text())
        if style == "3d":  # fluent-emoji has no code points, but the names of its flat sister
            folder = modules / "@iconify-json" / PACKAGES["papercut"]
        chars = json.loads((folder / "chars.json").read_text())
        self.names = {_plain(code): name for code, name in chars.items()}

    def svg(self, codepoint: str) -> str:
        """Return the drawing of a code point as SVG."""
        name = self.names[_plain(codepoint)]
        name = self.icons.get("aliases", {}).get(name, {}).get("parent", name)
        icon = self.icons["icons"][name]
        width = icon.get("width", self.icons.get("width", 16))
        height = icon.get("height", self.icons.get("height", 16))
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )


def _plain(codepoint: str) -> str:
    parts = (part.lower().lstrip("0") for part in codepoint.split("-"))
    return "-".join(part for part in parts if part != "fe0f")


def draw(svg: str) -> Image.Image:
    """Return a drawing as RGBA, cropped to what is visible and fitted to a square cell."""
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=DRAWN_AT, height=DRAWN_AT))
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    image = image.crop(box)
    scale = CELL / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    image = image.resize(size, Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(image, [(CELL - side) // 2 for side in size])
    return cell


def hidden_share(cell: Image.Image, colour: tuple[int, int, int]) -> float:
    """Return the share of a drawing that is close to one colour."""
    pixels = np.asarray(cell).reshape(-1, 4).astype(float)
    pixels = pixels[pixels[:, 3] > 128, :3]
    return float((np.linalg.norm(pixels - colour, axis=1) < HIDES_WITHIN).mean())


def main(modules: Path) -> None:
    """Draw every emoji of the list in every style, and write the atlas."""
    rows = []
    with open(ROOT / "tools" / "emoji.txt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, codepoint, caption, form = (part.strip() for part in line.split("|"))
                rows.append((name, codepoint, caption, form))
    hidden = [set() for _ in rows]
    for style in STYLES:
        source = Style(modules, style)
        height = -(-len(rows) // COLUMNS) * CELL
        atlas = Image.new("RGBA", (COLUMNS * CELL, height))
        for i, (_, codepoint, _, _) in enumerate(rows):
            cell = draw(source.svg(codepoint))
            atlas.paste(cell, (i % COLUMNS * CELL, i // COLUMNS * CELL))
            for colour, rgb in COLOURS.items():
                if hidden_share(cell, rgb) > HIDES_SHARE:
                    hidden[i].add(colour)
        drawn = io.BytesIO()
        atlas.save(drawn, "webp", lossless=True, quality=100, method=6)
        path = write_atomic(ROOT / "art" / style / "atlas.webp", drawn.getvalue())
        print(path.relative_to(ROOT), f"{path.stat().st_size / 1e6:.1f} MB")
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["order", "name", "codepoint", "caption", "plural", "heldout", "hidden_on"])
    for i, (name, codepoint, caption, form) in enumerate(rows):
        plural, heldout = int("p" in form), int("h" in form)
        avoid = " ".join(colour for colour in COLOURS if colour in hidden[i])
        table.writerow([i, name, codepoint, caption, plural, heldout, avoid])
    write_atomic(ROOT / "art" / "emoji.csv", out.getvalue().encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
