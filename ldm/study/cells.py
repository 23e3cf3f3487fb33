"""What the runner asks of a cell and of the evaluator that computes it: all that it knows of any study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from ldm.profile import Profile
from ldm.study.rows import Row
from ldm.study.scene_metrics import Measurement
from ldm.tasks.models import Model


def check_size(profile: Profile, c: int) -> None:
    """Raise ValueError, one sentence, for a size that the profile's family lacks."""
    if c not in profile.family:
        raise ValueError(
            f"c = {c}: expected a size of profile {profile.name}, one of {profile.family}; choose among them."
        )


def check_length(profile: Profile, images: int) -> None:
    """Raise ValueError, one sentence, for a training length at which the profile keeps no model."""
    if images not in profile.lengths:
        raise ValueError(
            f"images = {images}: expected a training length of profile {profile.name}, one of {profile.lengths}."
        )


def check_pictures(n: int) -> None:
    """Raise ValueError, one sentence, for a number of pictures that no interval can rest on."""
    if not 16 <= n <= 100_000:
        raise ValueError(f"n = {n}: expected 16 to 100000 pictures a point; an interval needs some.")


@runtime_checkable
class Cell(Protocol):
    """The smallest thing that is computed, resumed and cached: a frozen dataclass.

    Its type, fields and values are hashed into its key (`ldm.hashing.key`), so that a changed parameter runs only what
    it touches. It refuses what cannot be when it is made.
    """

    @property
    def profile(self) -> str:
        """The name of the profile whose models it asks."""
        ...

    def __hash__(self) -> int: ...


AnyCell = TypeVar("AnyCell", bound=Cell, contravariant=True)
Pictures = Sequence[np.ndarray] | np.ndarray  # uint8 (H, W, 3) each


@runtime_checkable
class Evaluates(Protocol[AnyCell]):
    """What computes the cells of a study; `ldm.study.evaluator.Evaluator` is the base of those that there are."""

    profile: Profile

    def key(self, cell: AnyCell) -> str:
        """Return the cell's name. Raises: ValueError when its model does not exist."""
        ...

    def model_of(self, cell: AnyCell) -> Model | None:
        """Return the cell's model; None where it needs none."""
        ...

    def models_of(self, cell: AnyCell) -> list[Model]:
        """Return every model that the cell asks: this one, and the other of a pair."""
        ...

    def file(self, model: Model) -> Path | None:
        """Return where a model's weights lie on this machine; None where they do not."""
        ...

    def is_here(self, cell: AnyCell) -> bool:
        """Return whether every model that the cell asks lies on this machine."""
        ...

    def evaluate(self, cell: AnyCell) -> tuple[Measurement, Pictures, float]:
        """Return what was measured, the pictures to keep, and the seconds that making and scoring them took."""
        ...

    def rows(self, cell: AnyCell, found: Measurement, seconds: float) -> list[Row]:
        """Return one row a metric."""
        ...
