"""Whether the UNet learns the same on two devices as on one: `python -m benchmarks.devices`, in numbers.

Pretraining, a student and super-resolution of the smallest size, 20 steps each, on one device, on two, and on two that
share a state (two forced devices of the host). Sums of floats depend on their order, so the weights part by rounding;
how far, is told as a share of the way that they went. The tests hold the losses of a small network to 1e-5.

All begin with fresh weights. Where trained ones begin, the loss is curved so strongly that Adam turns rounding into a
fifth of the way within four steps, though the gradients at equal weights agree to four millionths (`book/log.md`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import optax

from benchmarks import measure
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.networks.initial import KeySource
from ldm.networks.structure import Params, split
from ldm.profiles import OPEN_EPS
from ldm.tasks import pairs as twins
from ldm.tasks import pretrain, superres, superres_recipe
from ldm.tasks.distillation import student
from ldm.training import hurried
from ldm.training.loop import TrainConfig, TrainState, fit
from ldm.training.parallel import layout

C, STEPS, SCENES = 8, 20, 1280
LAYOUTS = {"two devices": 1, "two devices, one state": 2}  # name -> devices that share a state
Train = Callable[..., TrainState]  # (layout=) -> where it ends


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was compared, after how many steps."""

    task: str
    c: int = C
    steps: int = STEPS


def short(config: TrainConfig) -> TrainConfig:
    return replace(config, images=STEPS * config.batch)


def trainings() -> dict[str, tuple[Params, Train]]:
    """Task -> where it starts, and its training."""
    codec, text = pretrain.frozen_networks(OPEN_EPS)
    null, scenes = text.null(1)[0], pretrain.training_set(OPEN_EPS, SCENES)
    pairs = superres.latent_pairs(twins.scenes(OPEN_EPS, "train", SCENES), codec)
    of_scenes = lambda step: scenes.batch(0, step, OPEN_EPS.train.batch)
    of_pairs = lambda step: pairs.batch(0, step, superres_recipe.BATCH, null)

    structure, fresh = pretrain.network(OPEN_EPS, C)
    teacher = pretrain.load_pretrained(OPEN_EPS, C, OPEN_EPS.length)[1]
    begun = student.begun(fresh, student.network(OPEN_EPS, "codi", C)[1])
    seeing, wide = split(superres.unet(OPEN_EPS, C, KeySource(jax.random.key(0))))
    denoising = partial(diffusion_loss, schedule=Schedule.sd(), predict=OPEN_EPS.predict, null=null)
    finetuning = short(superres_recipe.config_of(OPEN_EPS, C))
    distilling = short(student.training(OPEN_EPS, C, OPEN_EPS.distilled))
    learning = student.student_loss(OPEN_EPS, "codi", C, null)
    return {
        "pretrain": (
            fresh,
            partial(fit, denoising(structure, drop=OPEN_EPS.dropped), fresh, of_scenes, short(OPEN_EPS.training(C))),
        ),
        "codi": (begun, partial(fit, learning, begun, of_scenes, distilling, teacher=teacher)),
        "superres": (wide, partial(fit, denoising(seeing, drop=0.0), wide, of_pairs, finetuning)),
    }


def apart(a: Params, b: Params) -> float:
    """The distance of two networks' weights."""
    return float(optax.tree.norm(jax.tree.map(jnp.subtract, jax.device_get(a), jax.device_get(b))))


def main() -> None:
    """Print and keep, of each task and layout, how far its weights end from those of one device."""
    hurried.FIRST = 0  # one device takes its steps by the program that several take them by
    for task, (start, train) in trainings().items():
        rows, alone = [], train().params
        for name, fsdp in LAYOUTS.items():
            off = apart(train(layout=layout(2, fsdp)).params, alone) / apart(alone, start)
            print(f"{task}, {name}: the weights end {off:.1e} of the way apart", flush=True)
            rows.append(
                measure.row(
                    [off],
                    task,
                    name,
                    task="devices",
                    c=C,
                    train_steps=STEPS,
                    metric="weights apart",
                    dtype="float32",
                )
            )
        measure.keep(Case(task=task), rows)


if __name__ == "__main__":
    main()
