"""How a training went, as rows: its speed, share of the device's peak, memory, wait for batches, and loss (study "training")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ldm import cost
from ldm.parallel import FSDP, Layout
from ldm.profiles import Profile
from ldm.results import Row
from ldm.train import TrainConfig

MEASURED = ("images_a_second", "tflops", "peak_share", "memory_gb", "input_share", "loss")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What names a training on a kind of device."""

    profile: str
    c: int
    images: int
    seed: int
    device: str
    devices: int
    batch: int
    fsdp: int
    parts: int
    bf16: bool
    remat: bool
    data: str

    @classmethod
    def here(cls, scale: Profile, c: int, config: TrainConfig, layout: Layout | None, remat: bool = False, data: str = "") -> Training:
        """A training on this machine's kind of device; data: where its shards lie."""
        devices = layout.devices if layout else jax.devices()[:1]
        return cls(
            profile=scale.name, c=c, images=config.images, seed=config.seed, device=devices[0].device_kind, devices=len(devices),
            fsdp=layout.mesh.shape[FSDP] if layout else 1, batch=config.batch, parts=config.accumulate, bf16=config.bf16, remat=remat,
            data=data,
        )  # fmt: skip


def rows(training: Training, scale: Profile, laps: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A row a quantity of `Meter.lap` that is known: the middle of its laps, and between what 95 % of them lie; the last loss.

    The first lap, in which the step is compiled, is left out: a training of one lap has no rows.
    """
    after, t = laps[1:], training
    shape = scale.latent_shape[0], scale.tokens, scale.context
    common = dict(
        study="training", profile=t.profile, task="pretrain", c=t.c, params=cost.unet_params(t.c, scale.context),
        gflops=cost.unet_gflops(t.c, *shape), seed=t.seed, images_seen=t.images, train_steps=-(-t.images // t.batch), n=len(after),
        protocol=f"{t.devices} x {t.device}, {t.fsdp} a state; {t.parts} x {t.batch // t.parts} images a step; "
        f"{'bfloat16' if t.bf16 else 'float32'}{'; blocks computed twice' * t.remat}{f'; shards of {t.data}' * bool(t.data)}",
    )  # fmt: skip
    found = []
    for name in MEASURED:
        values = [float(lap[name]) for lap in after if name in lap]
        if values := values[-1:] if name == "loss" else values:
            lo, value, hi = map(float, np.quantile(values, [0.025, 0.5, 0.975]))
            found.append(Row(metric=name, value=value, lo=lo, hi=hi, **common))
    return found
