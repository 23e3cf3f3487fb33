"""What the UNet is trained on: latents and text contexts, computed once by the frozen parts and cached.

Both are memory maps in half precision, named by everything that made them, and appear under their
name only when complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ldm.autoencoder import Codec
from ldm.data import Captioned, batch_indices
from ldm.keys import digest
from ldm.text import TextEncoder

CHUNK = 1024  # pictures held at once


class Encoded(Protocol):
    """Encoded pictures with their encoded captions, wherever they lie."""

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        """The batch of a step, float32: a function of (seed, step) alone; of it these rows (`parallel.Layout.rows`)."""


@dataclass(frozen=True, eq=False)
class LatentSet:
    """n encoded pictures with their encoded captions."""

    latents: Float[np.ndarray, "n h w z"]  # float16, scaled to unit variance
    context: Float[np.ndarray, "n m d"]  # float16

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        rows = batch_indices(seed, step, size, len(self.latents))[part]
        return {"latents": self.latents[rows].astype(np.float32), "context": self.context[rows].astype(np.float32)}


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
