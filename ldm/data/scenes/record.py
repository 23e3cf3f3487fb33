"""What is where in a scene: a record of integers, drawn from a seed, from which picture and caption follow.

    scene(config, split, index, seed) -> Scene

Splits. "train", "val" and "test" follow one distribution from separate random streams. They never
contain a held-out combination: 1 in 16 of the (object, style) pairs and of the pairs of objects,
chosen by a hash of their names. Each scene of "heldout" contains at least one. The sixteen
held-out subjects of art/emoji.csv belong to no vocabulary; scenes of "subjects" show one each.

Only raw 64-bit words of NumPy's PCG64 are used, whose stream NumPy guarantees (unlike those of
Generator's methods): records are the same everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np

from ldm.data.scenes.config import SceneConfig, need
from ldm.data.scenes.emoji import COLOURS, Emoji, emojis

SPLITS = ("train", "val", "test", "heldout", "subjects")
HELD_OUT_ONE_IN = 16

# The side of an object's box by number of objects and size word, in 1/1024 of the picture's side.
SIZES = {
    1: {"small": (420, 470), "": (550, 610), "large": (680, 740)},
    2: {"small": (330, 360), "": (400, 430), "large": (470, 500)},
    3: {"small": (250, 275), "": (290, 315), "large": (340, 370)},
}
ROWS = {"top": (40, 200), "": (420, 600), "bottom": (820, 980)}  # share of the free room, /1024
COLS = {"left": (40, 200), "": (420, 600), "right": (820, 980)}
NEAR = 90  # RGB distance below which two colours do not make a background


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object of a scene: its name, looks and place.

    `box` is (x0, y0, x1, y1) in pixels: the drawing fits in and touches two opposite sides of it. `index` is the row in
    art/emoji.csv.
    """

    name: str
    index: int
    size: str  # "small", "" or "large"
    box: tuple[int, int, int, int]
    angle: int  # degrees, anticlockwise
    flip: bool

    @property
    def centre(self) -> tuple[float, float]:
        """The middle of the box, (x, y)."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The truth about one picture. Objects come in the order of the caption.

    `relation` says how the first object lies to the others: "left of", "right of", "above",
    "below"; for three also "from left to right" and "from top to bottom"; None for one object.
    `place` is where a single object is: "in the centre", "at the top left", ...; else None.
    `colours`: base first, pattern second; at the top, left or centre of a gradient first.
    """

    split: str
    index: int
    objects: tuple[Thing, ...]
    style: str
    kind: str
    colours: tuple[str, ...]
    variation: int
    relation: str | None
    place: str | None


