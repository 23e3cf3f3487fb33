"""Whether the UNet learns the same on two devices as on one: `python -m benchmarks.devices`, in numbers.

Pretraining, a student and super-resolution of the smallest size, 20 steps each from the shipped weights where there are
any, on one device, on two, and on two that share a state (two forced devices of the host). Sums of floats depend on their
order, so the losses part by rounding, which grows from step to step. The tests hold a small network to 1e-5.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"

from benchmarks import measure
from ldm import parallel, pretrain, superres
from ldm.distill import student
from ldm.parallel import Layout
from ldm.profiles import LAPTOP
from ldm.results import Row, Store, key

C, STEPS, SCENES = 8, 20, 1280
LAYOUTS = {"two devices": 1, "two devices, one state": 2}  # name -> devices that share a state
Train = Callable[[Layout | None, Path], float]  # -> the last step's loss


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was compared, after how many steps."""

    task: str
    c: int = C
    steps: int = STEPS


def trainings() -> dict[str, Train]:
    """Task -> its training on a layout, whose files go to a folder."""
    codec, text = pretrain.frozen_parts(LAPTOP)
    null, scenes = text.null(1)[0], pretrain.training_set(LAPTOP, SCENES)
    pairs = superres.latent_pairs(superres.scenes(LAPTOP, "train", SCENES), codec)
    images = STEPS * LAPTOP.train.batch
    enlarging = replace(superres.CONFIG, images=STEPS * superres.CONFIG.batch)

    def last(train: Callable, **options) -> Train:
        def run(layout: Layout | None, root: Path) -> float:
            losses: list[float] = []
            train(null=null, layout=layout, root=root, on_log=lambda record: losses.append(record["loss"]), **options)
            return losses[-1]

        return run

    return {
        "pretrain": last(
            pretrain.pretrain, profile=LAPTOP, c=C, data=scenes, config=replace(LAPTOP.train, images=images), lengths=()
        ),
        "codi": last(student.distill, profile=LAPTOP, method="codi", c=C, data=scenes, images=images),
        "superres": last(superres.finetune, profile=LAPTOP, c=C, data=pairs, config=enlarging, lengths=()),
    }


def main() -> None:
    """Print and keep, of each task and layout, by how much its loss after 20 steps is off that of one device."""
    for task, train in trainings().items():
        rows, losses = [], {}
        for name, fsdp in {"one device": 0} | LAYOUTS:
            with tempfile.TemporaryDirectory() as folder:
                losses[name] = train(parallel.layout(2, fsdp) if fsdp else None, Path(folder))
            off = abs(losses[name] / losses["one device"] - 1)
            print(f"{task:10} {name:24} loss {losses[name]:.7f}, off by {off:.1e}", flush=True)
            if fsdp:
                rows.append(Row(
                    study="benchmark", profile="laptop", task="devices", c=C, train_steps=STEPS, n=1, metric="loss off one device's",
                    value=off, lo=off, hi=off, protocol=f"{task}; {name}; float32; {measure.machine()}",
                ))  # fmt: skip
        Store(measure.ROOT).write(key(Case(task=task), machine=measure.machine()), rows)


if __name__ == "__main__":
    main()
