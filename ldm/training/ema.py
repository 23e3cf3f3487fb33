"""EMA after the fact: an average of any length, from a few snapshots of two others.

The method is that of Karras et al. (2024, EDM2, section 3).

A training keeps the average of its weights theta with a power of time, p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1)
for tau up to t. Its relative width, sigma_rel = the profile's standard deviation / t, is 0.10 at gamma = 6.94 and 0.05
at 16.97. What width is best is not known before. Every snapshot is an integral of p theta, so a sum of snapshots is the
integral of the same sum of profiles: the coefficients whose sum comes nearest, in least squares, to the profile that is
wanted give nearly the average that would have been kept. The loop's averages are exactly these integrals for weights
that stay as they are between two steps (`training.loop.make_train_step`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ldm.networks import weights

if TYPE_CHECKING:  # the arithmetic of averages is NumPy
    from ldm.networks.structure import Params

SECOND = 16.97  # gamma of the average that is kept beside `TrainConfig.ema`, 6.94: EDM2's pair
NARROWEST, WIDEST = 0.01, 0.25  # relative widths that make sense; EDM2 looks at 0.01 to 0.20


def width(gamma: float) -> float:
    """Return sigma_rel of a power average (EDM2, app. C)."""
    return (gamma + 1) ** 0.5 / ((gamma + 2) * (gamma + 3) ** 0.5)


def exponent(sigma_rel: float) -> float:
    """Return the gamma of a relative width: the largest root of a cubic (EDM2, app. C).

    Raises: ValueError outside 0.01 to 0.25.
    """
    if not NARROWEST <= sigma_rel <= WIDEST:
        raise ValueError(
            f"sigma_rel = {sigma_rel}: expected {NARROWEST} to {WIDEST}, the share of the run that the average spans."
        )
    t = sigma_rel**-2
    return float(np.roots([1, 7, 16 - t, 12 - t]).real.max())


def products(
    times: Float[np.ndarray, " a"],
    gammas: Float[np.ndarray, " a"],
    others: Float[np.ndarray, " b"],
    exponents: Float[np.ndarray, " b"],
) -> Float[np.ndarray, "a b"]:
    """Return the integral of each profile times each other one, in closed form (EDM2, app. C)."""
    t, g = np.asarray(times, float)[:, None], np.asarray(gammas, float)[:, None]
    s, h = np.asarray(others, float)[None], np.asarray(exponents, float)[None]
    first, last = np.minimum(t, s), np.maximum(t, s)
    return (g + 1) * (h + 1) / (g + h + 1) * (first / t) ** g * (first / s) ** h / last


def coefficients(
    times: Float[np.ndarray, " n"], gammas: Float[np.ndarray, " n"], time: float, gamma: float
) -> Float[np.ndarray, " n"]:
    """Return what to multiply snapshots of these times and gammas with.

    Their sum then comes nearest to the average of `gamma` at `time`.
    """
    system = products(times, gammas, times, gammas)
    return np.linalg.solve(system, products(times, gammas, np.array([time]), np.array([gamma]))[:, 0])


# --- snapshots on disk ---


def snapshot_path(folder: Path, images: int, gamma: float) -> Path:
    """Return the file of a snapshot after so many images."""
    return folder / f"{images:012d}-{gamma:g}.safetensors"


def keep(folder: Path, images: int, averages: dict[float, Params]) -> None:
    """Write a snapshot of each average, float32: sums with large coefficients of both signs need the digits."""
    for gamma, params in averages.items():
        weights.save(
            snapshot_path(folder, images, gamma),
            {name: np.asarray(p, np.float32) for name, p in params.items()},
            {
                "images": images,
                "gamma": gamma,
            },
        )


def average(folder: Path, sigma_rel: float, images: int = 0) -> tuple[int, Params]:
    """Return (images seen, the weights averaged over this share of the run).

    The average is at one of the snapshots' times, or the last.

    Snapshots after that time are left out: the average is of a run that ended there.
    Raises: ValueError, one sentence, where there are no snapshots, none at that time, or a width that makes no sense.
    """
    gamma, files = exponent(sigma_rel), sorted(folder.glob("*-*.safetensors"))
    facts = [(weights.metadata(file), file) for file in files]
    times = sorted({snapshot["images"] for snapshot, _ in facts})
    if not times:
        raise ValueError(f"{folder}: no snapshots; keep some with `python -m ldm pretrain --snapshots 32`.")
    images = images or times[-1]
    if images not in times:
        raise ValueError(f"images = {images}: expected one of the snapshots' times, {', '.join(map(str, times))}.")
    used = [(snapshot["images"], snapshot["gamma"], file) for snapshot, file in facts if snapshot["images"] <= images]
    earlier, gammas = (np.array([snapshot[i] for snapshot in used], float) for i in (0, 1))
    shares = coefficients(earlier, gammas, images, gamma)
    total: dict[str, np.ndarray] = {}
    for share, (_, _, file) in zip(shares, used, strict=True):
        for name, p in weights.load(file).items():
            total[name] = total.get(name, 0.0) + share * p.astype(np.float64)
    return images, {name: p.astype(np.float32) for name, p in total.items()}
