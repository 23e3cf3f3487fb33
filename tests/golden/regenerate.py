"""What k-diffusion's samplers make of the toy network: writes k_diffusion.safetensors, beside this file.

    pip install --no-deps --target build/k-diffusion k-diffusion==0.1.1.post1
    PYTHONPATH=.:build/k-diffusion python tests/golden/regenerate.py

A golden file, since k-diffusion's own requirements are many and heavy. Its samplers need none of them but
torch and scipy: the rest, which only its other files use, are stood in for by empty modules here.

Each array holds the states after every step, float64 (steps, 4, 3), as x = alpha y: k-diffusion's own
y = x / alpha carries noise sigma / alpha.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
from safetensors.numpy import save_file

from ldm.diffusion.schedule import Schedule, to_x0
from tests.toy import SD, noises, nonlinear, start, uniform_in_log_snr

GOLDEN = Path(__file__).parent / "k_diffusion.safetensors"
STEPS = (7, 15)
SPACINGS = ("leading", "trailing", "linspace")
PREDICTIONS = ("eps", "v")
MIDPOINTS = 13  # levels, uniform in lambda, of which 2S steps over every second


def k_diffusion_sampling() -> ModuleType:
    for name in ("torchdiffeq", "torchsde", "torchvision", "torchvision.transforms"):
        sys.modules.setdefault(name, MagicMock())
    package = ModuleType("k_diffusion")
    package.__path__ = list(find_spec("k_diffusion").submodule_search_locations)
    sys.modules["k_diffusion"] = package  # its __init__ would import everything
    return import_module("k_diffusion.sampling")


def states(sampler, schedule: Schedule, times: np.ndarray, predict: str, **options) -> np.ndarray:
    import torch  # here: tests read the names above without it

    alpha, sigma = schedule.alpha[times], schedule.sigma[times]
    levels = torch.from_numpy(np.append(sigma / alpha, 0.0))

    def denoise(y: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        gaps = np.abs(np.log(schedule.sigma / schedule.alpha) - np.log(float(level[0])))
        t = int(gaps.argmin())
        assert gaps[t] < 1e-9, "the sampler asks between two training times"
        x = schedule.alpha[t] * y.numpy()
        return torch.from_numpy(to_x0(predict, x, nonlinear(x, t), schedule.alpha[t], schedule.sigma[t]))

    seen: list[np.ndarray] = []
    y = torch.from_numpy(start() / alpha[0])
    last = sampler(denoise, y, levels, disable=True, callback=lambda step: seen.append(step["x"].numpy()), **options)
    scale = np.append(alpha[1:], 1.0)[:, None, None]
    return scale * np.stack([*seen[1:], last.numpy()])


def main() -> None:
    import torch

    k = k_diffusion_sampling()

    def ancestral(*arguments, eta: float, **options):
        noise = iter(torch.from_numpy(noises(max(STEPS))))
        return k.sample_euler_ancestral(*arguments, eta=eta, noise_sampler=lambda *_: next(noise), **options)

    samplers = {
        "euler": (k.sample_euler, {}),
        "heun": (k.sample_heun, {}),
        "dpmpp_2m": (k.sample_dpmpp_2m, {}),
        "ddim_0.5": (ancestral, {"eta": 0.5}),
        "ddim_1": (ancestral, {"eta": 1.0}),
    }
    arrays = {}
    for name, (sampler, options) in samplers.items():
        for spacing, steps, predict in product(SPACINGS, STEPS, PREDICTIONS):
            times = SD.times(steps, spacing)
            arrays[f"{name} {spacing} {steps} {predict}"] = states(sampler, SD, times, predict, **options)
    for predict in PREDICTIONS:
        grid, times = uniform_in_log_snr(MIDPOINTS), np.arange(MIDPOINTS)[::-2]
        arrays[f"dpmpp_2s {predict}"] = states(k.sample_dpmpp_2s_ancestral, grid, times, predict, eta=0.0)
    versions = {name: version(name) for name in ("k-diffusion", "torch", "numpy")}
    save_file(arrays, GOLDEN, metadata=versions)
    print(f"{GOLDEN.name}: {len(arrays)} arrays, {versions}")


if __name__ == "__main__":
    main()
