"""Made-up features, and rows for tests of charts and of the book: shaped like the study's, true of nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

WIDTHS = {8: (0.55e6, 0.02), 16: (2.13e6, 0.07), 24: (4.76e6, 0.15), 32: (8.45e6, 0.26)}


def features(n: int, d: int, seed: int, *, shift: float = 0, scale: float = 1) -> np.ndarray:
    """Correlated, skewed and not negative, as pooled features are: float64 (n, d)."""
    mix = np.random.default_rng(d).normal(size=(d, d)) / np.sqrt(d)
    x = np.random.default_rng(seed).normal(size=(n, d)) / np.sqrt(1 + np.arange(d))
    return np.abs(shift + scale * x @ mix)


def _row(c: int, **columns: object) -> dict[str, object]:
    params, norm = WIDTHS[c]
    value = float(columns["value"])
    spread = 0.05 * abs(value) + 0.01
    return {
        "profile": "laptop-eps",
        "task": "pretrain",
        "c": c,
        "size": f"c{c}",
        "params": int(params),
        "gflops": norm * 787.72,
        "seed": 0,
        "sampler": "ddim",
        "protocol": "synthetic",
        "cost": norm * columns["steps"],
        "lo": value - spread,
        "hi": value + spread,
        "n": 2000,
        "nfe": 2 * columns["steps"],
        "key": "-".join(str(columns.get(name, "")) for name in ("steps", "guidance", "images_seen")) + f"-{c}",
        **columns,
    }


def _frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Whole numbers as pandas' Int64, as ldm.study.results reads them."""
    frame = pd.DataFrame(rows)
    whole = ["c", "params", "seed", "images_seen", "steps", "nfe", "n"]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def sampling_rows() -> pd.DataFrame:
    """A guidance x steps x size grid of one distance and one score."""
    rows = []
    for c in WIDTHS:
        for steps in (4, 8, 16, 32, 50):
            for guidance in (1.5, 2.0, 3.0, 4.0, 6.0, 8.0):
                level = 3 + 30 / c + 40 / steps**1.2 + 0.5 * (guidance - 2 - 8 / steps) ** 2
                common = {
                    "study": "sampling",
                    "steps": steps,
                    "guidance": guidance,
                    "images_seen": 2_000_000,
                }
                rows.append(_row(c, metric="kid_effnet", value=level, **common))
                rows.append(_row(c, metric="alignment", value=1 - level / 60, **common))
    return _frame(rows)


def samplers_rows() -> pd.DataFrame:
    """The same grid by two samplers, the second of them worse by a tenth."""
    rows = sampling_rows()
    worse = rows.assign(sampler="ddpm", **{name: 1.1 * rows[name] for name in ("value", "lo", "hi")})
    return pd.concat([rows, worse], ignore_index=True)


def pretraining_rows() -> pd.DataFrame:
    """Every training length of every size at one sampler setting."""
    return _frame(
        [
            _row(
                c,
                study="pretraining",
                metric="kid_effnet",
                steps=50,
                guidance=3.0,
                images_seen=seen,
                value=4 + 40 / (WIDTHS[c][1] * seen / 1e4) ** 0.4,
            )
            for c in WIDTHS
            for seen in (50_000, 200_000, 800_000, 2_000_000)
        ]
    )


def history() -> list[dict[str, float]]:
    """A training history of 2,000 steps."""
    noise = np.random.default_rng(0).normal(size=2000)
    return [
        {"images_seen": 64 * (i + 1), "loss": float(0.2 + 0.3 / (1 + i / 100) + 0.02 * noise[i])} for i in range(2000)
    ]


def table1() -> pd.DataFrame:
    """Three rows in the shape of ldm.networks.family.table1, one of them off."""
    return pd.DataFrame(
        {
            "name": ["39M", "83M", "866M"],
            "params": [38800580, 83397412, 865910724],
            "gflops": [56.06, 101.84, 787.72],
            "gflops_paper": [25.3, 102.7, 789.3],
        }
    )


STEP_COST = {8: 1.0, 16: 2.0, 32: 4.0}


def sampling(
    value,
    metric: str = "kid_effnet",
    se: float = 0.5,
    n: int = 256,
    shared: float = 0.0,
    seed: int = 0,
    steps=(1, 2, 4, 8),
    guidance=(1.0, 2.0, 4.0),
):
    """Rows of a grid whose true value is value(c, steps, guidance), and the influences of its pictures."""
    rng = np.random.default_rng(seed)
    together, rows, influences = rng.standard_normal(n), [], {}
    for c, cost in STEP_COST.items():
        for s in steps:
            for g in guidance:
                own = rng.standard_normal(n)
                pictures = se * np.sqrt(n) * (np.sqrt(shared) * together + np.sqrt(1 - shared) * own)
                measured, key = value(c, s, g) + pictures.mean(), f"{c}-{s}-{g}"
                influences[key] = pictures
                rows.append(
                    {
                        "key": key,
                        "metric": metric,
                        "protocol": "synthetic",
                        "c": c,
                        "steps": s,
                        "guidance": g,
                        "cost": cost * s,
                        "images_seen": 1000,
                        "value": measured,
                        "lo": measured - 1.96 * se,
                        "hi": measured + 1.96 * se,
                        "n": n,
                    }
                )
    return pd.DataFrame(rows), influences
