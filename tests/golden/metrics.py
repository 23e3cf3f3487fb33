"""What other programs make of the same features: writes metrics.json, beside this file.

    python3 -m venv /tmp/originals && . /tmp/originals/bin/activate
    pip install -r requirements.txt torch==2.13.0 torchvision==0.28.0 torch-fidelity==0.4.0 prdc==0.2
    python tests/golden/metrics.py

In an environment of its own, as perceptual.py says, and because torch-fidelity installs a package called
`tests`, which hides ours.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_suffix(".json")
MANIFOLDS = [(n, m, k) for n, m in ((200, 300), (400, 150)) for k in (1, 3, 5)]
SCORES = [(100, 10), (103, 10), (57, 1)]  # images, splits


def theirs() -> dict:
    """What `main` wrote."""
    return json.loads(GOLDEN.read_text())


def skewed(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, 64) and (m, 64), not negative, as pooled ones are."""
    return np.random.default_rng(0).gamma(0.5, 0.3, (n, 64)), np.random.default_rng(1).gamma(0.6, 0.3, (m, 64))


def apart(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and (m, d), normal, of another mean and spread."""
    return 0.3 + 1.2 * np.random.default_rng(0).normal(size=(n, d)), np.random.default_rng(1).normal(size=(m, d))


def logits(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, (n, 20))


def main() -> None:
    import torch
    from prdc import compute_prdc
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    def kid(x: np.ndarray, y: np.ndarray, **kernel: object) -> float:
        """Of one subset: all."""
        options = dict(kid_subsets=1, kid_subset_size=len(x), rng_seed=0, verbose=False, **kernel)
        return kid_features_to_metric(torch.tensor(x), torch.tensor(y), **options)["kernel_inception_distance_mean"]

    moments = [fid_features_to_statistics(torch.tensor(z)) for z in skewed(300, 400)]
    cubic = dict(kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1)
    found = {
        "frechet": fid_statistics_to_metric(*moments, verbose=False)["frechet_inception_distance"],
        "kid": kid(*skewed(300, 300), **cubic),
        "mmd": kid(*apart(200, 200, 16), kid_kernel="rbf", kid_kernel_rbf_sigma=2.0),
    }
    for n, splits in SCORES:
        theirs = isc_features_to_metric(torch.tensor(logits(n)), splits, shuffle=False)
        found[f"inception score {n} {splits}"] = theirs["inception_score_mean"]
    for n, m, k in MANIFOLDS:
        x, y = apart(n, m, 12)
        found[f"manifold {n} {m} {k}"] = compute_prdc(y, x, k)
    found["versions"] = {name: version(name) for name in ("torch-fidelity", "prdc", "torch", "numpy")}
    GOLDEN.write_text(json.dumps(found, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
