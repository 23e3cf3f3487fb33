"""What else a budget can buy, besides size, steps and guidance: one dataclass a lever, each with its setting.

A lever is a part of a cell (`ldm.study.levers`), so its class and fields are hashed into the cell's key.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ldm.data.scenes.unwanted import Unwanted

Precision = Literal["bfloat16", "int8"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Guidance at some noise levels alone (Kynkaanniemi et al. 2024); at the others the network is asked once."""

    low: float  # noise levels sigma / alpha, both ends included
    high: float

    name = "guidance in an interval"

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high < math.inf:
            raise ValueError(
                f"low = {self.low}, high = {self.high}: expected two noise levels, the lower one first and not below 0;"
                " choose for instance 0.3 and 5."
            )

    @property
    def dose(self) -> str:
        """The noise levels, in words."""
        return f"noise levels {self.low:g} to {self.high:g}"


@dataclass(frozen=True, kw_only=True)
class Guide:
    """Another member of the family guides, in place of the network's own answer to the empty caption.

    With the caption it is a worse version of the network, which guidance leads away from (autoguidance, Karras et al.
    2024). With the empty one it is classifier-free guidance whose second evaluation is cheaper.
    """

    c: int
    images: int  # its training length
    captioned: bool  # whether the guide is told the caption

    @property
    def name(self) -> str:
        """What the lever is called in the book."""
        return "autoguidance" if self.captioned else "a smaller guide"

    @property
    def dose(self) -> str:
        """The guide, in words."""
        return f"guided by c = {self.c} after {self.images:,} images"


@dataclass(frozen=True, kw_only=True)
class Handover:
    """The cell's size draws the first steps, another one the rest (T-Stitch, Pan et al. 2025)."""

    c: int  # the size that takes over
    after: int  # steps

    name = "a size for each noise level"

    @property
    def dose(self) -> str:
        """The second network and when it takes over, in words."""
        return f"c = {self.c} after {self.after} steps"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Deep features of the UNet are kept from step to step (DeepCache, Ma et al. 2024)."""

    every: int  # steps from one whole evaluation to the next
    depth: int = 3  # skip connections computed at every step (`ldm.diffusion.sampler.Reuse`)

    name = "features kept between steps"

    def __post_init__(self) -> None:
        if self.every < 2 or not 1 <= self.depth <= 11:
            raise ValueError(
                f"every = {self.every}, depth = {self.depth}: expected every of 2 or more, since every step whole is no"
                " lever, and depth from 1 to 11; choose them so."
            )

    @property
    def dose(self) -> str:
        """How much is computed at which steps, in words."""
        return f"whole at one step of {self.every}, else {self.depth} of 12 skip connections"


@dataclass(frozen=True, kw_only=True)
class Rescaled:
    """Guidance whose result keeps the spread of the answer with the caption, in this share (Lin et al. 2024)."""

    share: float

    name = "rescaled guidance"

    def __post_init__(self) -> None:
        _check_share(self.share)

    @property
    def dose(self) -> str:
        """The share, in words."""
        return f"phi {self.share:g}"


@dataclass(frozen=True, kw_only=True)
class Projected:
    """Adaptive projected guidance (Sadat et al. 2024): `ldm.diffusion.guidance.Projection`."""

    norm: float
    parallel: float = 0.0
    momentum: float = -0.5

    name = "projected guidance"

    def __post_init__(self) -> None:
        if not (self.norm > 0 and math.isfinite(self.parallel) and math.isfinite(self.momentum)):
            raise ValueError(f"{self}: expected a norm above 0 and finite numbers beside it.")

    @property
    def dose(self) -> str:
        """The norm, in words."""
        return f"norm {self.norm:g}"


@dataclass(frozen=True, kw_only=True)
class Renoised:
    """CFG++ (Chung et al. 2024): the noise that stays is the answer's without the caption."""

    share: float = 1.0

    name = "CFG++"

    def __post_init__(self) -> None:
        _check_share(self.share)

    @property
    def dose(self) -> str:
        """The share, in words; empty for all."""
        return "" if self.share == 1 else f"share {self.share:g}"


@dataclass(frozen=True, kw_only=True)
class Negative:
    """A negative prompt: guidance leads away from a caption that says something else, not from the empty one.

    Liu et al. (2022, section 4) compose captions so; it costs what guidance costs. Which caption is unwanted is ours:
    the picture's own with one thing changed, the nearest to an opposite that our captions have, or another scene's.
    """

    unwanted: Unwanted

    name = "negative prompts"

    def __post_init__(self) -> None:
        if self.unwanted not in get_args(Unwanted):
            raise ValueError(
                f"unwanted = {self.unwanted!r}: expected one of {', '.join(get_args(Unwanted))}; choose one."
            )

    @property
    def dose(self) -> str:
        """What is not wanted, in words."""
        return f"unwanted: {self.unwanted}"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Weights in fewer bits: half precision, or one byte with a scale for each output channel."""

    kind: Precision

    name = "weights in fewer bits"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Precision):
            raise ValueError(f"kind = {self.kind!r}: expected one of {', '.join(get_args(Precision))}; choose one.")

    @property
    def dose(self) -> str:
        """The kind of numbers that weights are stored in."""
        return self.kind


@dataclass(frozen=True, kw_only=True)
class Search:
    """Several pictures of each caption, of which the small CLIP keeps the one that fits it best (Ma et al. 2025)."""

    candidates: int

    name = "search among noises"

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ValueError(f"candidates = {self.candidates}: expected 2 or more, since one alone is no lever.")

    @property
    def dose(self) -> str:
        """The number of candidates, in words."""
        return f"best of {self.candidates}"


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share = {share}: expected a number above 0, which is no lever, up to 1.")


Lever = Interval | Guide | Handover | Kept | Rescaled | Projected | Renoised | Negative | Stored | Search
