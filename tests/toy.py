"""A toy in place of a network, and a plan walked through in plain NumPy: shared by tests and golden files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ldm.diffusion.plan import Plan
from ldm.diffusion.schedule import Schedule, to_x0

SD = Schedule.sd()
Network = Callable[[np.ndarray, int], np.ndarray]  # (x, t) -> what it predicts


def nonlinear(x: np.ndarray, t: int) -> np.ndarray:
    return np.tanh(1.3 * x + 0.2) * (0.3 + t / 1400) + 0.1 * np.sin(3 * x)


def start() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 3))


def noises(steps: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((steps, 4, 3))


def uniform_in_log_snr(n: int) -> Schedule:
    """n levels with equal steps of lambda = log(alpha / sigma), between the ends of SD's schedule."""
    ends = np.log(SD.alpha / SD.sigma)[[0, -1]]
    snr = np.exp(2 * np.linspace(*ends, n))
    return Schedule(alpha=np.sqrt(snr / (1 + snr)), sigma=np.sqrt(1 / (1 + snr)))


def walk(
    plan: Plan,
    network: Network,
    x: np.ndarray,
    predict: str = "eps",
    noise: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """The states after each row of a plan, in plain NumPy: what `sample` does, spelled out."""
    previous = before = np.zeros_like(x)
    for i in range(int(plan.n)):
        x0 = to_x0(predict, x, network(x, plan.t[i].item()), float(plan.alpha[i]), float(plan.sigma[i]))
        x = float(plan.x[i]) * x + float(plan.x0[i]) * x0 + float(plan.x0_prev[i]) * previous
        x = x + float(plan.x0_prev2[i]) * before
        if noise is not None:
            x = x + float(plan.z[i]) * noise[i]
        previous, before = x0, previous
        yield x
