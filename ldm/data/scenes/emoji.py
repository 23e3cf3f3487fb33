"""The art: emoji in four styles, one atlas a style, and the sixteen colours that scenes are painted in."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cache

from PIL import Image

from ldm.paths import ART

CELL, COLUMNS = 96, 20  # an atlas is a table of 96 px cells, 20 to a row

STYLES = ("cartoon", "flat", "papercut", "3d")
COLOURS = {
    "red": (214, 48, 49),
    "orange": (240, 140, 50),
    "yellow": (250, 212, 80),
    "lime": (165, 212, 75),
    "green": (58, 150, 85),
    "teal": (36, 145, 150),
    "cyan": (135, 212, 240),
    "blue": (55, 100, 215),
    "navy": (34, 40, 92),
    "purple": (125, 75, 185),
    "pink": (246, 165, 198),
    "brown": (130, 85, 55),
    "cream": (250, 238, 210),
    "white": (255, 255, 255),
    "grey": (150, 152, 158),
    "black": (28, 28, 34),
}


@dataclass(frozen=True)
class Emoji:
    """An object of the vocabulary."""

    index: int
    name: str  # in the Unicode charts
    codepoint: str
    caption: str  # in captions, lower case, without article
    plural: bool
    heldout: bool
    hidden_on: frozenset[str]  # background colours on which a good part of it vanishes


@cache
def emojis() -> tuple[Emoji, ...]:
    """Read art/emoji.csv, in the order of the nested vocabulary; held-out subjects last."""
    with open(ART / "emoji.csv", encoding="utf-8", newline="") as file:
        return tuple(
            Emoji(
                int(row["order"]),
                row["name"],
                row["codepoint"],
                row["caption"],
                row["plural"] == "1",
                row["heldout"] == "1",
                frozenset(row["hidden_on"].split()),
            )
            for row in csv.DictReader(file)
        )


@cache
def _atlas(style: str) -> Image.Image:
    with Image.open(ART / style / "atlas.webp") as image:
        return image.convert("RGBA")


@cache
def sprite(style: str, index: int) -> Image.Image:
    """Return one drawing, 96 x 96, colours premultiplied by alpha."""
    x, y = index % COLUMNS * CELL, index // COLUMNS * CELL
    return _atlas(style).crop((x, y, x + CELL, y + CELL)).convert("RGBa")


@cache
def art_digest() -> str:
    """Return sixteen hex digits that name all of the art."""
    files = [ART / "emoji.csv", *(ART / style / "atlas.webp" for style in STYLES)]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
