"""Real pictures to compare with: their features, or statistics of them that were saved, here or by other programs.

A file of ours is safetensors: mean, covariance and some of the features, and a description of the network, its weights
and resizer, and of the pictures. Those of pytorch-fid and clean-fid (.npz with mu and sigma) hold a mean and a
covariance and say nothing of where they come from: they serve for Frechet distances, at one's own risk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ldm.metrics.extraction import Extracted
from ldm.metrics.features import blocks
from ldm.metrics.frechet import Gaussian
from ldm.metrics.kernel import Sample
from ldm.metrics.stored import Features
from ldm.networks import weights

KEPT = 10_000  # features that are saved with the statistics, for what needs a sample
STATISTICS = (".safetensors", ".npz")


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """m real pictures as a network saw them."""

    place: str
    images: str  # hex digits that name the pictures; "" where nobody knows
    n: int  # 0 where nobody knows
    given: Gaussian | None = None
    features: Features | None = None  # of all of them, or of some

    @classmethod
    def of(cls, extracted: Extracted) -> Reference:
        """Return the reference of pictures that were looked at."""
        return cls(place=extracted.place, images=extracted.images, n=len(extracted), features=extracted.features)

    @cached_property
    def gaussian(self) -> Gaussian:
        if self.given:
            return self.given
        features = self.sample.features
        return Gaussian.stream(features[rows] for rows in blocks(features))

    @cached_property
    def sample(self) -> Sample:
        """Raises: ValueError, one sentence, where only mean and covariance are there."""
        if self.features is None:
            raise ValueError(
                f"{self.place} holds a mean and a covariance alone, which is enough for fid and fd-inf; give the "
                "pictures themselves, or statistics that --save-statistics wrote."
            )
        return Sample(features=self.features)

    def save(self, path: Path, protocol: str) -> None:
        """Write statistics that `read` reads. `protocol`: the network's."""
        rows = np.unique(np.linspace(0, self.n - 1, min(self.n, KEPT)).astype(int))
        kept = self.sample.features[rows]
        some = np.concatenate([kept[part] for part in blocks(kept)]).astype(np.float32)
        gaussian = self.gaussian
        arrays = {"mean": gaussian.mean, "covariance": gaussian.covariance, "features": some}
        about = {"statistics": {"network": protocol, "images": self.images, "n": self.n, "place": self.place}}
        weights.save(path, arrays, about)


def is_statistics(place: str) -> bool:
    """Return whether a place is a file of statistics and not pictures."""
    return Path(place).suffix in STATISTICS


def read(path: Path, protocol: str) -> Reference:
    """Read the statistics of a file. `protocol`: that of the network whose features they will be compared with.

    Raises: ValueError, one sentence, for a file that is missing or no such file, and for one that says that it was
    made by another network, other weights or another resizer: such numbers are not comparable.
    """
    if path.suffix == ".npz":
        return _of_others(path)
    arrays = weights.load(path)
    facts = weights.metadata(path).get("statistics")
    if not facts or not {"mean", "covariance", "features"} <= arrays.keys():
        raise ValueError(f"{path} holds no statistics of pictures; give a file that --save-statistics wrote.")
    if facts["network"] != protocol:
        raise ValueError(
            f"{path} was made by {facts['network']}, and not by {protocol}: their distances are not comparable; make "
            "it again with this network, or choose the other."
        )
    given = Gaussian(n=facts["n"], mean=arrays["mean"], covariance=arrays["covariance"])
    known = {name: facts[name] for name in ("place", "images", "n")}
    return Reference(**known, given=given, features=arrays["features"])


def _of_others(path: Path) -> Reference:
    try:
        with np.load(path, allow_pickle=False) as file:
            mean, covariance = (file[name].astype(np.float64) for name in ("mu", "sigma"))
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path}: no mean mu and covariance sigma can be read ({error}); give a file of pytorch-fid or clean-fid."
        ) from error
    if mean.ndim != 1 or covariance.shape != (len(mean),) * 2:
        raise ValueError(f"{path}: mu is {mean.shape} and sigma {covariance.shape}; expected (d,) and (d, d).")
    return Reference(place=str(path), images="", n=0, given=Gaussian(n=2, mean=mean, covariance=covariance))
