"""The words of a scene, how much of it they say, and every word that there is.

Captions of pictures on the web name what somebody found worth naming, and leave the rest open. Here a *level* sets how
much is said: "all" parts of the scene, "some", the "subject" alone, or "nothing". At "some" each caption draws, evenly
from 0 to 1, the probability with which it says each of its parts: so any number of parts is as likely as any other, and
the levels "subject" and "all" are among them. A model trained on "some" therefore answers every level.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

from ldm.data.scenes.config import SceneConfig, need
from ldm.data.scenes.emoji import Emoji, emojis
from ldm.data.scenes.record import SPLITS, Draws, Scene, Thing

Level = Literal["all", "some", "subject", "nothing"]

# What a caption may say. "size": the size words; "other": the second and third object; "where": the place of the one
# object, or the relation of several; "kind" and "colours" of the background.
PARTS = ("subject", "size", "other", "where", "style", "kind", "colours")

# Never in a caption: names for a subject that DreamBooth teaches. Their embeddings stay as
# initialised, which is what "rare token" means for a vocabulary of words.
IDENTIFIERS = ("sks", "zwx")


def said(scene: Scene, level: Level = "all", seed: int = 0) -> frozenset[str]:
    """Return which PARTS a scene's caption says at a level: a function of the scene's split and index, and of the seed.

    Where a part cannot be said without another, it is left out with it: with a second object that is not mentioned goes
    the relation to it. Raises: ValueError for an unknown level.
    """
    need(level in get_args(Level), f"level={level!r}: expected one of {', '.join(get_args(Level))}.")
    if level == "nothing":
        return frozenset()
    if level == "subject":
        return frozenset(["subject"])
    spoken = set(PARTS)
    if level == "some":
        draws = Draws(seed, SPLITS.index(scene.split), scene.index, 1)  # a stream beside the one that drew the scene
        often = draws.below(1 << 16)
        spoken = {"subject"} | {part for part in PARTS if draws.below(1 << 16) < often}
    if len(scene.objects) == 1:
        spoken.discard("other")
    elif "other" not in spoken:
        spoken.discard("where")
    return frozenset(spoken)


def caption(scene: Scene, parts: Collection[str] = PARTS) -> str:
    """Return the sentence that says these PARTS of a scene; the empty one where the subject is not among them.

    All of them: "a large apple left of a small cookie, papercut style, on a striped teal and cream background".
    """
    if "subject" not in parts:
        return ""
    shown = scene.objects if "other" in parts else scene.objects[:1]
    nouns = [noun(thing, sized="size" in parts) for thing in shown]
    if "where" not in parts or len(shown) < len(scene.objects):
        what = " and ".join(filter(None, (", ".join(nouns[:-1]), nouns[-1])))
    elif len(nouns) == 1:
        what = f"{nouns[0]} {scene.place}"
    elif len(nouns) == 2:
        what = f"{nouns[0]} {scene.relation} {nouns[1]}"
    elif scene.relation == "above":
        what = f"{nouns[0]} above {nouns[1]} and {nouns[2]}"
    else:
        what = f"{nouns[0]}, {nouns[1]} and {nouns[2]} {scene.relation}"
    style = f"{scene.style} style" if "style" in parts else ""
    ground = [scene.kind] * ("kind" in parts) + [" and ".join(scene.colours)] * ("colours" in parts)
    behind = f"on a {' '.join(ground)} background" if ground else ""
    return ", ".join(filter(None, (what, style, behind)))


def noun(thing: Thing, *, sized: bool = True) -> str:
    """Return a thing with its article and, if `sized`, its size word: "a small unicorn", "an apple", "sunglasses"."""
    phrase = f"{thing.size} {thing.name}".strip() if sized else thing.name
    if emojis()[thing.index].plural:
        return phrase
    vowel = phrase[0] in "aeio" or phrase.startswith(("um", "hour"))  # a unicorn, an umbrella
    return f"{'an' if vowel else 'a'} {phrase}"


def tokens(text: str) -> list[str]:
    """Return a caption's words: split at spaces, commas dropped, hyphens kept."""
    return text.replace(",", " ").lower().split()


def words(config: SceneConfig) -> tuple[str, ...]:
    """Return every word that captions of any split of this config can hold, and IDENTIFIERS; sorted."""
    named = [emoji.caption for emoji in _named(config)]
    grammar = "a an and above at background below bottom centre from in large left of on right small style the to top"
    parts = (*named, grammar, *config.styles, *config.kinds, *config.colours, *IDENTIFIERS)
    return tuple(sorted({word for part in parts for word in tokens(part)}))


def max_words(config: SceneConfig) -> int:
    """Return an upper bound on the number of words of a caption."""
    longest = sorted((len(tokens(emoji.caption)) for emoji in _named(config)), reverse=True)
    count = max(i + 1 for i, p in enumerate(config.counts) if p > 0)
    nouns = sum(longest[:count]) + 2 * count  # article, size word
    return nouns + (4, 2, 5)[count - 1] + 2 + 7  # place or relation, style, background


def _named(config: SceneConfig) -> tuple[Emoji, ...]:
    return emojis()[: config.vocabulary] + tuple(e for e in emojis() if e.heldout)
