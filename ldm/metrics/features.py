"""Feature arrays: made from streams of images, and looked at before anything is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import overload

import numpy as np

from ldm.metrics.stored import BLOCK, Features, StoredFeatures


def features_of(
    images: Iterable[np.ndarray],
    network: Callable[[np.ndarray], np.ndarray],
    *,
    progress: str = "",
) -> np.ndarray:
    """Return features (n, d) of a stream of uint8 images, single (H, W, 3) or in batches (b, H, W, 3).

    Images are consumed as they come, so as many can be scored as can be made; a non-empty
    `progress` labels a progress bar.
    """
    if progress:
        from tqdm.auto import tqdm

        images = tqdm(images, desc=progress)
    parts = [network(image if image.ndim == 4 else image[None]) for image in images]
    if not parts:
        raise ValueError("features_of got no images; give it at least one.")
    return np.concatenate(parts)


@overload
def checked(features: np.ndarray, *, least: int = 2) -> np.ndarray: ...
@overload
def checked(features: StoredFeatures, *, least: int = 2) -> StoredFeatures: ...
def checked(features: Features, *, least: int = 2) -> Features:
    """Return features (n, d) in float64, or those on a disk as they are: they were looked at when they were written.

    Raises: ValueError, one sentence, for what no score can be computed from.
    """
    x = features if isinstance(features, StoredFeatures) else _numbers(features, "features")
    if len(x.shape) != 2 or len(x) < least or not x.shape[1]:
        raise ValueError(f"features have shape {x.shape}, expected (n, d) with n of {least} or more.")
    if isinstance(x, np.ndarray) and not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(1).sum())
        raise ValueError(
            f"{bad} of {len(x)} images have features that are not finite; look at these images, and do not "
            "drop them silently."
        )
    return x


def checked_scores(values: np.ndarray) -> np.ndarray:
    """Return scores (n,) in float64; booleans become 0 and 1. Raises: ValueError as `checked` does."""
    values = np.asarray(values)
    x = values.astype(np.float64) if values.dtype == bool else _numbers(values, "scores")
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"scores have shape {x.shape}, expected (n,) with n of 2 or more, all of them finite.")
    return x


def same_width(x: Features, width: int) -> None:
    """Raise ValueError where features (n, d) and a reference of another width meet."""
    if x.shape[1] != width:
        raise ValueError(
            f"the features are {x.shape[1]}-d and the reference {width}-d; use a reference made by the same network."
        )


def blocks(x: Features, most: int | None = None) -> list[slice]:
    """Return the rows to look at together: all of an array, a block at a time of what lies on a disk.

    most: rows of a block, of an array too; None: as above.
    """
    step = most or (BLOCK if isinstance(x, StoredFeatures) else max(len(x), 1))
    return [slice(begin, begin + step) for begin in range(0, len(x), step)]


@overload
def unit(x: np.ndarray) -> np.ndarray: ...
@overload
def unit(x: StoredFeatures) -> StoredFeatures: ...
def unit(x: Features) -> Features:
    """Return checked features scaled to length 1, so that inner products are cosines."""
    if isinstance(x, StoredFeatures):
        return x.through(unit)
    lengths = np.sqrt(np.square(x).sum(1, keepdims=True))
    if not lengths.all():
        raise ValueError(
            f"{int((lengths == 0).sum())} of {len(x)} images have features that are all 0, which have no direction; "
            "look at these images."
        )
    return x / lengths


def _numbers(values: np.ndarray, name: str) -> np.ndarray:
    x = np.asarray(values)
    if x.dtype.kind not in "fiu":
        raise ValueError(f"{name} are {x.dtype}, expected real numbers; give float32 or float64.")
    return x.astype(np.float64, copy=False)
