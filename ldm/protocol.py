"""Protocol cards: what a number was measured with, so that only numbers of one kind meet on an axis.

Two Frechet distances are comparable only where network, weights, resize, reference and counts are the same;
most published ones that disagree differ in one of these (Parmar et al. 2022).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from ldm.keys import key


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
        """Raises: ValueError, with both fingerprints, if what `where` holds was made under another protocol.

        `found`: the fields of the other card, as `dataclasses.asdict` gives them; None if it has none.
        """
        if found == asdict(self):
            return
        if found is None or set(found) != set(asdict(self)):
            raise ValueError(f"{where} does not say what it was made from, expected {self.fingerprint}; make it again.")
        differ = [f"{name} is {found[name]!r}, not {mine!r}" for name, mine in asdict(self).items() if found[name] != mine]
        raise ValueError(
            f"{where} was made under protocol {Protocol(**found).fingerprint}, expected {self.fingerprint}: "
            f"its {', its '.join(differ)}; make it again."
        )


def table(cards: Mapping[str, Protocol]) -> pd.DataFrame:
    """Cards side by side, one column each: what the book prints beside its numbers."""
    names = [field.name for field in fields(Protocol)]
    rows = {name: [str(getattr(card, name)) for card in cards.values()] for name in names}
    rows["fingerprint"] = [card.fingerprint for card in cards.values()]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(cards))


def folded(rows: pd.DataFrame, cards: Mapping[str, Protocol], command: str = "", *, counted: str = "pictures") -> str:
    """What every value in the rows was measured with, as Markdown that the reader unfolds beneath a figure.

    One item a protocol, with the metrics that share it; protocols that differ in one part share an item (`alike`). A metric
    without a card, or measured in another way than its card says, shows the protocol that its rows hold. `command`:
    what makes such rows. `counted`: of what a value's n is.
    """
    items: dict[tuple[str, str], list[str]] = {}  # (how often, how) -> metrics
    for (metric, protocol), group in rows.groupby(["metric", "protocol"], sort=False):
        least, most = int(group["n"].min()), int(group["n"].max())
        card, counts = cards.get(metric), f"{most}" if least == most else f"{least} to {most}"
        if card and protocol.startswith(card.line):
            protocol = (
                f"{card.network}; its weights `{card.weights}`; features in {card.dtype}; {card.how}; compared with "
                f"{card.n} real pictures of {card.side} x {card.side} pixels, `{card.images}`; card `{card.fingerprint}`"
            )
        items.setdefault((f"{counts} {counted if most > 1 else counted.removesuffix('s')} a value", protocol), []).append(metric)
    shared: dict[tuple[str, str], list[str]] = {}  # (metrics, how often) -> how
    for (often, how), metrics in items.items():
        shared.setdefault((", ".join(metrics), often), []).append(how)
    lines = [f"- **{metrics}**, {often}: {how}" for (metrics, often), those in shared.items() for how in alike(those)]
    made = [f"- **made by** `{command}`"] if command else []
    text = "\n".join([*lines, *sources(rows), *made])
    return f"<details>\n<summary>Where do these numbers come from?</summary>\n\n{text}\n\n</details>"


def alike(protocols: Iterable[str]) -> list[str]:
    """The protocols, with those that differ in one part (parts end at semicolons) made one: "a; 1; x" and "a; 2; x" are "a; 1 or 2; x"."""
    found = [tuple(protocol.split("; ")) for protocol in protocols]
    for place in range(max(map(len, found), default=0)):
        groups: dict[tuple, dict[str, None]] = {}
        for parts in found:
            kinds = parts[place : place + 1]  # none, of a shorter one
            groups.setdefault((parts[:place], len(kinds), parts[place + 1 :]), {}).update(dict.fromkeys(kinds))
        found = [(*before, *([" or ".join(kinds)] * n), *after) for (before, n, after), kinds in groups.items()]
    return ["; ".join(parts) for parts in found]


def sources(rows: pd.DataFrame) -> list[str]:
    """Which recorded rows these are, when and with what they were made; the links are to files of the built book."""
    found = []
    for (study, profile), group in rows.groupby(["study", "profile"], sort=False) if "study" in rows else ():
        days = sorted({created[:10] for created in group["created"]})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        jax = sorted({json.loads(versions)["jax"] for versions in group["versions"].unique()})
        found.append(
            f"- **rows** of the study {study}, profile {profile}: {len(group):,} of these metrics, made {when} with jax "
            f"{', '.join(jax)}; all its columns in <a href=\"../_static/rows/{study}-{profile}.csv\" download>"
            f"{study}-{profile}.csv</a>, where `key` names the cell; [how rows are made](../book/provenance.md)"
        )
    return found


def single(rows: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raises: ValueError where a column holds more than one value: such rows would mix experiments in one curve."""
    for name in columns:
        if len(values := sorted(rows[name].dropna().unique().tolist())) > 1:
            raise ValueError(f"rows mix {name} = {values}: keep one of them.")
