"""Scene alignment: whether a picture shows what its caption asks for, by what the detector sees in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Bool, Float

from ldm.data.scenes.captions import PARTS
from ldm.data.scenes.record import COLS, SIZES, Scene
from ldm.data.scenes.truth import GRID
from ldm.metrics.perceptual.detections import Detections

ASKED = {"subject": "subject", "relation": "where", "style": "style", "kind": "kind", "colours": "colours"}  # -> PARTS


def alignment(
    seen: Detections, scenes: Sequence[Scene], said: Sequence[Collection[str]] | None = None
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Say whether each picture shows what its caption asks for.

    `said`: which `captions.PARTS` each caption says; None: all of them. What a caption leaves open, no picture can get
    wrong: the answer is then true (ASKED names the part that each answer needs). No true box is used, and of a record
    only what its caption says: generated pictures have no box. The answers::

        subject   The objects that cover most of the picture are those of the caption: of all objects
                  the m with the largest summed probability, where the caption names m; and each of them
                  is likelier than all else in some cell. Where a caption names one of several objects,
                  it is enough that this one is likelier than all else in some cell.
        relation  They stand as the caption says, by the centroids of their probability: left of, above
                  ... (and more so than in the other direction), or, for one object, its place in
                  thirds of the room that an object of this size word has (of the medium size, where the
                  caption does not say it). Needs `subject`.
        style, kind   The likeliest is the caption's.
        colours   The likeliest one or two are the caption's, in any order.
        all       All of these.

    Raises: ValueError if the numbers of pictures and scenes differ, or a caption names something
    that the detector does not know.
    """
    if len(seen.style) != len(scenes):
        raise ValueError(f"{len(seen.style)} pictures and {len(scenes)} scenes: expected as many.")
    said = [PARTS] * len(scenes) if said is None else said
    labels, shares = seen.labels, seen.shares
    out = {name: np.ones(len(scenes), bool) for name in ("subject", "relation")}
    for i, (scene, parts) in enumerate(zip(scenes, said, strict=True)):
        if "subject" not in parts:
            continue
        wanted = [_number(labels.objects, thing.name, "object") for thing in scene.objects]
        named = wanted if "other" in parts or len(wanted) == 1 else wanted[:1]
        out["subject"][i] = shows(shares[i], named) if named == wanted else distinct(shares[i], named)
        if "where" in parts:
            size = scene.objects[0].size if "size" in parts else ""
            out["relation"][i] = out["subject"][i] and _stands(shares[i][..., wanted], scene, size)
    for name, right in surroundings(seen, scenes).items():
        out[name] = right | ~np.array([ASKED[name] in parts for parts in said], bool)
    return out | {"all": np.all(list(out.values()), 0)}


def surroundings(seen: Detections, scenes: Sequence[Scene]) -> dict[str, Bool[np.ndarray, " n"]]:
    """Return `style`, `kind` and `colours` of `alignment`, of scenes whatever they show."""
    labels = seen.labels
    out = {name: np.zeros(len(scenes), bool) for name in ("style", "kind", "colours")}
    for i, scene in enumerate(scenes):
        out["style"][i] = seen.style[i].argmax() == _number(labels.styles, scene.style, "style")
        out["kind"][i] = seen.kind[i].argmax() == _number(labels.kinds, scene.kind, "kind")
        colours = {_number(labels.colours, colour, "colour") for colour in scene.colours}
        out["colours"][i] = set(np.argsort(-seen.colours[i])[: len(colours)]) == colours
    return out


def placed(seen: Detections, scenes: Sequence[Scene]) -> Bool[np.ndarray, " n"]:
    """Return whether the one object, be it known or not, stands where its caption says.

    This is judged by the cells that show any object.
    """
    anything = seen.shares.sum(-1, keepdims=True)
    return np.array(
        [_stands(shares, scene, scene.objects[0].size) for shares, scene in zip(anything, scenes, strict=True)]
    )


def _number(known: tuple[str, ...], name: str, what: str) -> int:
    if name not in known:
        raise ValueError(f"The detector knows no {what} {name!r}, only {', '.join(known)}; judge captions of these.")
    return known.index(name)


def shows(shares: Float[np.ndarray, "8 8 objects"], wanted: list[int]) -> bool:
    """Return whether the m wanted objects are the m that cover most.

    Each of them has to be likelier than all else in some cell, too.
    """
    largest = np.argsort(-shares.sum((0, 1)))[: len(wanted)]
    return set(largest) == set(wanted) and distinct(shares, wanted)


def distinct(shares: Float[np.ndarray, "8 8 objects"], wanted: list[int]) -> bool:
    """Return whether each of the wanted objects is likelier than all else in some cell."""
    return bool((shares[..., wanted].max((0, 1)) > 0.5).all())


def _stands(shares: Float[np.ndarray, "8 8 m"], scene: Scene, size: str) -> bool:
    middles = (np.arange(GRID) + 0.5) / GRID
    total = shares.sum((0, 1))
    x = (shares.sum(0) * middles[:, None]).sum(0) / total
    y = (shares.sum(1) * middles[:, None]).sum(0) / total
    if len(x) == 1:
        return _place(x[0], y[0], size) == scene.place
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    match scene.relation:
        case "left of" | "right of":
            sign = 1 if scene.relation == "left of" else -1
            return bool(sign * dx[0] > abs(dy[0]))
        case "below":
            return bool(-dy[0] > abs(dx[0]))
        case "above" if len(x) == 2:
            return bool(dy[0] > abs(dx[0]))
        case "above":
            return bool(y[0] < min(y[1:]))
        case "from left to right":
            return bool((dx > 0).all())
        case _:  # from top to bottom
            return bool((dy > 0).all())


def _place(x: float, y: float, size: str) -> str:
    side = sum(SIZES[1][size]) / 2048  # as the generator draws a single object of this size word

    def third(centre: float, names: tuple[str, str]) -> str:
        share = (centre - side / 2) / (1 - side) * 1024
        low, high = ((max(a) + min(b)) / 2 for a, b in ((COLS["left"], COLS[""]), (COLS[""], COLS["right"])))
        return names[0] if share < low else names[1] if share > high else ""

    words = " ".join(filter(None, (third(y, ("top", "bottom")), third(x, ("left", "right")))))
    return f"at the {words}" if words else "in the centre"
