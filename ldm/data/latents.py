"""What the UNet is trained on: latents and text contexts, computed once by the frozen networks and cached.

Both are memory maps in half precision, named by everything that made them, and appear under their
name only when complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ldm.data.batches import CORES, batch_indices, in_order
from ldm.data.cache import cached
from ldm.data.datasets import Captioned
from ldm.diffusion.losses import Batch, DeviceBatch
from ldm.hashing import digest
from ldm.networks.autoencoder import Codec
from ldm.networks.structure import Params, Structure, merge
from ldm.networks.text import TextEncoder

CHUNK = 1024  # pictures held at once
T = TypeVar("T")
Source = tuple[Params, Array, Array]  # the text tower's parameters, latents and ids of a `DeviceSet`


@runtime_checkable
class Encoded(Protocol):
    """Encoded pictures with their encoded captions, wherever they lie."""

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> Batch:
        """Return the batch of a step, float32, by (seed, step) alone; of it these rows (`parallel.Layout.rows`)."""
        ...


@dataclass(frozen=True, eq=False)
class LatentSet:
    """n encoded pictures with their encoded captions."""

    latents: Float[np.ndarray, "n h w z"]  # float16, scaled to unit variance
    context: Float[np.ndarray, "n m d"]  # float16

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        """Return the latents and contexts of a step, float32; `part` picks rows of the batch."""
        rows = batch_indices(seed, step, size, len(self.latents))[part]
        return {"latents": self.latents[rows].astype(np.float32), "context": self.context[rows].astype(np.float32)}


@dataclass(frozen=True, eq=False)
class DeviceSet:
    """A `LatentSet` on an accelerator: latents and ids of captions lie there, contexts are computed with the batch.

    A context is a thousand times larger than its ids: fetched from the host it would take longer than a step.
    """

    latents: Float[Array, "n h w z"]  # float16, scaled to unit variance
    ids: Int[Array, "n m"]
    text: TextEncoder

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> Batch:
        """Return the batch of a step, gathered on the device; `part` picks rows of it."""
        rows = jnp.asarray(batch_indices(seed, step, size, len(self.latents))[part], jnp.int32)
        return _gather(self.text.structure, self.source, rows)

    @property
    def source(self) -> Source:
        """What lies on the device, as `gather` takes it."""
        return self.text.params, self.latents, self.ids


def gather(structure: Structure, source: Source, rows: Int[Array, "*k b"]) -> DeviceBatch:
    """Return latents (..., b, h, w, z) and contexts (..., b, m, d), float32, of rows (..., b) of a `DeviceSet`."""
    params, latents, ids = source
    context = merge(structure, params)(ids[rows.reshape(-1)]).astype(jnp.float16)  # as a `LatentSet` keeps it
    return {
        "latents": latents[rows].astype(jnp.float32),
        "context": context.reshape(*rows.shape, *context.shape[1:]).astype(jnp.float32),
    }


_gather = jax.jit(gather, static_argnums=0)


def latent_set(data: Captioned, codec: Codec, text: TextEncoder, folder: Path) -> LatentSet:
    """Encode all of a data set, or open what an earlier run encoded."""
    name = f"context-{len(data)}-{data.key}-{digest(text.params)}"
    context = half_precision(
        folder, name, in_order(lambda rows: text.encode(data.captions(rows)), len(data), CHUNK, 1), len(data)
    )
    return LatentSet(latents_of(data, codec, folder), context)


def device_set(data: Captioned, codec: Codec, text: TextEncoder, folder: Path) -> DeviceSet:
    """Encode all of a data set, or open what an earlier run encoded, and put its latents on the first device."""
    ids = np.concatenate([text.tokenizer(captions) for captions in drawn(data.captions, len(data))])
    return DeviceSet(jax.device_put(np.asarray(latents_of(data, codec, folder))), jax.device_put(ids), text)


def latents_of(data: Captioned, codec: Codec, folder: Path) -> Float[np.ndarray, "n h w z"]:
    """Encode all pictures, or open what an earlier run encoded."""
    encoder = {name: p for name, p in codec.params.items() if name.startswith(("encoder.", "quant_conv."))}
    name = f"latents-{len(data)}-{data.key}-{digest(encoder)}"
    return half_precision(folder, name, map(codec.encode, drawn(data.images, len(data))), len(data))


def drawn(draw: Callable[[range], T], n: int) -> Iterable[T]:
    """Draw by `batches.in_order`, by all cores where an accelerator waits for them; a CPU has to encode them, too."""
    if jax.default_backend() == "cpu":
        return in_order(draw, n, CHUNK, 1)
    return in_order(draw, n, min(CHUNK, -(-n // (2 * CORES))), CORES)


def half_precision(folder: Path, name: str, parts: Iterable[np.ndarray], n: int) -> np.ndarray:
    """Return the parts (b, ...) of n rows as a memory map float16, computed once and kept as `name` (`cached`)."""
    return cached(folder / f"{name}.npy", parts, n, np.float16, title=name.split("-")[0])
