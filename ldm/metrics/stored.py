"""Features on a disk, in parts, so that memory holds a block whatever their number.

They are written as a network looks at pictures, and read a block at a time.

A score takes them where it takes an array: what it does to an array at once, it does to a block after the other.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np

from ldm.files import write_atomic

PART = 1024  # rows of a file; the last one may have fewer
BLOCK = 2048  # rows that are read at once


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredFeatures:
    """Rows (n, d) of the files `NAME-000000.npy`, ... of a folder; `x[begin:end]` is float64, `x[rows]` others.

    Args:
        rows: which of the files' rows, ascending; None: all.
        then: what becomes of each block that is read, as logits of features do.
    """

    folder: Path
    name: str
    n: int
    d: int
    rows: np.ndarray | None = None
    then: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()

    def __len__(self) -> int:
        return self.n if self.rows is None else len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.d

    @overload
    def __getitem__(self, rows: slice) -> np.ndarray: ...
    @overload
    def __getitem__(self, rows: np.ndarray) -> StoredFeatures: ...
    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray | StoredFeatures:
        if not isinstance(rows, slice):
            return replace(self, rows=np.asarray(rows) if self.rows is None else self.rows[rows])
        begin, end, _ = rows.indices(len(self))
        wanted = np.arange(begin, end) if self.rows is None else self.rows[begin:end]
        if not len(wanted):
            return np.empty((0, self.d))
        of = lambda number: np.load(part_of(self.folder, self.name, number), allow_pickle=False)
        parts = [of(number)[wanted[wanted // PART == number] % PART] for number in np.unique(wanted // PART)]
        block = np.concatenate(parts).astype(np.float64)
        for step in self.then:
            block = step(block)
        return block

    def through(self, step: Callable[[np.ndarray], np.ndarray], d: int | None = None) -> StoredFeatures:
        """Return these rows with each block put through this step; `d`: their width then, where it is another."""
        return replace(self, then=(*self.then, step), d=d or self.d)


Features: TypeAlias = np.ndarray | StoredFeatures  # (n, d)


def part_of(folder: Path, name: str, number: int | np.integer) -> Path:
    """Return the file of a part."""
    return folder / f"{name}-{number:06d}.npy"


def write_part(folder: Path, name: str, number: int, rows: np.ndarray) -> None:
    """Keep the rows of a part, whole or not at all. Raises: ValueError, one sentence, for what is not finite."""
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        first = int(np.argmin(np.isfinite(rows).all(1)))
        raise ValueError(
            f"picture {number * PART + first + 1} has features that are not finite; use other weights, or leave the "
            "picture out."
        )
    write_atomic(part_of(folder, name, number), _npy(rows))


def _npy(rows: np.ndarray) -> bytes:
    with io.BytesIO() as file:
        np.save(file, rows, allow_pickle=False)
        return file.getvalue()
