"""What jsonschema and referencing, which check charts, use of rpds: maps, sets and lists, of which a change is a copy.

rpds itself is written in Rust, for which there is no place in the interpreter of a browser; the maps here are small.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any


class HashTrieMap(dict):
    """A mapping that is never changed."""

    @classmethod
    def convert(cls, given: Any) -> HashTrieMap:
        return given if isinstance(given, cls) else cls(given)

    def insert(self, key: Hashable, value: Any) -> HashTrieMap:
        return HashTrieMap({**self, key: value})

    def remove(self, key: Hashable) -> HashTrieMap:
        left = dict(self)
        del left[key]
        return HashTrieMap(left)

    def update(self, *given: Any, **named: Any) -> HashTrieMap:  # type: ignore[override]
        return HashTrieMap({**self, **dict(*given, **named)})


class HashTrieSet(frozenset):
    """A set that is never changed."""

    def insert(self, value: Hashable) -> HashTrieSet:
        return HashTrieSet(self | {value})

    def discard(self, value: Hashable) -> HashTrieSet:
        return HashTrieSet(self - {value})

    def update(self, *given: Iterable[Hashable]) -> HashTrieSet:
        return HashTrieSet(self.union(*given))


class List(tuple):
    """A list that grows at its front, and is never changed."""

    def push_front(self, value: Any) -> List:
        return List((value, *self))
