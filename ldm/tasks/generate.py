"""Text to images: the trained parts in one line, captions -> contexts -> latents -> uint8 images.

Image i of a seed starts from the same noise in every model and setting (its key is the seed's, with i
folded in), whatever the batch: comparisons between sizes, steps and guidance values are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from ldm.diffusion.guidance_settings import Guidance, as_guidance
from ldm.diffusion.plan import Plan
from ldm.diffusion.sampler import Reuse, image_keys, sample
from ldm.networks.autoencoder import Codec
from ldm.networks.batched import full_batches
from ldm.networks.structure import Params, Structure
from ldm.networks.text import TextEncoder
from ldm.profile import Profile
from ldm.training.gradients import half

CANDIDATES = 1 << 20  # above every row's number, which is folded into an image's key for the row's noise


def candidate_keys(keys: jax.Array, candidate: int) -> jax.Array:
    """Return the keys of another picture of each image; candidate 0 is the image's own."""
    return keys if candidate == 0 else jax.vmap(lambda key: jax.random.fold_in(key, CANDIDATES + candidate))(keys)


def drawing(profile: Profile, params: Params) -> Params:
    """Return parameters on the device, where all batches find them.

    They are in bfloat16 (`gradients.half`) where the profile trains in it.
    """
    return jax.device_put(half(params) if profile.train.bf16 else params)


@dataclass(frozen=True, kw_only=True, eq=False)
class Generator:
    """A trained model with its frozen networks."""

    profile: Profile
    structure: Structure
    params: Params
    codec: Codec
    text: TextEncoder
    takes_guidance: bool = False  # as an input, as a distilled network does, which is asked once a step

    @cached_property
    def drawing(self) -> Params:
        """The parameters as pictures are drawn with them (`drawing`)."""
        return drawing(self.profile, self.params)

    def latents(
        self,
        context: Float[np.ndarray, "n m d"],
        plan: Plan,
        guidance: Guidance | float,
        *,
        guide: tuple[Structure, Params] | None = None,
        captioned: bool = True,
        negative: Float[np.ndarray, "n m d"] | None = None,
        reuse: Reuse | None = None,
        seed: int = 0,
        first: int = 0,
        candidate: int = 0,
    ) -> Iterator[Float[np.ndarray, "b h w z"]]:
        """Yield latents of images first, first + 1, ..., in batches of at most `profile.batch`.

        The last batch is filled up, so that there is one compilation a model (and one for guidance 1, which
        asks the network without the empty caption, at half the price).

        Args:
            guide: a weaker network that guides in place of the empty caption (`ldm.diffusion.guidance.pair`).
            captioned: whether the guide sees the caption; if not, it sees the empty one, or the negative prompt.
            negative: contexts that guidance leads away from, one a picture, in place of the empty caption's.
            reuse: whether deep features are kept between rows (`ldm.diffusion.sampler.Reuse`).
            candidate: which of an image's starts (`candidate_keys`); the others are for a search among them.
        Raises: ValueError for negative prompts that are not asked, or not one a picture.
        """
        guidance = as_guidance(guidance)
        plain = np.all(np.asarray(guidance.scale) == 1) and guidance.renoise == 0
        one_pass = self.takes_guidance or (captioned if guide is not None else plain)
        if negative is not None and (one_pass or len(negative) != len(context)):
            raise ValueError(
                f"{len(negative)} negative prompts for {len(context)} pictures at guidance {guidance.scale}: expected"
                " one a picture, and guidance that asks for them; leave them out, or guide by more than 1."
            )
        size = self.profile.batch
        away = np.broadcast_to(self.text.null(1)[0], context.shape) if negative is None else negative
        for start, count, (full, null) in full_batches(size, context, away):
            rows = np.arange(start, start + size) + first
            empty = None if one_pass else null
            latents = sample(
                self.structure,
                self.drawing,
                plan,
                full,
                empty,
                guidance,
                candidate_keys(image_keys(seed, rows), candidate),
                predict=self.profile.predict,
                shape=self.profile.latent_shape,
                takes_guidance=self.takes_guidance,
                guide=guide,
                reuse=reuse,
            )
            yield np.asarray(latents)[:count]

    def images(
        self,
        captions: Sequence[str],
        plan: Plan,
        guidance: Guidance | float,
        *,
        negative: Sequence[str] | None = None,
        **options: Any,
    ) -> Iterator[UInt8[np.ndarray, "b H W 3"]]:
        """Yield images of the captions, in batches as they are made.

        Image k has index first + k. negative: captions that guidance leads away from, one a picture, in place of the
        empty one. Other options as `latents`.
        """
        context, away = self.text.encode(captions), None if negative is None else self.text.encode(negative)
        for latents in self.latents(context, plan, guidance, negative=away, **options):
            yield self.codec.decode(latents)
