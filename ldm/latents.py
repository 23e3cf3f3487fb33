"""What the UNet is trained on: latents and text contexts, computed once by the frozen parts and cached.

Both are memory maps in half precision, named by everything that made them, and appear under their
name only when complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from tqdm import tqdm

from ldm.autoencoder import Codec
from ldm.data import Captioned, batch_indices
from ldm.keys import digest
from ldm.layers import Params, Structure, merge
from ldm.scenes import CORES, Scenes
from ldm.text import TextEncoder

CHUNK = 1024  # pictures held at once
Batch = dict[str, np.ndarray | Array]


class Encoded(Protocol):
    """Encoded pictures with their encoded captions, wherever they lie."""

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> Batch:
        """The batch of a step, float32: a function of (seed, step) alone; of it these rows (`parallel.Layout.rows`)."""


@dataclass(frozen=True, eq=False)
class LatentSet:
    """n encoded pictures with their encoded captions."""

    latents: Float[np.ndarray, "n h w z"]  # float16, scaled to unit variance
    context: Float[np.ndarray, "n m d"]  # float16

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        rows = batch_indices(seed, step, size, len(self.latents))[part]
        return {"latents": self.latents[rows].astype(np.float32), "context": self.context[rows].astype(np.float32)}


@dataclass(frozen=True, eq=False)
class DeviceSet:
    """The same on an accelerator: latents and the captions' ids lie there, and contexts are computed with the batch.

    A context is a thousand times larger than its ids: fetched from the host it would take longer than a step.
    """

    latents: Float[Array, "n h w z"]  # float16, scaled to unit variance
    ids: Int[Array, "n m"]
    text: TextEncoder

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> Batch:
        rows = jnp.asarray(batch_indices(seed, step, size, len(self.latents))[part], jnp.int32)
        return _gather(self.text.structure, self.text.params, self.latents, self.ids, rows)


@partial(jax.jit, static_argnums=0)
def _gather(structure: Structure, params: Params, latents: Array, ids: Array, rows: Int[Array, " b"]) -> Batch:
    context = merge(structure, params)(ids[rows]).astype(jnp.float16)  # as a `LatentSet` keeps it
    return {"latents": latents[rows].astype(jnp.float32), "context": context.astype(jnp.float32)}


def device_set(data: Scenes, codec: Codec, text: TextEncoder, workers: int = CORES) -> DeviceSet:
    """Draw all scenes on `workers` processes, encode them as they come and keep them on the first device."""
    chunks = tqdm(data.chunks(CHUNK, workers), desc="latents", total=-(-len(data) // CHUNK), unit_scale=CHUNK, unit="img")
    latents = np.concatenate([codec.encode(pictures).astype(np.float16) for _, pictures in chunks])
    ids = text.tokenizer(data.captions(range(len(data))))
    return DeviceSet(jax.device_put(latents), jax.device_put(ids), text)


def latent_set(data: Captioned, codec: Codec, text: TextEncoder, folder: Path) -> LatentSet:
    """Encode all of a data set, or open what an earlier run encoded."""
    n = len(data)
    encoder = {name: p for name, p in codec.params.items() if name.startswith(("encoder.", "quant_conv."))}
    latents = cached(
        folder, f"latents-{n}-{data.key}-{digest(encoder)}",
        lambda rows: codec.encode(data.images(rows)), n,
    )  # fmt: skip
    context = cached(
        folder, f"context-{n}-{data.key}-{digest(text.params)}",
        lambda rows: text.encode(data.captions(rows)), n,
    )  # fmt: skip
    return LatentSet(latents, context)


def cached(folder: Path, name: str, compute: Callable[[range], np.ndarray], n: int) -> np.ndarray:
    """compute(rows) of all n rows as a read-only memory map in half precision; computed once, then read from `folder`."""
    path = folder / f"{name}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            out = None
            for start in tqdm(range(0, n, CHUNK), desc=name.split("-")[0], unit_scale=CHUNK, unit="img"):
                rows = range(start, min(start + CHUNK, n))
                values = compute(rows)
                if out is None:
                    out = np.lib.format.open_memmap(part, "w+", np.float16, (n, *values.shape[1:]))
                out[rows.start : rows.stop] = values
            out.flush()
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")
