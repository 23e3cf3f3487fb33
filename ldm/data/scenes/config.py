"""What scenes may contain, and two such worlds: an easy one, and the full one."""

from __future__ import annotations

from dataclasses import dataclass

from ldm.data.scenes.emoji import COLOURS, STYLES, emojis

KINDS = (
    "plain",
    "gradient",
    "striped",
    "checkered",
    "dotted",
    "wavy",
    "hilly",
    "cloudy",
    "grainy",
    "starry",
)


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
        need(32 <= self.size <= 512, f"size={self.size}: expected 32 to 512 pixels.")
        most = sum(not emoji.heldout for emoji in emojis())
        need(4 <= self.vocabulary <= most, f"vocabulary={self.vocabulary}: expected 4 to {most}.")
        for field, known in (("styles", STYLES), ("kinds", KINDS), ("colours", tuple(COLOURS))):
            chosen = getattr(self, field)
            good = isinstance(chosen, tuple) and chosen and len(set(chosen)) == len(chosen)
            need(
                good and set(chosen) <= set(known),
                f"{field}={chosen!r}: expected a tuple of different names among {known}.",
            )
        need(len(self.colours) >= 4, f"colours={self.colours!r}: expected at least 4.")
        counts = self.counts
        good = len(counts) == 3 and min(counts) >= 0 and abs(sum(counts) - 1) < 1e-6
        need(good, f"counts={counts!r}: expected three probabilities that sum to 1.")
        need(0 <= self.small <= 1, f"small={self.small}: expected a probability.")
        need(0 <= self.rotation <= 45, f"rotation={self.rotation}: expected 0 to 45 degrees.")
        need(1 <= self.variations <= 32, f"variations={self.variations}: expected 1 to 32.")
        subjects = [emoji.caption for emoji in emojis() if emoji.heldout]
        need(
            self.subject in ("", *subjects),
            f"subject={self.subject!r}: expected one of the held-out subjects {subjects}.",
        )


def need(condition: object, sentence: str) -> None:
    """Raise ValueError with this sentence unless the condition holds."""
    if not condition:
        raise ValueError(sentence)


EASY = SceneConfig()
FULL = SceneConfig(
    size=128,
    vocabulary=421,
    counts=(0.4, 0.4, 0.2),
    kinds=KINDS,
    colours=tuple(COLOURS),
    small=0.3,
    rotation=15,
    flips=True,
    variations=32,
)
