"""The record of a scene as integers that networks can learn, and captions that are nearly true.

What a network is asked about a scene, the answers of the scene's record, which object covers which
cell of the picture, and records with one thing changed, whose captions no longer hold.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from ldm.data.scenes.captions import PARTS, caption, tokens
from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.emoji import emojis
from ldm.data.scenes.record import Scene

CHANGES = ("relation", "object", "style", "kind", "colour", "place", "size")


def vocabulary(config: SceneConfig) -> tuple[str, ...]:
    """Return the names of the objects, in the order of their labels."""
    return tuple(emoji.caption for emoji in emojis()[: config.vocabulary])


def questions(config: SceneConfig) -> dict[str, tuple[str, ...]]:
    """Return what can be asked about a caption, and the possible answers ("" for: none)."""
    slots = range(1, 1 + max(i + 1 for i, p in enumerate(config.counts) if p > 0))
    rows, cols = ("", "top", "bottom"), ("", "left", "right")
    places = (f"at the {' '.join(filter(None, (r, c)))}" for r in rows for c in cols if r or c)
    relations = (
        "left of",
        "right of",
        "above",
        "below",
        "from left to right",
        "from top to bottom",
    )
    return {
        **{f"object {i}": (*vocabulary(config), "") for i in slots},
        **{f"size {i}": ("", "small", "large") for i in slots},
        "style": config.styles,
        "kind": config.kinds,
        "colour 1": config.colours,
        "colour 2": (*config.colours, ""),
        "where": (*relations, *places, "in the centre"),
    }


def answers(scene: Scene) -> dict[str, str]:
    """Return the answers of a scene's record; questions left out are answered by ""."""
    return {
        **{f"object {i}": thing.name for i, thing in enumerate(scene.objects, 1)},
        **{f"size {i}": thing.size for i, thing in enumerate(scene.objects, 1)},
        "style": scene.style,
        "kind": scene.kind,
        **{f"colour {i}": colour for i, colour in enumerate(scene.colours, 1)},
        "where": scene.relation or scene.place or "",
    }


def answered(config: SceneConfig, scene: Scene, parts: Collection[str]) -> dict[str, str]:
    """Return the answers that follow from a caption which says these `captions.PARTS`.

    What the caption leaves open is not among them.
    """
    truth = dict.fromkeys(questions(config), "") | answers(scene)
    one = len(scene.objects) == 1
    known = {"object 1"} | {name for name in ("style", "kind", "where") if name in parts}
    known |= {"colour 1", "colour 2"} if "colours" in parts else set()
    named = len(scene.objects) if "other" in parts else 1
    if "size" in parts:
        known |= {f"size {i}" for i in range(1, named + 1)}
    if "other" in parts:
        known |= {name for name in truth if name.startswith("object")}
    if one and "where" in parts:  # who tells the place of one object says that there is no other
        known |= {name for name in truth if name.startswith(("object", "size")) and not name.endswith(" 1")}
    return {name: truth[name] for name in truth if name in known}


def untrue(config: SceneConfig, scene: Scene, parts: Collection[str], rng: np.random.Generator) -> str:
    """Return a caption of the same parts that does not hold: one thing that it says is changed (`one_changed`).

    In scenes of several objects half of the changes are of their relation, which is the hardest to learn.
    """
    true = caption(scene, parts)
    while True:
        pair = "where" in parts and len(scene.objects) > 1 and rng.random() < 0.5
        what = "relation" if pair else CHANGES[rng.integers(len(CHANGES))]
        if what == "relation" and "where" not in parts:
            continue  # whoever names both in another order says nothing else
        changed = one_changed(config, scene, what, rng)
        text = caption(changed, parts) if changed else true
        unsized = what == "size" and len(tokens(text)) < len(tokens(true)) and set(parts) < set(PARTS)
        if text != true and not unsized:  # a small cat is a cat, where not everything is said
            return text


def cells(config: SceneConfig, scenes: Sequence[Scene]) -> Int[np.ndarray, "n g g"]:
    """Return the object at each cell's centre: 1 + its number in the vocabulary, 0 for background."""
    numbers = {name: i for i, name in enumerate(vocabulary(config), 1)}
    centres = (np.arange(GRID) + 0.5) * config.size / GRID
    out = np.zeros((len(scenes), GRID, GRID), np.int32)
    for grid, scene in zip(out, scenes, strict=True):
        for thing in scene.objects:
            x0, y0, x1, y1 = thing.box
            xs, ys = (x0 < centres) & (centres < x1), (y0 < centres) & (centres < y1)
            grid[ys[:, None] & xs[None]] = numbers[thing.name]
    return out


def cover(config: SceneConfig, scenes: Sequence[Scene]) -> tuple[Int[np.ndarray, "n g g"], Float[np.ndarray, "n g g"]]:
    """Return the object that covers most of each cell, numbered as in `cells`, and the share it covers.

    Shares place a box more exactly than a cell's width: their centroid is the box's centre.
    """
    numbers = {name: i for i, name in enumerate(vocabulary(config), 1)}
    side = config.size / GRID
    edges = np.arange(GRID) * side

    def along(low: int, high: int) -> np.ndarray:
        return np.clip(np.minimum(edges + side, high) - np.maximum(edges, low), 0, None) / side

    shape = (len(scenes), GRID, GRID)
    labels, shares = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    for label, share, scene in zip(labels, shares, scenes, strict=True):
        for thing in scene.objects:
            x0, y0, x1, y1 = thing.box
            here = along(y0, y1)[:, None] * along(x0, x1)[None]
            label[here > share] = numbers[thing.name]
            share[:] = np.maximum(share, here)
    return labels, shares


def one_changed(config: SceneConfig, scene: Scene, what: str, rng: np.random.Generator) -> Scene | None:
    """Return the record with one thing changed so that its caption no longer holds; None where it cannot.

    relation: two objects exchange places. object, style, kind, size: another one. colour: another
    one, or the two exchanged. place: the single object is elsewhere.
    """

    def other(options: Sequence[str], *current: str | None) -> str:
        return str(rng.choice([option for option in options if option not in current]))

    things = scene.objects
    i = int(rng.integers(len(things)))
    if what == "relation":
        if len(things) < 2:
            return None
        return replace(scene, objects=(things[1], things[0], *things[2:]))
    if what == "place":
        if len(things) > 1:
            return None
        places = [p for p in questions(config)["where"] if p.startswith(("at", "in"))]
        return replace(scene, place=other(places, scene.place))
    if what == "object":
        name = other(vocabulary(config), *(thing.name for thing in things))
        new = replace(things[i], name=name, index=emojis()[vocabulary(config).index(name)].index)
        return replace(scene, objects=(*things[:i], new, *things[i + 1 :]))
    if what == "size":
        new = replace(things[i], size=other(("", "small", "large"), things[i].size))
        return replace(scene, objects=(*things[:i], new, *things[i + 1 :]))
    if what == "style":
        return replace(scene, style=other(config.styles, scene.style))
    if what == "kind":
        kinds = [kind for kind in config.kinds if (kind == "plain") == (scene.kind == "plain")]
        return replace(scene, kind=other(kinds, scene.kind)) if len(kinds) > 1 else None
    if what == "colour":
        if len(scene.colours) == 2 and rng.random() < 0.3:
            return replace(scene, colours=scene.colours[::-1])
        j = int(rng.integers(len(scene.colours)))
        new = other(config.colours, *scene.colours)
        return replace(scene, colours=(*scene.colours[:j], new, *scene.colours[j + 1 :]))
    raise ValueError(f"what={what!r}: expected one of {CHANGES}.")


GRID = 8  # cells a side
