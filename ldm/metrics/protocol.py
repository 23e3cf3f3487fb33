"""Protocol cards: what a number was measured with, so that only numbers of one kind meet on an axis.

Two Frechet distances are comparable only where network, weights, resize, reference and counts are the same;
most published ones that disagree differ in one of these (Parmar et al. 2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ldm.hashing import key


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything beside the pictures themselves that a score against real pictures depends on."""

    network: str  # name, layer, width, resolution and resizer, as the network's own `protocol` says
    weights: str  # digest of its parameters
    images: str  # key of the real pictures: which ones, and how they are drawn
    n: int  # how many of them
    side: int  # their height and width in pixels, uint8 RGB
    dtype: str = "float32"  # of the features
    how: str = ""  # what is done with the features

    @property
    def line(self) -> str:
        """In one line, as in the column `protocol` of the rows."""
        return f"{self.network}; {self.how}, {self.n} real scenes"

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that differ as soon as any field does."""
        return key(self)

    def require(self, found: Mapping[str, Any] | None, where: str) -> None:
        """Raise ValueError, with both fingerprints, if what `where` holds was made under another protocol.

        `found`: the fields of the other card, as `dataclasses.asdict` gives them; None if it has none.
        """
        if found == asdict(self):
            return
        if found is None or set(found) != set(asdict(self)):
            raise ValueError(f"{where} does not say what it was made from, expected {self.fingerprint}; make it again.")
        differ = [
            f"{name} is {found[name]!r}, not {mine!r}" for name, mine in asdict(self).items() if found[name] != mine
        ]
        raise ValueError(
            f"{where} was made under protocol {Protocol(**found).fingerprint}, expected {self.fingerprint}: "
            f"its {', its '.join(differ)}; make it again."
        )


def single(rows: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise ValueError where a column holds more than one value: such rows would mix experiments in one curve."""
    for name in columns:
        if len(values := sorted(rows[name].dropna().unique().tolist())) > 1:
            raise ValueError(f"rows mix {name} = {values}: keep one of them.")
