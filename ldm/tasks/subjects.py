"""A subject for DreamBooth: a few pictures of one thing, the class it belongs to, and the scenes that are asked for.

Held-out emoji, of which no model has seen a picture nor its name, or a folder of one's own pictures. Of an emoji the
true picture of every caption can be drawn, whose likeness to what a model draws can then be measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from ldm.data.datasets import Folder
from ldm.data.scenes.captions import IDENTIFIERS, caption, tokens
from ldm.data.scenes.config import SceneConfig
from ldm.data.scenes.dataset import Scenes
from ldm.data.scenes.emoji import Emoji, emojis
from ldm.data.scenes.record import Scene, held_out
from ldm.data.scenes.render import render
from ldm.profile import Profile

TOKEN = IDENTIFIERS[0]
SHOTS = 5  # pictures of an emoji (DreamBooth: 3 to 5)
FEWEST, MOST = 3, 30  # pictures in a folder

# The class of each subject, nearest in kind first: the first that the profile's vocabulary knows is taken. That is
# 32 or 12 nouns, so some kinships are wide: a dinosaur is a reptile and near a frog, a pumpkin is a gourd like the
# watermelon or round and orange like the sunflower, a cupcake has a mushroom's shape, a snail wears its shell outside
# like the crab. Teapots and sunglasses have no kin there and are left out.
KIN = {
    "teddy bear": ("bear", "panda"),
    "fox": ("wolf", "cat"),
    "dinosaur": ("t-rex", "turtle", "frog"),
    "flamingo": ("parrot", "owl"),
    "snail": ("crab",),
    "cupcake": ("birthday cake", "mushroom"),
    "jack-o-lantern": ("watermelon", "sunflower"),
    "tractor": ("bus",),
    "flying saucer": ("rocket",),
    "unicorn": ("horse", "cat"),
}
ASKED = 8  # subjects that the study asks for


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """k pictures of one thing, with captions that call it `sks` and the noun of its class."""

    name: str
    noun: str
    pictures: UInt8[np.ndarray, "k S S 3"]
    captions: tuple[str, ...]
    key: str  # names exactly these pictures and captions
    emoji: Emoji | None = None  # None for a folder, whose true pictures nobody can draw


def asked(profile: Profile) -> tuple[str, ...]:
    """Return the names of the emoji that the study asks for: the first eight whose class the profile's models know."""
    return tuple(name for name in KIN if _class_of(name, profile))[:ASKED]


def _class_of(name: str, profile: Profile) -> str | None:
    """Return the noun of an emoji's class, if the profile's vocabulary has one."""
    return next((noun for noun in KIN[name] if noun in _vocabulary(profile)), None)


def _vocabulary(profile: Profile) -> list[str]:
    """Return the nouns that the profile's models know."""
    return [emoji.caption for emoji in emojis()[: profile.scenes.vocabulary]]


@cache
def _called(name: str) -> Emoji:
    return next(emoji for emoji in emojis() if emoji.caption == name)


