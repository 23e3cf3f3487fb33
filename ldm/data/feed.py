"""The batches of a training on shards, made ahead in threads.

They come in the order of `batches.batch_indices`, decoded and encoded.

A batch is a function of the step, as it is for data in memory, so a resumed run needs no state of its data, and shards
written of a data set give the run that the data set gives, to the bit. Each process of a run reads its own rows.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import grain
import numpy as np
from jaxtyping import Float

from ldm.data.batches import batch_indices
from ldm.data.pictures import square
from ldm.data.shard_writer import made_by
from ldm.data.shards import CONTEXT, Shards, open_shards
from ldm.networks.autoencoder import Codec
from ldm.networks.text import TextEncoder

THREADS = 4  # that make batches, one each
AHEAD = 8  # batches that may be ready before they are asked for
LONGEST = 2**40  # steps; no run has as many


class Ahead:
    """A function of the step that makes the next values while the present one is used.

    Whoever asks for one step after another, from wherever on, finds them ready; any other step is made when asked for.
    """

    def __init__(self, make: Callable[[int], dict[str, Any]], threads: int, ahead: int):
        self._make = make
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
        steps = grain.MapDataset.range(LONGEST).map(lambda step: make(int(step)))
        self._ready = iter(steps.to_iter_dataset(options))
        self._next, self._last = 0, -1

    def __call__(self, step: int) -> dict[str, Any]:
        follows, self._last = step == self._last + 1, step
        if step != self._next:
            if not follows:  # somebody looks at a batch again
                return self._make(step)
            self._ready.set_state({"next_index": step})
        self._next = step + 1
        return next(self._ready)


class Feed:
    """Latents and contexts of shards, a batch at a time: what `latents.LatentSet` is for data in memory.

    Args:
        codec, text: what encodes pictures and captions; of latents and contexts that are encoded already, they are not
            asked.
        side: of the square that pictures are cut and resized to. shape: of one picture's latents (h, w, z).
        threads, ahead: how many batches are made at once, and how many are kept ready; 0 threads: made when asked for.
    Raises: ValueError where the latents are another autoencoder's, or the contexts another text tower's, as far as the
        shards say what made them.
    """

    def __init__(
        self,
        shards: Shards,
        codec: Codec,
        text: TextEncoder,
        side: int,
        shape: tuple[int, int, int],
        *,
        threads: int = THREADS,
        ahead: int = AHEAD,
    ):
        self.shards, self.codec, self.text, self.side, self.shape = shards, codec, text, side, shape
        self._threads, self._ahead = threads, ahead
        self._steps = lru_cache(maxsize=1)(self._steps)
        for part, name in made_by(codec, text).items():
            if (recorded := shards.manifest.get("made of", {}).get(part, name)) != name:
                raise ValueError(
                    f"{shards.paths[0]}: made with the {part} weights {recorded}, not with this profile's ({name}); "
                    "write the shards anew, or choose the profile that they belong to."
                )

    def batch(self, seed: int, step: int, size: int, part: slice | np.ndarray = slice(None)) -> dict[str, np.ndarray]:
        """Return the batch of a step, float32, by (seed, step) alone; of it these rows (`parallel.Layout.rows`).

        Raises: ValueError or OSError, one sentence with shard and member, for what cannot be read or has another shape.
        """
        return self._steps(seed, size, tuple(np.arange(size)[part].tolist()))(step)

    def _steps(self, seed: int, size: int, part: tuple[int, ...]) -> Callable[[int], dict[str, np.ndarray]]:
        make = partial(self.make, seed, size, np.array(part))
        return Ahead(make, self._threads, self._ahead) if self._threads else make

    def make(self, seed: int, size: int, part: np.ndarray, step: int) -> dict[str, np.ndarray]:
        """Return these parts of a step's batch of so many pictures, latents and context."""
        rows = batch_indices(seed, step, size, len(self.shards))[part]
        contents, words = zip(*self.shards.read(rows), strict=True)
        if self.shards.encoded:
            latents = self._arrays(rows, contents, self.shape, words=False)
        else:
            latents = self.codec.encode(np.stack([self._picture(*pair) for pair in zip(rows, contents, strict=True)]))
        if self.shards.words == CONTEXT:
            context = self._arrays(rows, words, self._context, words=True)
        else:
            context = self.text.encode([self._caption(*pair) for pair in zip(rows, words, strict=True)])
        return {"latents": latents.astype(np.float32), "context": context.astype(np.float32)}

    @cached_property
    def _context(self) -> tuple[int, int]:
        return self.text.tokenizer.length, self.text.width

    def _arrays(
        self, rows: np.ndarray, contents: tuple[bytes, ...], shape: tuple[int, ...], *, words: bool
    ) -> Float[np.ndarray, "b ..."]:
        out = np.empty((len(rows), *shape), np.float32)
        for place, row, content in zip(out, rows, contents, strict=True):
            try:
                array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
            except (ValueError, EOFError, OSError) as error:
                raise ValueError(
                    f"{self.shards.name(row, words)}: not a readable .npy array ({error}); replace it."
                ) from error
            if array.shape != shape or not np.issubdtype(array.dtype, np.floating):
                raise ValueError(
                    f"{self.shards.name(row, words)}: {array.dtype} of shape {array.shape}, where this profile has"
                    f" floating-point numbers of shape {shape}; encode it with the profile's own weights."
                )
            place[...] = array
        return out

    def _picture(self, row: int, content: bytes) -> np.ndarray:
        try:
            return square(content, self.side)
        except ValueError as error:
            raise ValueError(
                f"{self.shards.name(row)}: not a readable picture ({error}); replace it, or leave it out."
            ) from error

    def _caption(self, row: int, content: bytes) -> str:
        try:
            caption = content.decode("utf-8-sig").strip()
            self.text.tokenizer([caption])  # refuses unknown words
        except ValueError as error:
            raise ValueError(f"{self.shards.name(row, words=True)}: {error}") from error
        return caption


def open_feed(url: str, cache: Path, codec: Codec, text: TextEncoder, side: int, shape: tuple[int, int, int]) -> Feed:
    """Return the feed of the shards at `url`, its first sample tried.

    Raises: as `open_shards`, `Feed` and `Feed.batch`.
    """
    feed = Feed(open_shards(url, cache), codec, text, side, shape)
    feed.make(0, 1, np.zeros(1, np.int64), 0)
    return feed
