"""The scores of pictures by name: what each is called, which need a reference, which move with the number of pictures.

It also holds from how many pictures on a score says something.

A name here is a metric alone (`kid`), and its title says the network that the user chose; those of the study's rows,
whose networks are given, stand in `ldm.metrics.catalogue`.

A score computed here is the function of `ldm.metrics` of that name on features that lie on a disk; this file only
knows which arguments go with which, and says with every number what it was measured with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from ldm.hashing import key
from ldm.metrics.estimate import Measured
from ldm.metrics.extraction import Extracted
from ldm.metrics.frechet import frechet, frechet_inf
from ldm.metrics.kernel import cmmd, kid
from ldm.metrics.manifold import Manifold, manifold
from ldm.metrics.perceptual.extractors import Extractor
from ldm.metrics.reference import Reference
from ldm.metrics.scores import clip_score, inception_score
from ldm.metrics.sliced import sliced_wasserstein
from ldm.metrics.stored import Features

Measure = Callable[[], Measured]


class Known(NamedTuple):
    """What there is to know of a score before it is computed."""

    title: str  # on any network
    better: Literal["lower", "higher"]
    own: tuple[str, str] = ("", "")  # a network, and what the score is called on its features
    against: bool = True  # needs a reference
    biased: bool = False  # moves with n
    how: str = ""  # what was done with the features, of `Settings`


NEIGHBOURS = Known("{name}, {network}", "higher", biased=True, how="k {k}, at most {most}")
KNOWN = {
    "fid": Known("FD, {network}", "lower", ("inception", "FID"), biased=True),
    "fd-inf": Known(
        "FD at infinite n, {network}", "lower", ("inception", "FID at infinite n"), how="parts 1, 2, 4, seed {seed}"
    ),
    "kid": Known("KID, {network} (x1000)", "lower", ("inception", "KID (x1000)")),
    "cmmd": Known("MMD as CMMD has it, {network} (x1000)", "lower", ("clip-l14-336", "CMMD (x1000)")),
    "mind": Known("sliced Wasserstein, {network}", "lower", biased=True, how="directions {directions}, seed {seed}"),
    **dict.fromkeys(Manifold._fields, NEIGHBOURS),
    "is": Known(
        "Inception Score's formula, {network}",
        "higher",
        ("inception", "IS"),
        against=False,
        biased=True,
        how="splits {splits}, order {shuffle}",
    ),
    "clip-score": Known("CLIP score, {network}", "higher", against=False),
}
NAMES = tuple(KNOWN)
OF_GAUSSIANS = ("fid", "fd-inf")  # ask nothing of a reference but mean and covariance
SHARES = ("precision", "recall", "coverage")  # of pictures: between 0 and 1


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices that a score leaves open, with their usual values."""

    k: int = 5  # nearest neighbours of precision, recall, density and coverage
    most: int = 10_000  # pictures of either side that these four look at: their work grows with the square
    splits: int = 10  # of the Inception Score
    shuffle: int = 2020  # seed of the order that its parts are taken in, as torch-fidelity shuffles
    directions: int = 512  # of the sliced distance
    seed: int = 0  # of these directions, and of the parts that fd-inf takes

    def __post_init__(self):
        for name in ("k", "most", "splits", "directions"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} = {getattr(self, name)}: expected at least 1; leave it out for the usual one."
                )


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a number was measured with: two may be compared where their fingerprints are equal."""

    network: str  # the network, its weights, its resizer
    reference: str  # hex digits that name the real pictures; "" where there are none or nobody knows
    references: int  # how many
    n: int  # pictures that were scored, where the score moves with their number; else 0
    how: str  # what was done with the features

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that differ as soon as any field does."""
        return key(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """A number with its interval, and all that belongs to it."""

    metric: str
    title: str
    found: Measured
    card: Card
    note: str = ""  # where n is too small for this score

    @property
    def better(self) -> str:
        """Which end of it is good."""
        return KNOWN[self.metric].better


def check(names: tuple[str, ...], extractor: Extractor, reference: bool) -> None:
    """Raise ValueError, one sentence, before any work, for a score that is unknown or cannot be had so."""
    for name in names:
        if name not in NAMES:
            raise ValueError(f"metric {name!r} is not known; known: {', '.join(NAMES)}.")
        if KNOWN[name].against and not reference:
            alone = " or ".join(name for name, known in KNOWN.items() if not known.against)
            raise ValueError(f"{name} compares with real pictures: give a REFERENCE, or ask for {alone}.")
        if name == "is" and extractor.logits is None:
            raise ValueError(f"is needs a network with classes, which {extractor.name} is not; take inception.")
        if name == "clip-score" and extractor.text is None:
            raise ValueError(
                f"clip-score needs a network that reads captions; take --network clip-l14, not {extractor.name}."
            )


def check_statistics(names: Sequence[str], reference: Reference, extractor: Extractor) -> None:
    """Raise ValueError, one sentence, before any work, for statistics of another width or that a score cannot use."""
    width = len(reference.gaussian.mean)
    if width != extractor.dimension:
        raise ValueError(
            f"{reference.place} is of {width} features, and {extractor.name} has {extractor.dimension}: give statistics"
            " of this network, or the pictures themselves."
        )
    if any(KNOWN[name].against and name not in OF_GAUSSIANS for name in names):
        _ = reference.sample  # which says what is missing


def check_counts(names: Sequence[str], n: int, references: int | None, settings: Settings) -> None:
    """Raise ValueError, one sentence, before any work, where n pictures are too few for a score to exist.

    references: how many real ones; None where there are none, or nobody knows.
    """
    own = {"fd-inf": (8, "its line needs parts of 1, 2 and 4"), "is": (2 * settings.splits, "two for each of --splits")}
    real = {}
    for name in Manifold._fields:
        own[name], real[name] = (settings.k + 2, "more than --k"), (settings.k + 1, "more than --k")
    usual = (2, "an interval needs two")
    for name in names:
        sides = [("", n, own.get(name, usual))]
        if references is not None and KNOWN[name].against:
            sides.append(("real ", references, real.get(name, usual)))
        for kind, there, (least, why) in sides:
            there = min(there, settings.most) if name in Manifold._fields else there
            if there < least:
                raise ValueError(
                    f"{name} cannot be had of {there:,} {kind}picture{'s' * (there != 1)}, expected {least:,} or more"
                    f" ({why}): leave it out, or give more."
                )


def scores(
    names: tuple[str, ...], extractor: Extractor, pictures: Extracted, reference: Reference | None, settings: Settings
) -> list[Score]:
    """Return the scores of these names, in their order. Raises: ValueError, one sentence, for too few pictures."""
    measure = _alone(extractor, pictures, settings)
    if reference is not None:
        measure |= _against(pictures, reference, settings)
    found = []
    for name in names:
        value, known = _possible(name, measure[name]()), KNOWN[name]
        card = Card(
            network=extractor.protocol,
            reference=reference.images if reference and known.against else "",
            references=reference.n if reference and known.against else 0,
            n=value.n if known.biased else 0,
            how=f"{name} {known.how.format(**asdict(settings))}".strip(),
        )
        note = too_few(name, len(pictures), reference.n if reference else 0, extractor.dimension, settings)
        found.append(Score(metric=name, title=title(name, extractor), found=value, card=card, note=note))
    return found


def _alone(extractor: Extractor, pictures: Extracted, settings: Settings) -> dict[str, Measure]:
    """Return how scores without a reference are computed: those that this network and these pictures allow."""
    measure: dict[str, Measure] = {}
    if extractor.logits is not None:
        logits = pictures.features.through(extractor.logits, extractor.classes)
        measure["is"] = lambda: inception_score(logits, splits=settings.splits, order=_order(pictures, settings))
    if (texts := pictures.texts) is not None:
        measure["clip-score"] = lambda: clip_score(pictures.features, texts)
    return measure


def _against(pictures: Extracted, reference: Reference, settings: Settings) -> dict[str, Measure]:
    """Return how scores against a reference are computed; four of them share their neighbours."""

    @cache
    def nearest() -> Manifold:
        x, y = _at_most(pictures.features, settings.most), _at_most(reference.sample.features, settings.most)
        return manifold(x, y, k=settings.k)

    return {
        "fid": lambda: frechet(pictures.features, reference.gaussian),
        "fd-inf": lambda: frechet_inf(pictures.features, reference.gaussian, seed=settings.seed),
        "kid": lambda: kid(pictures.features, reference.sample).times(1000),
        "cmmd": lambda: cmmd(pictures.features, reference.sample),
        "mind": lambda: sliced_wasserstein(
            pictures.features, reference.sample.features, directions=settings.directions, seed=settings.seed
        ),
        **{name: lambda name=name: getattr(nearest(), name) for name in Manifold._fields},
    }


def title(name: str, extractor: Extractor) -> str:
    """Return what a score is called: FID, KID and IS are Inception's alone, CMMD is CLIP ViT-L/14's at 336 pixels."""
    network, own = KNOWN[name].own
    return own if extractor.name == network else KNOWN[name].title.format(name=name, network=extractor.title)


def too_few(name: str, n: int, references: int, d: int, settings: Settings) -> str:
    """Return one sentence where n pictures are too few for a score of d features.

    Another sentence says that fewer were looked at than there are.
    """
    if name == "fid" and n < 2 * d:
        return f"{n:,} pictures for {d:,} features: most of this value is bias; take {10 * d:,}, or read kid."
    if name == "fid" and n < 10_000:
        return "Below 10,000 pictures the bias is large: compare with values at this very n alone."
    if name == "fd-inf" and n < 8 * d:
        return f"Parts of several times {d:,} pictures are needed: take {8 * d:,} or more, or read kid."
    if name == "is" and n < 500 * settings.splits:
        return f"{n // settings.splits:,} pictures a part leave classes out: compare at this n and splits alone."
    if name in Manifold._fields and max(n, references) > settings.most:
        return f"Of {settings.most:,} pictures of either side at most, evenly taken; --most changes that."
    if name in Manifold._fields and min(n, references) < 1000:
        return "Below a thousand pictures the value depends much on n and k: compare only at equal n and k."
    if name == "mind" and n < 1000:
        return "Biased upwards by about 1 / n: compare at this very n alone."
    if n < 100:
        return "An interval from so few pictures is a rough one."
    return ""


def _possible(name: str, found: Measured) -> Measured:
    """Return a score whose interval ends where its values do: shares of pictures are at most 1."""
    if name not in SHARES:
        return found
    ends = found._replace(lo=max(found.lo, 0.0), hi=min(found.hi, 1.0))
    return Measured(*ends).remembering(found.influences)


def _order(pictures: Extracted, settings: Settings) -> np.ndarray:
    return np.random.RandomState(settings.shuffle).permutation(len(pictures))


def _at_most(features: Features, most: int) -> np.ndarray:
    rows = np.unique(np.linspace(0, len(features) - 1, min(len(features), most)).astype(int))
    return features[rows][:]
