"""How numbers were measured, as tables and folds of a page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ldm.metrics.catalogue import METRICS, short
from ldm.metrics.protocol import Protocol

CAPTIONS = re.compile(r"\b(val captions|test captions)(?! that say)")  # a protocol names the level unless it is "all"


def folded(rows: pd.DataFrame, cards: Mapping[str, Protocol], command: str = "", *, counted: str = "pictures") -> str:
    """Return what every value in the rows was measured with, as Markdown that the reader unfolds beneath a figure.

    One item a protocol, with the metrics that share it; protocols that differ in one part share an item (`alike`). A
    metric without a card, or measured in another way than its card says, shows the protocol that its rows hold.
    `command`: what makes such rows. `counted`: of what a value's n is.
    """
    items: dict[tuple[str, str], list[str]] = {}  # (how often, how) -> metrics
    for (metric, protocol), group in rows.groupby(["metric", "protocol"], sort=False):
        least, most = int(group["n"].min()), int(group["n"].max())
        card, counts = cards.get(metric), f"{most}" if least == most else f"{least} to {most}"
        if card and protocol.startswith(card.line):
            protocol = (
                f"{card.network}; its weights `{card.weights}`; features in {card.dtype}; {card.how}; compared with"
                f" {card.n} real pictures of {card.side} x {card.side} pixels, `{card.images}`; card"
                f" `{card.fingerprint}`"
            )
        protocol = CAPTIONS.sub(r"\1 that say everything", protocol)
        items.setdefault(
            (f"{counts} {counted if most > 1 else counted.removesuffix('s')} a value", protocol), []
        ).append(metric)
    shared: dict[tuple[str, str], list[str]] = {}  # (metrics, how often) -> how
    for (often, how), metrics in items.items():
        named = dict.fromkeys(short(name) if name in METRICS else name.replace("_", " ") for name in metrics)
        shared.setdefault((", ".join(named), often), []).append(how)
    lines = [f"- **{metrics}**, {often}: {how}" for (metrics, often), those in shared.items() for how in alike(those)]
    made = [f"- **made by** `{command}`"] if command else []
    text = "\n".join([*lines, *sources(rows), *made])
    return f"<details>\n<summary>Where do these numbers come from?</summary>\n\n{text}\n\n</details>"


def alike(protocols: Iterable[str]) -> list[str]:
    """Return the protocols, with those that differ in one part made one.

    Parts end at semicolons: "a; 1; x" and "a; 2; x" are "a; 1 or 2; x".
    """
    found = [tuple(protocol.split("; ")) for protocol in protocols]
    for place in range(max(map(len, found), default=0)):
        groups: dict[tuple[Any, ...], dict[str, None]] = {}
        for parts in found:
            kinds = parts[place : place + 1]  # none, of a shorter one
            groups.setdefault((parts[:place], len(kinds), parts[place + 1 :]), {}).update(dict.fromkeys(kinds))
        found = [(*before, *([" or ".join(kinds)] * n), *after) for (before, n, after), kinds in groups.items()]
    return ["; ".join(parts) for parts in found]


def sources(rows: pd.DataFrame) -> list[str]:
    """Return which recorded rows these are, when and with what they were made.

    The links are to files of the built book.
    """
    found = []
    for (study, profile), group in rows.groupby(["study", "profile"], sort=False) if "study" in rows else ():
        days = sorted({created[:10] for created in group["created"]})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        jax = sorted({json.loads(versions)["jax"] for versions in group["versions"].unique()})
        found.append(
            f"- **rows** of the study {study.replace('_', ' ')}, profile {profile}: {len(group):,} of these metrics,"
            f" made {when} with jax "
            f'{", ".join(jax)}; all its columns in <a href="../_static/rows/{study}-{profile}.csv" download>'
            f"{study}-{profile}.csv</a>, where `key` names the cell; [how rows are made](../book/provenance.md)"
        )
    return found
