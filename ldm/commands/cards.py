"""What commands say beside scores: notes on them, the protocol card, and what a file of them is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldm.metrics.extraction import Extracted
    from ldm.metrics.perceptual.extractors import Extractor
    from ldm.metrics.reference import Reference
    from ldm.metrics.scoring import Score, Settings


def of_card(one: Score) -> dict[str, Any]:
    """Return what a row of a table says of a score's card; its numbers of pictures are not those of the row."""
    return {"card": one.card.fingerprint} | {f"card {name}": value for name, value in asdict(one.card).items()}


def notes(found: Sequence[Score]) -> str:
    """Return what is to be said of the scores, each sentence once."""
    said = dict.fromkeys(one.note for one in found if one.note)
    return "\n".join(f"{', '.join(one.metric for one in found if one.note == note)}: {note}" for note in said)


def card(extractor: Extractor, extracted: Sequence[Extracted], real: Reference | None) -> str:
    """Return the protocol card, for people."""
    lines = [("network", extractor.protocol)]
    lines += [("pictures", f"{one.place}: {len(one):,} ({one.images})") for one in extracted]
    if real:
        known = f"{real.n:,} ({real.images})" if real.n else "statistics of unknown pictures, network and resizer"
        lines.append(("reference", f"{real.place}: {known}"))
    lines.append(("interval", "95 %, over other pictures of the same generator; not over training it again"))
    return "\n".join(f"{name:10} {text}" for name, text in lines)


def about(
    extractor: Extractor, extracted: Sequence[Extracted], real: Reference | None, settings: Settings
) -> dict[str, Any]:
    """Return what a file of scores says beside them: network, pictures, reference, settings and versions."""
    from importlib.metadata import version

    return {
        "network": extractor.protocol,
        "pictures": [{"place": one.place, "n": len(one), "images": one.images} for one in extracted],
        "reference": real and {"place": real.place, "n": real.n, "images": real.images},
        "settings": asdict(settings),
        "versions": {"ldm": _own_version()} | {name: version(name) for name in ("jax", "numpy", "pillow")},
    }


def _own_version() -> str:
    """Return the version of the repository that this runs from: it need not be installed as a package."""
    import tomllib

    from ldm.paths import ROOT

    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
