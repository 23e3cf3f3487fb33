"""The words of a scene, and every word that there is."""

from __future__ import annotations

from ldm.emoji import Emoji, emojis
from ldm.scene import Scene, SceneConfig, Thing

# Never in a caption: names for a subject that DreamBooth teaches. Their embeddings stay as
# initialised, which is what "rare token" means for a vocabulary of words.
IDENTIFIERS = ("sks", "zwx")


def caption(scene: Scene) -> str:
    """ "a large apple left of a small cookie, papercut style, on a striped teal and cream
    background" """
    nouns = [noun(thing) for thing in scene.objects]
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


def noun(thing: Thing) -> str:
    """A thing with its size and article: "a small unicorn", "an apple", "sunglasses"."""
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
