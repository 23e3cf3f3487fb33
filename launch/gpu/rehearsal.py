"""The queue on a CPU, at a size that finishes: the same commands, of tiny networks, in a copy of the checkout.

The copy has the package, the art and the frozen parts that ship, and nothing else, as a lent machine has; its rows are
of no use, so they stay there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ldm import profiles
from ldm.networks import sizes
from ldm.paths import ROOT, WEIGHTS

if TYPE_CHECKING:
    from launch.gpu.queue import Command

CARRIED = ("efficientnet_lite0.safetensors", "open/autoencoder.safetensors", "open/text.safetensors")
CARRIED += ("open/detector.safetensors",)
TINY = dict(
    lengths=(32, 64),
    length=64,
    data=96,
    n=16,
    batch=16,
    reference=96,
    steps=(2, 4),
    guidance=(1.0, 2.0),
)
QUICK = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # programs run for seconds
LEFT_OUT = ("super-resolution", "students", "samplers")  # the same commands, at full length
LEFT_OUT += (  # as the laptop's
    "transformers of the paper's costs",
    "transformers as published",
    "the same on 16x16 latents",
)


def copy(folder: Path) -> Path:
    """Make the checkout that a lent machine gets, linked where nothing is written; once."""
    for name in ("ldm", "launch"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for path in (ROOT / "art", *(WEIGHTS / name for name in CARRIED)):
        link = folder / path.relative_to(ROOT)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path)
    return folder


def rehearse(folder: Path, minutes: float, out: Path | None = None) -> None:
    """Make the copy, and run its queue in a process of its own. Raises: RuntimeError where that fails."""
    folder = copy(folder.absolute())
    command = [sys.executable, "-m", "launch.gpu.rehearsal", str(minutes), str((out or folder / "home").absolute())]
    flags = {"XLA_FLAGS": f"{QUICK} {os.environ.get('XLA_FLAGS', '')}".strip()}
    status = subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)} | flags).returncode
    if status:
        raise RuntimeError(f"the rehearsal ended with status {status}; its log lies in {command[-1]}/log.txt.")


def shrink() -> None:
    """Put tiny profiles in the place of those that the queue asks for."""
    for name in ("laptop-eps", "laptop-v", "laptop-dit", "gpu-eps", "gpu-v"):
        one = profiles.PROFILES[name]
        train = replace(one.train, images=64, batch=16, warmup_images=32)
        family = (24,) if one.network in sizes.PATCHES else (8,)
        profiles.PROFILES[name] = replace(one, train=train, family=family, **TINY)


def commands() -> list[Command]:
    """Return what of the queue is rehearsed, at the sizes of the tiny profiles."""
    from launch.gpu import queue

    return [one for one in queue.queue((8,), (8,), (0, 1), (24,), (), ()) if one.why not in LEFT_OUT]


def main() -> None:
    """Run the queue of the rehearsal in a small copy of the checkout."""
    from launch.gpu.__main__ import do

    minutes, out = sys.argv[1:]
    shrink()
    do([replace(one, minutes=0.05) for one in commands()], float(minutes), False, Path(out), "rehearsal")


if __name__ == "__main__":
    main()
