"""Two sets of pictures, made from the same captions or under the same names, judged by the same reference.

The difference of two scores is sharper than the two apart: what a caption asks for moves both. Its interval comes from
the differences of influences (`estimate.difference`), and so does the number of pictures from which on a difference of
this size would be told from 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import scipy

from ldm.metrics.estimate import Measured, Z, difference

CHANCE = 0.8  # of telling a difference of the size that was seen


class Matching(NamedTuple):
    """Pair i is row a[i] of the one and row b[i] of the other; a ascends."""

    a: np.ndarray
    b: np.ndarray

    @property
    def ascending(self) -> np.ndarray:
        """b as it is read from a disk."""
        return np.sort(self.b)

    def aligned(self, b: Measured) -> Measured:
        """Return a score of the rows `ascending`, its influences in the order of the pairs."""
        places = np.searchsorted(self.ascending, self.b)
        moved = Measured(*b).remembering((b.influences[0][places], *b.influences[1:]))
        return moved


def match(a: Sequence[str], b: Sequence[str], what: str) -> Matching:
    """Return which rows go together: those of equal words, the first of several with the first.

    what: "names", of which the endings (.png, .jpg) do not count, or "captions".
    Raises: ValueError, one sentence, where fewer than two do.
    """
    alike = lambda word: PurePath(word).with_suffix("").as_posix() if what == "names" else " ".join(word.split())
    places = defaultdict(list)
    for row, word in enumerate(b):
        places[alike(word)].append(row)
    waiting = {word: iter(rows) for word, rows in places.items()}
    found = [(row, next(waiting.get(alike(word), iter(())), None)) for row, word in enumerate(a)]
    rows = [pair for pair in found if pair[1] is not None]
    if len(rows) < 2:
        raise ValueError(
            f"{len(rows)} of {len(a):,} and {len(b):,} pictures have equal {what} (one has {_first(a, alike)}, the"
            f" other {_first(b, alike)}); a difference of pairs needs two: name the files alike, or pair by"
            f" {'captions' if what == 'names' else 'names'}."
        )
    return Matching(*(np.array(side) for side in zip(*rows, strict=True)))


def _first(words: Sequence[str], alike: Callable[[str], str]) -> str:
    return repr(alike(words[0])) if words else "none"


def needed(found: Measured, chance: float = CHANCE) -> int | None:
    """Return how many pairs would tell a difference of this size from 0, with this chance, at 95 %.

    The reference stays as it is; where it alone leaves more doubt than that, no number is enough: None. It takes the
    difference that was seen for the true one, and so is an order of magnitude where that is uncertain itself.
    """
    least = abs(found.value) / (Z + scipy.stats.norm.ppf(chance))
    own, *others = found.influences
    room = least**2 - sum(part.var(ddof=1) / len(part) for part in others)
    return max(2, math.ceil(own.var(ddof=1) / room)) if room > 0 else None


def matched_difference(a: Measured, b: Measured, which: Matching) -> Measured:
    """Return a minus b. `a`: of the rows `which.a`; `b`: of the rows `which.ascending`."""
    return difference(a, which.aligned(b))