def subject(profile: Profile, name: str) -> Subject:
    """Return the held-out emoji of this name, or the subject of a folder (`ldm.data.datasets.Folder`).

    An emoji is drawn in the first of the profile's styles.

    Raises: ValueError, in one sentence, for neither; for an emoji without kin in the vocabulary; for a folder with
    fewer than 3 or more than 30 pictures, or with a caption that does not say "sks" and a noun that the models know.
    """
    if name in KIN:
        noun = _class_of(name, profile)
        if noun is None:
            raise ValueError(
                f"subject = {name!r}: the vocabulary of profile {profile.name} has none of its classes {KIN[name]}."
            )
        config = replace(profile.scenes, styles=profile.scenes.styles[:1], counts=(1.0, 0.0, 0.0), subject=name)
        data = Scenes(config, "subjects", SHOTS)
        captions = tuple(own(data.scene(i), noun) for i in range(SHOTS))
        return Subject(
            name=name,
            noun=noun,
            pictures=data.images(range(SHOTS)),
            captions=captions,
            key=data.key,
            emoji=_called(name),
        )
    if not Path(name).is_dir():
        what = "this is a file; " if Path(name).exists() else ""
        raise ValueError(
            f"subject = {name!r}: {what}expected a folder with pictures, or one of the emoji {', '.join(KIN)}."
        )
    folder = Folder(name, profile.scenes.size)
    if not FEWEST <= len(folder) <= MOST:
        raise ValueError(f"{name} holds {len(folder)} pictures: expected {FEWEST} to {MOST} of one subject.")
    captions = tuple(folder.captions(range(len(folder))))
    vocabulary = _vocabulary(profile)
    nouns = sorted({_noun(text, vocabulary, name) for text in captions})
    if len(nouns) > 1:
        raise ValueError(
            f"{name} calls its subject {' and '.join(nouns)}: expected one class; use one noun in all captions."
        )
    return Subject(
        name=name, noun=nouns[0], pictures=folder.images(range(len(folder))), captions=captions, key=folder.key
    )


def _noun(text: str, vocabulary: list[str], where: str) -> str:
    """Return the noun after the rare token."""
    _, token, after = " ".join(tokens(text)).partition(f"{TOKEN} ")
    known = [noun for noun in vocabulary if f"{after} ".startswith(f"{noun} ")]
    if not token or not known:
        raise ValueError(
            f"{where}: the caption {text!r} does not say {TOKEN!r} and then a noun that the models know; write for"
            f" instance 'a {TOKEN} cat in the centre, flat style, on a plain blue background', with one of"
            f" {', '.join(vocabulary)}."
        )
    return max(known, key=len)


def _showing(scene: Scene, emoji: Emoji, called: str) -> Scene:
    thing = replace(scene.objects[0], name=called, index=emoji.index)
    return replace(scene, objects=(thing,))


def of_class(scene: Scene, noun: str) -> Scene:
    """Return this scene with an object of the class in the subject's place."""
    return _showing(scene, _called(noun), noun)


def own(scene: Scene, noun: str) -> str:
    """Return the caption of the scene with the subject in it: "a large sks cat at the top, ..." """
    return caption(_showing(scene, _called(noun), f"{TOKEN} {noun}"))


def requests(profile: Profile, who: Subject, n: int, *, every_style: bool = False, seed: int = 2) -> list[Scene]:
    """Return n scenes to ask for: other places, sizes and backgrounds.

    On these both the subject and its class can be seen.

    In the style of an emoji's pictures, unless told otherwise; never a style that pretraining withheld from the class.
    Raises: ValueError where too few scenes are like that.
    """
    styles = profile.scenes.styles if every_style or not who.emoji else profile.scenes.styles[:1]
    config = replace(profile.scenes, styles=styles, counts=(1.0, 0.0, 0.0), subject=who.name if who.emoji else "")
    kin, data, found = _called(who.noun), Scenes(config, "subjects", 64 * n, seed), []
    for scene in map(data.scene, range(len(data))):
        if not kin.hidden_on & set(scene.colours) and not held_out(kin.name, scene.style):
            found.append(scene)
            if len(found) == n:
                return found
    raise ValueError(
        f"n = {n}: only {len(found)} of {len(data)} scenes show both {who.name} and {who.noun}; ask for fewer."
    )


def lineup(config: SceneConfig, scenes: list[Scene], noun: str) -> tuple[list[str], UInt8[np.ndarray, "m n S S 3"]]:
    """Return the true pictures of n scenes with each of m things in the subject's place.

    The things are all held-out emoji, then the class.
    """
    things = [emoji for emoji in emojis() if emoji.heldout] + [_called(noun)]
    pictures = [[render(config, _showing(scene, emoji, emoji.caption)) for scene in scenes] for emoji in things]
    return [emoji.caption for emoji in things], np.array(pictures)
