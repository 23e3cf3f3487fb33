"""Text to images: the trained parts in one line, captions -> contexts -> latents -> uint8 images.

Image i of a seed starts from the same noise in every model and setting (its key is the seed's, with i
folded in), whatever the batch: comparisons between sizes, steps and guidance values are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, UInt8

from ldm.diffusion.sampler import image_keys, sample
from ldm.diffusion.solvers import Plan
from ldm.networks.autoencoder import Codec
from ldm.networks.layers import Params
from ldm.networks.text import TextEncoder
from ldm.profiles import Profile
from ldm.training.gradients import half


def drawing(profile: Profile, params: Params) -> Params:
    """Parameters on the device, where all batches find them, and in bfloat16 (`gradients.half`) where the profile
    trains in it.
    """
    return jax.device_put(half(params) if profile.train.bf16 else params)


@dataclass(frozen=True, kw_only=True, eq=False)
class Generator:
    """A trained model with its frozen networks."""

    profile: Profile
    structure: nnx.GraphDef
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
        guidance: float,
        *,
        rescale: float = 0.0,
        seed: int = 0,
        first: int = 0,
    ) -> Iterator[Float[np.ndarray, "b h w z"]]:
        """Latents of images first, first + 1, ..., in batches of at most `profile.batch`.

        The last batch is filled up, so that there is one compilation a model (and one for guidance 1, which
        asks the network without the empty caption, at half the price).
        """
        size, null = self.profile.batch, self.text.null(1)[0]
        for start in range(0, len(context), size):
            part = context[start : start + size]
            rows = np.arange(start, start + size) + first
            full = np.concatenate([part, np.repeat(part[-1:], size - len(part), 0)])
            empty = None if guidance == 1 or self.takes_guidance else np.broadcast_to(null, full.shape)
            latents = sample(
                self.structure,
                self.drawing,
                plan,
                full,
                empty,
                guidance,
                image_keys(seed, rows),
                predict=self.profile.predict,
                shape=self.profile.latent_shape,
                rescale=rescale,
                takes_guidance=self.takes_guidance,
            )
            yield np.asarray(latents)[: len(part)]

    def images(
        self,
        captions: Sequence[str],
        plan: Plan,
        guidance: float,
        *,
        rescale: float = 0.0,
        seed: int = 0,
        first: int = 0,
    ) -> Iterator[UInt8[np.ndarray, "b H W 3"]]:
        """Images of the captions, in batches as they are made; image k has index first + k.

        `rescale` (0 to 1) tames strong guidance, see `ldm.diffusion.denoiser.guided`.
        """
        context = self.text.encode(captions)
        for latents in self.latents(context, plan, guidance, rescale=rescale, seed=seed, first=first):
            yield self.codec.decode(latents)
