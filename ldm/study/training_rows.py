"""How a training went, as rows of the study "training".

Its speed, share of the device's peak, memory, wait for batches, and loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ldm.hashing import key, later
from ldm.networks import sizes
from ldm.profile import Profile
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.training import hurried
from ldm.training.chips import machine
from ldm.training.loop import TrainConfig
from ldm.training.parallel import FSDP, Layout

MEASURED = ("step_seconds", "images_a_second", "tflops", "peak_share", "memory_gb", "input_share", "loss")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What names a training on a machine."""

    profile: str
    task: str
    c: int
    side: int
    images: int
    seed: int
    machine: str
    devices: int
    batch: int
    fsdp: int
    parts: int
    bf16: bool
    remat: bool
    data: str
    together: int = later(1)  # trainings side by side on the device, whose speed is that of all

    @classmethod
    def here(
        cls,
        profile: Profile,
        c: int,
        config: TrainConfig,
        layout: Layout | None,
        *,
        task: str = "pretrain",
        side: int = 0,
        remat: bool = False,
        data: str = "",
        together: int = 1,
    ) -> Training:
        """Describe a training on this machine.

        side: of the latents, if not the profile's; data: where its pictures or shards lie.
        """
        return cls(
            profile=profile.name,
            task=task,
            c=c,
            side=side or profile.latent_shape[0],
            images=config.images,
            seed=config.seed,
            machine=machine(),
            devices=layout.mesh.size if layout else 1,
            fsdp=layout.mesh.shape[FSDP] if layout else 1,
            batch=config.batch,
            parts=config.accumulate,
            bf16=config.bf16,
            remat=remat,
            data=data,
            together=together,
        )


def rows(training: Training, profile: Profile, laps: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each quantity of `Meter.lap` that is known.

    The middle of its laps, and between what 95 % of them lie; of the loss, the last one.

    Laps in which the step is compiled are left out, the first one and, where a training begins in a hurry
    (`ldm.training.hurried`), those that begin before its other program is there. A training of no other laps has no
    rows.
    """
    t, least = training, hurried.FIRST * training.batch if training.devices == 1 and hurried.hurries() else 0
    after = [lap for before, lap in pairwise(laps) if not least or before["images_seen"] > least]
    common: dict[str, Any] = dict(
        study="training",
        profile=t.profile,
        task=t.task,
        c=t.c,
        params=sizes.params(profile.network, t.c, profile.context),
        gflops=sizes.gflops(profile.network, t.c, t.side, profile.tokens, profile.context),
        seed=t.seed,
        images_seen=t.images,
        train_steps=-(-t.images // t.batch),
        protocol=f"{t.parts} x {t.batch // t.parts} images a step; {'bfloat16' if t.bf16 else 'float32'}"
        f"{'; blocks computed twice' * t.remat}{f'; from {t.data}' * bool(t.data)}"
        f"{f'; {t.together} trainings side by side' * (t.together > 1)}; "
        f"devices: {t.devices}, sharing a state: {t.fsdp}; {t.machine}",
        machine=t.machine,
        dtype="bfloat16" if t.bf16 else "float32",
        micro_batches=t.parts,
        remat=t.remat,
        mesh=f"{t.devices // t.fsdp}x{t.fsdp}",
    )
    found = []
    for name in MEASURED:
        values = [float(lap[name]) for lap in after if name in lap]
        if values := values[-1:] if name == "loss" else values:
            lo, value, hi = map(float, np.quantile(values, [0.025, 0.5, 0.975]))
            found.append(Row(metric=name, value=value, lo=lo, hi=hi, n=len(values), **common))
    return found


def write(training: Training, profile: Profile, laps: Sequence[Mapping[str, Any]], root: Path) -> None:
    """Write these rows into the store at `root`.

    Of several processes the first does; a training of one lap writes nothing.
    """
    if jax.process_index() == 0 and (found := rows(training, profile, laps)):
        Store(root).write(key(training), found)
