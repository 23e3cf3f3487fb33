"""Captions to ids, one a word of a small vocabulary: the part of a text tower that needs no network."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from ldm.networks import weights

PAD, END, FIRST_WORD = 0, 1, 2


@runtime_checkable
class Tokenizes(Protocol):
    """What turns captions into ids: `Tokenizer`, or that of Stable Diffusion."""

    @property
    def length(self) -> int:
        """How many ids every row has."""
        ...

    def __call__(self, captions: Sequence[str]) -> Int[np.ndarray, "n length"]: ...


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """One id a word: 0 pads, 1 ends, 2 + i is `words[i]`. Case and commas do not count."""

    words: tuple[str, ...]
    length: int = 24  # of every row of ids, the end included

    def __post_init__(self):
        if len(set(self.words)) != len(self.words) or not self.words:
            raise ValueError(
                f"words has {len(self.words)} entries, {len(set(self.words))} of them different: "
                "expected at least one and no word twice."
            )
        if self.length < 2:
            raise ValueError(f"length={self.length}: expected at least 2, a word and the end.")

    @cached_property
    def ids(self) -> dict[str, int]:
        return {word: FIRST_WORD + i for i, word in enumerate(self.words)}

    def __call__(self, captions: Sequence[str]) -> Int[np.ndarray, "n length"]:
        """Return int32 ids: the words, the end, padding.

        Raises: ValueError for a word outside the vocabulary, with its nearest neighbours, and for a
        caption that is too long.
        """
        if isinstance(captions, str):
            raise ValueError(f"captions={captions!r}: expected a list of captions, not one string.")
        out = np.full((len(captions), self.length), PAD, np.int32)
        for row, caption in zip(out, captions, strict=True):
            words = caption.replace(",", " ").lower().split()
            if len(words) >= self.length:
                raise ValueError(
                    f"The caption {caption!r} has {len(words)} words: expected at most {self.length - 1}; shorten it."
                )
            row[: len(words)] = [self._id(word, caption) for word in words]
            row[len(words)] = END
        return out

    def _id(self, word: str, caption: str) -> int:
        if word in self.ids:
            return self.ids[word]
        near = difflib.get_close_matches(word, self.words, cutoff=0.5)
        some = near or self.words[:: len(self.words) // 8 + 1]
        raise ValueError(
            f"The word {word!r} of the caption {caption!r} is not among the {len(self.words)} that "
            f"the text tower knows; {'did you mean' if near else 'use words such as'} "
            f"{', '.join(map(repr, some))}{'?' if near else '.'}"
        )


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load the tokenizer of the text tower in a file, which describes itself. Raises: ValueError, in one sentence."""
    tower = weights.metadata(path).get("tower")
    if not tower:
        raise ValueError(f"{path} does not describe a text tower; restore it with `git checkout weights`.")
    return Tokenizer(words=tuple(tower["words"]), length=tower["length"])
