"""Emoji scenes: captioned pictures drawn from a seed, with the truth about each one.

Item i of a split is a pure function of (config, split, i, seed): the data set is as long as one
needs, needs no download, and every caption can be checked, since the generator's own record says
what is where. A scene is drawn in two steps:

    scene(config, split, index, seed) -> Scene     what is where (integers only, no picture)
    render(config, scene) -> uint8 (S, S, 3)       the picture
    caption(scene) -> str                          the words

Splits. "train", "val" and "test" follow one distribution from separate random streams. They never
contain a held-out combination: 1 in 16 of the (object, style) pairs and of the pairs of objects,
chosen by a hash of their names. Each scene of "heldout" contains at least one. The sixteen
held-out subjects of art/emoji.csv belong to no vocabulary; scenes of "subjects" show one each.

Only raw 64-bit words of NumPy's PCG64 are used, whose stream NumPy guarantees (unlike those of
Generator's methods), and patterns avoid the platform's sine: records are the same everywhere.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

ART = Path(__file__).resolve().parents[1] / "art"
VERSION = 1  # raise it whenever a picture or a caption changes: caches are keyed by it
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
KINDS = (
    "plain", "gradient", "striped", "checkered", "dotted", "wavy", "hilly",
    "cloudy", "grainy", "starry",
)  # fmt: skip
SPLITS = ("train", "val", "test", "heldout", "subjects")
HELD_OUT_ONE_IN = 16
# Never in a caption: names for a subject that DreamBooth teaches. Their embeddings stay as
# initialised, which is what "rare token" means for a vocabulary of words.
IDENTIFIERS = ("sks", "zwx")

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
class SceneConfig:
    """What scenes may contain; together these set how hard they are to learn.

    The same index shows the same scene at every `size`.
    """

    size: int = 64  # side in pixels, 32 to 512
    vocabulary: int = 32  # the first n emoji of art/emoji.csv, nested
    styles: tuple[str, ...] = STYLES
    counts: tuple[float, float, float] = (0.65, 0.35, 0.0)  # probability of 1, 2, 3 objects
    kinds: tuple[str, ...] = KINDS[:7]
    colours: tuple[str, ...] = ("red", "yellow", "green", "blue", "purple", "pink", "cream", "navy")
    small: float = 0.2  # probability that an object is small; large is 0.4 of the rest
    rotation: int = 10  # whole degrees, at most, either way
    flips: bool = False  # mirrored objects
    variations: int = 4  # orientations, phases and periods of each background, 1 to 32
    shadow: bool = True
    subject: str = ""  # the one held-out subject that split "subjects" shows; "" for all of them

    def __post_init__(self) -> None:
        _need(32 <= self.size <= 512, f"size={self.size}: expected 32 to 512 pixels.")
        most = sum(not emoji.heldout for emoji in emojis())
        _need(4 <= self.vocabulary <= most, f"vocabulary={self.vocabulary}: expected 4 to {most}.")
        for field, known in (("styles", STYLES), ("kinds", KINDS), ("colours", tuple(COLOURS))):
            chosen = getattr(self, field)
            good = isinstance(chosen, tuple) and chosen and len(set(chosen)) == len(chosen)
            _need(
                good and set(chosen) <= set(known),
                f"{field}={chosen!r}: expected a tuple of different names among {known}.",
            )
        _need(len(self.colours) >= 4, f"colours={self.colours!r}: expected at least 4.")
        counts = self.counts
        good = len(counts) == 3 and min(counts) >= 0 and abs(sum(counts) - 1) < 1e-6
        _need(good, f"counts={counts!r}: expected three probabilities that sum to 1.")
        _need(0 <= self.small <= 1, f"small={self.small}: expected a probability.")
        _need(0 <= self.rotation <= 45, f"rotation={self.rotation}: expected 0 to 45 degrees.")
        _need(1 <= self.variations <= 32, f"variations={self.variations}: expected 1 to 32.")
        subjects = [emoji.caption for emoji in emojis() if emoji.heldout]
        _need(
            self.subject in ("", *subjects),
            f"subject={self.subject!r}: expected one of the held-out subjects {subjects}.",
        )


def _need(condition: object, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object of a scene. `box` is (x0, y0, x1, y1) in pixels: the drawing fits in and touches
    two opposite sides of it. `index` is the row in art/emoji.csv."""

    name: str
    index: int
    size: str  # "small", "" or "large"
    box: tuple[int, int, int, int]
    angle: int  # degrees, anticlockwise
    flip: bool

    @property
    def centre(self) -> tuple[float, float]:
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


