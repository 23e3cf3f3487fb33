"""Search among noises (Ma et al. 2025, random search): several pictures of a caption, of which a verifier keeps one.

Candidate 0 of an image starts from the noise that it has without a search, so a search among one is no search. A search
among N looks at the candidates of every shorter one: its scores tell what each of those would have kept. What a search
costs is `Passes.times` of `ldm.diffusion.counting`, with the verifier's own FLOPs (`gflops_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8

from ldm.diffusion.guidance_settings import Guidance
from ldm.diffusion.plan import Plan
from ldm.networks.autoencoder import Codec, decode
from ldm.networks.scene_clip import Similarity, similarities
from ldm.tasks.generate import Generator

Verifier = Callable[[np.ndarray, Sequence[str]], np.ndarray]  # (b, H, W, 3) uint8, captions -> (b,), larger is better


class Found(NamedTuple):
    """What a search kept of a batch."""

    images: UInt8[np.ndarray, "b H W 3"]
    scores: Float[np.ndarray, "b n"]  # of every candidate

    @property
    def chosen(self) -> Int[np.ndarray, " b"]:
        """The candidate that was kept: the first of the best."""
        return self.scores.argmax(1)


def best_of(
    generator: Generator,
    captions: Sequence[str],
    plan: Plan,
    guidance: Guidance | float,
    verifier: Verifier,
    candidates: int,
    *,
    first: int = 0,
    negative: Sequence[str] | None = None,
    **options: Any,
) -> Iterator[Found]:
    """Draw so many candidates of each caption and keep the one that the verifier scores best, batch by batch.

    verifier: (images uint8, their captions) -> scores (b,), larger is better. negative: what each picture is led
    away from, one a caption. Options are those of `Generator.latents`.
    A picture depends on the seed, its index and the candidate alone; image k has index first + k.

    Raises: ValueError for fewer than one candidate, or scores that are not one finite number a picture.
    """
    if candidates < 1:
        raise ValueError(f"candidates = {candidates}: expected at least 1; give the number of pictures to choose from.")
    size = generator.profile.batch
    for start in range(0, len(captions), size):
        some = captions[start : start + size]
        away = negative and negative[start : start + size]
        kept, scores = np.empty(0), np.empty((len(some), 0))
        for candidate in range(candidates):
            drawn = generator.images(
                some, plan, guidance, first=first + start, candidate=candidate, negative=away, **options
            )
            images = np.concatenate(list(drawn))
            score = np.asarray(verifier(images, some), np.float64)
            if score.shape != (len(some),) or not np.isfinite(score).all():
                raise ValueError(
                    f"verifier: expected {len(some)} finite numbers for as many pictures, got {score.tolist()}; "
                    "give one score a picture."
                )
            better = score > scores.max(1, initial=-np.inf)
            kept = np.where(better[:, None, None, None], images, kept) if candidate else images
            scores = np.concatenate([scores, score[:, None]], 1)
        yield Found(kept, scores)


def look_gflops(clip: Similarity, side: int) -> float:
    """Return the GFLOPs of one look of the small CLIP at a picture of side x side pixels and its caption."""
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)
    ids = jax.ShapeDtypeStruct((1, clip.tokenizer.length), np.int32)
    return gflops_of(partial(similarities, clip.structure), clip.params, image, ids)


def decoding_gflops(codec: Codec, latents: tuple[int, int, int]) -> float:
    """Return the GFLOPs of one picture's way from latents (height, width, channels) to pixels."""
    return gflops_of(partial(decode, codec.structure), codec.params, jax.ShapeDtypeStruct((1, *latents), np.float32))


def gflops_of(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the GFLOPs of one call, as XLA counts them in what JAX traces; nothing is compiled or run.

    Divide by the call's pictures.
    """
    costs = jax.jit(function).lower(*arguments).cost_analysis()
    if costs is None:
        raise ValueError("this device's compiler counts no FLOPs; count them on a CPU.")
    return costs["flops"] / 1e9
