"""How near pictures come to those that they should be, pair by pair, of any number: PSNR, SSIM, LPIPS.

The means over pairs are no distances of distributions: a restored picture may be sharp and right on the whole, and far
from the true one pixel by pixel (Blau & Michaeli 2018).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from tqdm import tqdm

from ldm.data.pictures import whole
from ldm.data.sources import Source
from ldm.metrics.estimate import Measured
from ldm.metrics.matching import match
from ldm.metrics.scores import mean

TOGETHER = 64  # pairs of one shape that are compared at once
SIZES = 4  # from which on it is said that each costs a compilation
Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]  # two times uint8 (n, h, w, 3) -> (n,)


def nearness(a: Source, b: Source, measures: Mapping[str, Compare], *, progress: bool = True) -> dict[str, Measured]:
    """Return the mean of each measure over the pictures of equal names, whatever their endings.

    Pairs of one shape that follow each other are compared together, so memory holds some pictures at a time.
    Raises: ValueError, one sentence, where fewer than two names are equal, or a pair has two shapes.
    """
    which = match(a.names, b.names, "names")
    if (np.diff(which.b) < 0).any():
        raise ValueError(f"{a.place} and {b.place} hold their pictures in different orders; name the files alike.")
    together = zip(_only(a, which.a), _only(b, which.b), strict=True)
    found: dict[str, list[np.ndarray]] = {name: [] for name in measures}
    waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def compare() -> None:
        x, y = (np.stack(side) for side in zip(*waiting, strict=True))
        for name, measure in measures.items():
            found[name].append(measure(x, y))
        waiting.clear()

    shapes: set[tuple[int, ...]] = set()
    for row, (x, y) in enumerate(tqdm(together, total=len(which.a), unit="pair", disable=not progress)):
        if x.shape != y.shape:
            raise ValueError(
                f"{a.names[which.a[row]]} is {x.shape[1]} x {x.shape[0]} pixels in {a.place} and {y.shape[1]} x "
                f"{y.shape[0]} in {b.place}; give pairs of one size."
            )
        if x.shape not in shapes:
            shapes.add(x.shape)
            if len(shapes) == SIZES and any(name.startswith("lpips") for name in measures):
                warnings.warn(
                    f"The pictures have {SIZES} sizes and more. A network (of LPIPS) is compiled for each, some seconds"
                    " a size; psnr and ssim alone need none.",
                    stacklevel=2,
                )
        if waiting and (len(waiting) == TOGETHER or waiting[0][0].shape != x.shape):
            compare()
        waiting.append((x, y))
    compare()
    return {name: mean(np.concatenate(parts).astype(np.float64)) for name, parts in found.items()}


def _only(source: Source, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the pictures of these rows, which ascend."""
    wanted = set(rows.tolist())
    return (image for row, image in enumerate(source.each(whole)) if row in wanted)