# --- the emoji ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Emoji:
    index: int
    name: str  # in the Unicode charts
    codepoint: str
    caption: str  # in captions, lower case, without article
    plural: bool
    heldout: bool
    hidden_on: frozenset[str]  # background colours on which a good part of it vanishes


@cache
def emojis() -> tuple[Emoji, ...]:
    """art/emoji.csv, in the order of the nested vocabulary; held-out subjects last."""
    with open(ART / "emoji.csv", encoding="utf-8", newline="") as file:
        return tuple(
            Emoji(
                int(row["order"]), row["name"], row["codepoint"], row["caption"],
                row["plural"] == "1", row["heldout"] == "1", frozenset(row["hidden_on"].split()),
            )
            for row in csv.DictReader(file)
        )  # fmt: skip


@cache
def held_out(*names: str) -> bool:
    """Whether a combination, (object, style) or (object, object), is kept out of training."""
    digest = hashlib.blake2b("|".join(sorted(names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % HELD_OUT_ONE_IN == 0


EASY = SceneConfig()
FULL = SceneConfig(
    size=128, vocabulary=421, counts=(0.4, 0.4, 0.2), kinds=KINDS, colours=tuple(COLOURS),
    small=0.3, rotation=15, flips=True, variations=32,
)  # fmt: skip


# --- what is where -----------------------------------------------------------------------------


class _Draws:
    """Random choices from the raw words of PCG64."""

    def __init__(self, *key: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._words: list[int] = []

    def below(self, n: int) -> int:
        """A whole number in [0, n)."""
        if not self._words:
            self._words = self._bits.random_raw(64).tolist()
        return (self._words.pop() >> 32) * n >> 32

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence):
        return options[self.below(len(options))]

    def weighted(self, weights: Sequence[float]) -> int:
        left = self.below(1 << 32) / (1 << 32)
        for i, weight in enumerate(weights):
            left -= weight
            if left < 0:
                return i
        return max(i for i, weight in enumerate(weights) if weight > 0)


def scene(config: SceneConfig, split: str, index: int, seed: int = 0) -> Scene:
    """The record of one scene."""
    _need(split in SPLITS, f"split={split!r}: expected one of {SPLITS}.")
    _need(index >= 0 and seed >= 0, f"index={index}, seed={seed}: expected whole numbers >= 0.")
    draws = _Draws(seed, SPLITS.index(split), index)
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
        split=split, index=index, objects=things, style=style, kind=kind, colours=colours,
        variation=variation, relation=relation, place=place,
    )  # fmt: skip


def _cast(config: SceneConfig, split: str, count: int, draws: _Draws) -> tuple[list[Emoji], str]:
    """Different objects and one style, with or without held-out combinations as the split asks."""
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


def _layout(
    size: int, sides: list[int], draws: _Draws
) -> tuple[list[tuple[int, int]], str | None, str | None]:
    """Top left corners without overlap and inside the frame, in order of mention."""

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


def _colours(
    config: SceneConfig, kind: str, avoid: frozenset[str], draws: _Draws
) -> tuple[str, ...]:
    """One colour for a plain background and two for others, on which the objects can be seen."""
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


# --- the words ---------------------------------------------------------------------------------


def caption(scene: Scene) -> str:
    """ "a large apple left of a small cookie, papercut style, on a striped teal and cream
    background" """
    nouns = [_noun(thing) for thing in scene.objects]
    if len(nouns) == 1:
        what = f"{nouns[0]} {scene.place}"
    elif len(nouns) == 2:
        what = f"{nouns[0]} {scene.relation} {nouns[1]}"
    elif scene.relation == "above":
        what = f"{nouns[0]} above {nouns[1]} and {nouns[2]}"
    else:
        what = f"{nouns[0]}, {nouns[1]} and {nouns[2]} {scene.relation}"
    where = f"{scene.kind} {' and '.join(scene.colours)}"
    return f"{what}, {scene.style} style, on a {where} background"


def _noun(thing: Thing) -> str:
    phrase = f"{thing.size} {thing.name}".strip()
    if emojis()[thing.index].plural:
        return phrase
    vowel = phrase[0] in "aeio" or phrase.startswith(("um", "hour"))  # a unicorn, an umbrella
    return f"{'an' if vowel else 'a'} {phrase}"


def tokens(text: str) -> list[str]:
    """A caption's words: split at spaces, commas dropped, hyphens kept."""
    return text.replace(",", " ").lower().split()


def words(config: SceneConfig) -> tuple[str, ...]:
    """Every word that captions of any split of this config can hold, and IDENTIFIERS; sorted."""
    named = [emoji.caption for emoji in _named(config)]
    grammar = (
        "a an and above at background below bottom centre from in large left of on right small "
        "style the to top"
    )
    parts = (*named, grammar, *config.styles, *config.kinds, *config.colours, *IDENTIFIERS)
    return tuple(sorted({word for part in parts for word in tokens(part)}))


def max_words(config: SceneConfig) -> int:
    """An upper bound on the number of words of a caption."""
    longest = sorted((len(tokens(emoji.caption)) for emoji in _named(config)), reverse=True)
    count = max(i + 1 for i, p in enumerate(config.counts) if p > 0)
    nouns = sum(longest[:count]) + 2 * count  # article, size word
    return nouns + (4, 2, 5)[count - 1] + 2 + 7  # place or relation, style, background


def _named(config: SceneConfig) -> tuple[Emoji, ...]:
    return emojis()[: config.vocabulary] + tuple(e for e in emojis() if e.heldout)


# --- the picture -------------------------------------------------------------------------------


def render(config: SceneConfig, scene: Scene) -> np.ndarray:
    """The picture of a scene: uint8 (S, S, 3)."""
    size = config.size
    picture = _background(scene, size)
    drawn = [_drawn(scene.style, thing) for thing in scene.objects]
    if config.shadow:
        canvas = Image.new("L", (size, size))
        drop = max(1, size // 40)
        for image, x, y in drawn:
            alpha = image.getchannel("a")
            canvas.paste(alpha, (x + drop // 2, y + drop), alpha)
        shade = np.asarray(canvas.filter(ImageFilter.BoxBlur(size / 48)), np.uint16)
        light = 1020 - shade[..., None] * np.uint32(7) // 5  # 35 % darker where it is full
        picture = (picture * light // 1020).astype(np.uint8)
    for image, x, y in drawn:
        pixels = np.asarray(image).astype(np.uint16)
        here = picture[y : y + image.height, x : x + image.width]
        over = (here * (255 - pixels[..., 3:]) + 127) // 255 + pixels[..., :3]
        here[:] = np.minimum(over, 255)
    return picture


def _drawn(style: str, thing: Thing) -> tuple[Image.Image, int, int]:
    """An object turned and fitted to its box, colours premultiplied by alpha, and its corner."""
    image = _sprite(style, thing.index)
    if thing.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if thing.angle:
        image = image.rotate(thing.angle, Image.Resampling.BICUBIC, expand=True)
    box = image.getbbox()
    x0, y0, x1, y1 = thing.box
    side, wide, high = x1 - x0, box[2] - box[0], box[3] - box[1]
    longest = max(wide, high)
    wide, high = ((2 * side * n + longest) // (2 * longest) for n in (wide, high))  # rounded
    image = image.resize((max(1, wide), max(1, high)), Image.Resampling.HAMMING, box=box)
    return image, x0 + (side - image.width) // 2, y0 + (side - image.height) // 2


@cache
def _atlas(style: str) -> Image.Image:
    with Image.open(ART / style / "atlas.webp") as image:
        return image.convert("RGBA")


@cache
def _sprite(style: str, index: int) -> Image.Image:
    x, y = index % COLUMNS * CELL, index // COLUMNS * CELL
    return _atlas(style).crop((x, y, x + CELL, y + CELL)).convert("RGBa")


def _background(scene: Scene, size: int) -> np.ndarray:
    """uint8 (S, S, 3)."""
    first, second = (np.array(COLOURS[name]) for name in (scene.colours * 2)[:2])
    share = np.arange(256)[:, None]
    ramp = ((first * (255 - share) + second * share + 127) // 255).astype(np.uint8)
    return ramp[pattern(scene.kind, scene.variation, size)]


@lru_cache(maxsize=512)
def pattern(kind: str, variation: int, size: int) -> np.ndarray:
    """How much of the second colour each pixel takes: uint8 (S, S), drawn at four times the
    resolution. `variation` 0 to 3 are the simple ones; higher ones add phases and a finer period.
    """
    fine = 4 * size
    axis = (np.arange(fine) + 0.5) / fine
    v, u = np.meshgrid(axis, axis, indexing="ij")
    turn, more = variation % 4, variation // 4
    phase, zoom = (more // 2) / 4, (1.0, 1.5)[more % 2]
    if kind == "plain":
        share = np.zeros_like(u)
    elif kind == "gradient":
        radius = ((u - 0.5) ** 2 + (v - 0.5) ** 2) * 2
        share = (v, u, (u + v) / 2, radius)[turn]
        share = np.clip((share - 0.5) * zoom + 0.5, 0, 1)
    elif kind == "striped":
        w = (v * 4, u * 4, (u + v) * 8 / 3, (u - v) * 8 / 3)[turn]
        share = (w * zoom + phase) % 1 >= 0.5
    elif kind == "checkered":
        a, b = ((u, v), (u * 4 / 3, v * 4 / 3), (u, v), ((u + v) / 2, (u - v) / 2))[turn]
        shift = phase + 0.5 * (turn == 2)
        share = (np.floor(a * 4 * zoom + shift) + np.floor(b * 4 * zoom + shift)) % 2
    elif kind == "dotted":
        a, b = (u, v) if turn < 3 else (v, u)
        a, b = a * 4 * zoom + phase, b * 4 * zoom
        if turn in (1, 3):
            a = a + 0.5 * (np.floor(b) % 2)
        share = (a % 1 - 0.5) ** 2 + (b % 1 - 0.5) ** 2 < (0.38 if turn == 2 else 0.31) ** 2
    elif kind == "wavy":
        along, across = ((u, v), (v, u))[turn % 2]
        bend = _sine(2 * along * zoom + phase + 0.5 * (turn // 2))
        share = (4 * zoom * across + 0.25 * bend) % 1 >= 0.5
    elif kind == "hilly":
        share = v > 0.6 - 0.04 * (more % 2) + 0.1 * _sine(u * zoom + phase + turn / 4)
    else:
        share = _random_pattern(kind, variation, size, fine)
    share = np.asarray(share, float).reshape(size, 4, size, 4).mean((1, 3))
    return np.floor(share * 255 + 0.5).astype(np.uint8)


def _random_pattern(kind: str, variation: int, size: int, fine: int) -> np.ndarray:
    draws = _Draws(KINDS.index(kind), variation)
    if kind == "starry":
        share = np.zeros((fine, fine))
        y, x = np.mgrid[:fine, :fine] / fine
        for _ in range(24):
            cx, cy = draws.below(1024) / 1024, draws.below(1024) / 1024
            radius = draws.between(9, 20) / 1024
            share[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = 1
        return share
    cells = {"cloudy": 6, "grainy": 64}[kind]
    noise = np.array([draws.below(256) for _ in range(cells * cells)], np.uint8)
    image = Image.fromarray(noise.reshape(cells, cells))
    if kind == "cloudy":
        image = image.resize((fine, fine), Image.Resampling.BICUBIC)
        return np.clip((np.asarray(image) / 255 - 0.5) * 1.6 + 0.5, 0, 1)
    return np.asarray(image.resize((fine, fine), Image.Resampling.NEAREST)) / 510


def _sine(turns: np.ndarray) -> np.ndarray:
    """sin(2 pi turns) within 0.002 (Bhaskara I), from exactly rounded operations alone."""
    half = (turns % 1) * 2
    x = half % 1
    arch = 16 * x * (1 - x) / (5 - 4 * x * (1 - x))
    return np.where(half < 1, arch, -arch)


# --- the data set ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenes:
    """n scenes of a split. `item(i)` is (uint8 (S, S, 3), caption).

    Pictures are drawn when asked for, about a millisecond each at 64 px; `chunks` and `cached`
    draw many on several processes (start those from a script with the usual
    `if __name__ == "__main__":`).
    """

    config: SceneConfig
    split: str
    n: int
    seed: int = 0

    def __post_init__(self) -> None:
        _need(self.split in SPLITS, f"split={self.split!r}: expected one of {SPLITS}.")
        _need(self.n >= 1, f"n={self.n}: expected at least 1 scene.")

    def __len__(self) -> int:
        return self.n

    def scene(self, i: int) -> Scene:
        if not 0 <= i < self.n:
            raise IndexError(f"scene {i}: the data set has {self.n}.")
        return scene(self.config, self.split, int(i), self.seed)

    def caption(self, i: int) -> str:
        return caption(self.scene(i))

    def item(self, i: int) -> tuple[np.ndarray, str]:
        record = self.scene(i)
        return render(self.config, record), caption(record)

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """uint8 (len(indices), S, S, 3)."""
        side = self.config.size
        out = np.empty((len(indices), side, side, 3), np.uint8)
        for k, i in enumerate(indices):
            out[k] = render(self.config, self.scene(int(i)))
        return out

    def captions(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        return [self.caption(int(i)) for i in indices]

    def chunks(self, length: int = 256, workers: int = 2) -> Iterator[tuple[int, np.ndarray]]:
        """All pictures in order, as (index of the first, uint8 (<= length, S, S, 3))."""
        spans = [range(i, min(i + length, self.n)) for i in range(0, self.n, length)]
        if workers < 2:
            yield from ((span.start, self.images(span)) for span in spans)
            return
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            drawn = pool.map(self.images, spans)
            yield from zip((span.start for span in spans), drawn, strict=True)

    @property
    def key(self) -> str:
        """Sixteen hex digits that name these pictures: config, split, seed, code and art."""
        parts = (VERSION, self.config, self.split, self.seed, _art_digest())
        return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()

    def cached(self, folder: str | Path, workers: int = 2) -> np.ndarray:
        """All pictures as a read-only memory map uint8 (n, S, S, 3); drawn once, then reused.

        12 kB a picture at 64 px. The file appears under its name only when it is complete.
        """
        side = self.config.size
        path = Path(folder) / f"scenes-{self.split}-{side}px-{self.n}-{self.key}.npy"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            try:
                shape = (self.n, side, side, 3)
                out = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
                for start, pictures in self.chunks(workers=workers):
                    out[start : start + len(pictures)] = pictures
                out.flush()
                del out
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        return np.load(path, mmap_mode="r")


@cache
def _art_digest() -> str:
    files = [ART / "emoji.csv", *(ART / style / "atlas.webp" for style in STYLES)]
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