@cache
def held_out(*names: str) -> bool:
    """Return whether a combination, (object, style) or (object, object), is kept out of training."""
    digest = hashlib.blake2b("|".join(sorted(names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT_ONE_IN == 0


class Draws:
    """Random choices from the raw words of PCG64."""

    def __init__(self, *key: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._words: list[int] = []

    def below(self, n: int) -> int:
        """Return a whole number in [0, n)."""
        if not self._words:
            self._words = self._bits.random_raw(64).tolist()
        return (self._words.pop() >> 32) * n >> 32

    def between(self, low: int, high: int) -> int:
        """Return a whole number from low to high, both included, each as likely."""
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[Any]):
        """Return one of the options, each as likely."""
        return options[self.below(len(options))]

    def weighted(self, weights: Sequence[float]) -> int:
        """Return an index, drawn by these weights, which sum to 1."""
        left = self.below(1 << 32) / (1 << 32)
        for i, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return i
        return max(i for i, weight in enumerate(weights) if weight > 0)


def scene(config: SceneConfig, split: str, index: int, seed: int = 0) -> Scene:
    """Return the record of one scene."""
    need(split in SPLITS, f"split={split!r}: expected one of {SPLITS}.")
    need(index >= 0 and seed >= 0, f"index={index}, seed={seed}: expected whole numbers >= 0.")
    draws = Draws(seed, SPLITS.index(split), index)
    count = 1 + draws.weighted(config.counts)
    chosen, style = _cast(config, split, count, draws)

    sizes = []
    for _ in chosen:
        small = draws.weighted((config.small, 1 - config.small)) == 0
        word = "small" if small else "large" if draws.below(10) < 4 else ""
        if count == 3 and word == "large" and "large" in sizes:
            word = ""  # three in a row have room for one large object
        sizes.append(word)
    sides = [draws.between(*SIZES[count][word]) * config.size >> 10 for word in sizes]
    corners, relation, place = _layout(config.size, sides, draws)

    kind = draws.pick(config.kinds)
    avoid = frozenset().union(*(emoji.hidden_on for emoji in chosen))
    colours = _colours(config, kind, avoid, draws)
    variation = draws.below(config.variations)
    things = tuple(
        Thing(
            name=emoji.caption,
            index=emoji.index,
            size=word,
            box=(x, y, x + side, y + side),
            angle=draws.between(-config.rotation, config.rotation),
            flip=config.flips and draws.below(2) == 1,
        )
        for emoji, word, side, (x, y) in zip(chosen, sizes, sides, corners, strict=True)
    )
    return Scene(
        split=split,
        index=index,
        objects=things,
        style=style,
        kind=kind,
        colours=colours,
        variation=variation,
        relation=relation,
        place=place,
    )


def _cast(config: SceneConfig, split: str, count: int, draws: Draws) -> tuple[list[Emoji], str]:
    """Return different objects and one style, with or without held-out combinations as the split asks."""
    vocabulary = emojis()[: config.vocabulary]
    subjects = [e for e in emojis() if e.heldout and config.subject in ("", e.caption)]
    for _ in range(10_000):
        style = draws.pick(config.styles)
        chosen: list[Emoji] = [draws.pick(subjects)] if split == "subjects" else []
        while len(chosen) < count:
            emoji = draws.pick(vocabulary)
            if emoji not in chosen:
                chosen.append(emoji)
        if split == "subjects":
            return chosen, style
        held = any(held_out(emoji.name, style) for emoji in chosen) or any(
            held_out(a.name, b.name) for a, b in combinations(chosen, 2)
        )
        if held == (split == "heldout"):
            return chosen, style
    raise ValueError(
        f"split={split!r}: no scene with {count} of {config.vocabulary} objects in styles "
        f"{config.styles} belongs to it; use a larger vocabulary or more styles."
    )


def _layout(size: int, sides: list[int], draws: Draws) -> tuple[list[tuple[int, int]], str | None, str | None]:
    """Return top left corners without overlap and inside the frame, in order of mention."""

    def within(side: int, low: int, high: int) -> int:
        return (size - side) * draws.between(low, high) >> 10

    def along(lengths: list[int]) -> list[int]:
        free, start, starts = size - sum(lengths), 0, []
        for i, length in enumerate(lengths):
            share = (2 * i + 1) * 512 + draws.between(256, 768)  # i + 1, more or less, of n + 1
            starts.append(start + (free * share) // ((len(lengths) + 1) * 1024))
            start += length
        return starts

    if len(sides) == 1:
        middle = draws.below(4) == 0
        row = "" if middle else draws.pick(tuple(ROWS))
        col = "" if middle else draws.pick(tuple(COLS))
        corner = within(sides[0], *COLS[col]), within(sides[0], *ROWS[row])
        words = " ".join(filter(None, (row, col)))
        return [corner], None, f"at the {words}" if words else "in the centre"

    if len(sides) == 3 and draws.below(3) == 0:  # one above two
        below = max(sides[1:])
        top, bottom = along([sides[0], below])
        xs = along(sides[1:])
        ys = [bottom + (below - side) // 2 for side in sides[1:]]
        return [(within(sides[0], 300, 724), top), *zip(xs, ys, strict=True)], "above", None

    level = draws.below(2) == 0
    backwards = len(sides) == 2 and draws.below(2) == 1
    order = sides[::-1] if backwards else sides
    starts = along(order)
    across = [within(side, 340, 684) for side in order]
    corners = [(s, a) if level else (a, s) for s, a in zip(starts, across, strict=True)]
    if backwards:
        return corners[::-1], "right of" if level else "below", None
    if len(sides) == 2:
        return corners, "left of" if level else "above", None
    return corners, "from left to right" if level else "from top to bottom", None


def _colours(config: SceneConfig, kind: str, avoid: frozenset[str], draws: Draws) -> tuple[str, ...]:
    """Return one colour for a plain background and two for others, on which the objects can be seen."""
    clear = [name for name in config.colours if name not in avoid]
    if len(clear) < 3:
        clear = list(config.colours)
    first = draws.pick(clear)
    if kind == "plain":
        return (first,)
    far = [name for name in clear if _distance(first, name) > NEAR]
    return first, draws.pick(far or [name for name in clear if name != first])


@cache
def _distance(a: str, b: str) -> float:
    return sum((p - q) ** 2 for p, q in zip(COLOURS[a], COLOURS[b], strict=True)) ** 0.5
