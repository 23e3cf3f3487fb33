"""The shapes of diffusion transformers: the published sizes, and the rule of the small ones of this study.

Numbers alone, which load no JAX.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

PATCHES = (1, 2, 4, 8)
HEAD = 24  # channels of a head of the small ones
A_LAYER = 32  # channels of width for each layer of theirs, as DiT-S has


@dataclass(frozen=True, kw_only=True)
class DiTConfig:
    """Shape of a diffusion transformer (`ldm.networks.dit`).

    Raises: ValueError, one sentence, for numbers that do not go together.
    """

    width: int
    depth: int  # layers
    heads: int
    patch: int = 2  # height and width of the squares of latents that are tokens
    latents: int = 4  # channels in and out
    inputs: int = 0  # channels in, where they are more (super-resolution); 0: latents
    outputs: int = 0  # channels out, where they are more (a learned variance); 0: latents
    context: int = 0  # width of the text embedding; 0: class labels in its place
    classes: int = 0  # kinds of labels; one more row stands for none, which guidance needs
    single: bool = False  # whether the layers share one modulation, as PixArt-alpha's
    guidance: int = 0  # width of the embedding of the guidance scale, which distilled networks take as an input
    guidance_frequency: float = 1000.0  # how fast its sinusoids turn (`ldm.networks.time_embedding.guidance_embedding`)

    def __post_init__(self):
        for name in ("width", "depth", "heads", "latents"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1.")
        if self.width % self.heads or self.width % 4:
            raise ValueError(
                f"width = {self.width}, heads = {self.heads}: expected a width that the heads and 4 divide (sines and "
                "cosines of two coordinates); give another width."
            )
        if self.patch not in PATCHES:
            raise ValueError(f"patch = {self.patch}: expected one of {PATCHES}; choose among them.")
        if bool(self.context) == bool(self.classes) or self.single and not self.context:
            raise ValueError(
                f"context = {self.context}, classes = {self.classes}, single = {self.single}: expected the width of a "
                "text embedding or the number of classes, and one shared modulation with text only; leave one out."
            )

    @property
    def channels_in(self) -> int:
        return self.inputs or self.latents

    @property
    def channels_out(self) -> int:
        return self.outputs or self.latents

    def tokens(self, size: int) -> int:
        """Count the patches of latents of this height and width. Raises: ValueError where they do not fit."""
        if size < 1 or size % self.patch:
            raise ValueError(f"size = {size}: expected a multiple of patch = {self.patch}; choose another patch.")
        return (size // self.patch) ** 2


# Width, layers and heads (Peebles and Xie 2023, table 1)
PUBLISHED = {"S": (384, 12, 6), "B": (768, 12, 12), "L": (1024, 24, 16), "XL": (1152, 28, 16)}


def published(name: str) -> DiTConfig:
    """Return the published network of a name such as "XL/2": a thousand classes, twice the channels out.

    Raises: ValueError for another name.
    """
    size, _, patch = name.partition("/")
    if size not in PUBLISHED or patch not in ("2", "4", "8"):
        raise ValueError(f"name = {name!r}: expected {', '.join(PUBLISHED)} with /2, /4 or /8, such as 'XL/2'.")
    width, depth, heads = PUBLISHED[size]
    return DiTConfig(width=width, depth=depth, heads=heads, patch=int(patch), outputs=8, classes=1000)


def with_text(name: str, context: int, **fields: Any) -> DiTConfig:
    """Return the published network of a name, told text by cross-attention in place of labels, with no variance out.

    Raises: ValueError for another name.
    """
    return replace(published(name), outputs=0, classes=0, context=context, **fields)


def small(width: int, context: int = 128, patch: int = 1, **fields: Any) -> DiTConfig:
    """Return the study's own of a width: heads of 24 channels, and a layer for each 32 channels or part of them.

    On 8x8 latents, with patches of one latent and 24 words, the widths 48, 72, 96, 120, 144 and 168 cost what the UNets
    of c = 8, 16, 24, 32, 48 and 64 do, within a fifth (`ldm.networks.dit_cost`).

    Raises: ValueError for a width that is no multiple of 24.
    """
    if isinstance(width, bool) or not isinstance(width, int) or width < HEAD or width % HEAD:
        raise ValueError(f"width is {width!r}; expected a multiple of {HEAD}, the channels of a head, such as 96.")
    return DiTConfig(
        width=width, depth=-(-width // A_LAYER), heads=width // HEAD, patch=patch, context=context, **fields
    )
