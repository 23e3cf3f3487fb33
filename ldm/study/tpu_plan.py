"""What a training of Table 1 would need on TPUs: answers of the real compiler, on a machine that has none.

libtpu compiles for a topology that is only described (`jax.experimental.topologies`). The program is the study's own
step (`training.loop.make_train_step`) with the layout of `parallel`: the compiler says what it would hold in memory,
compute and move, or that it does not fit. Seconds it cannot say; `roofline` bounds them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from ldm.hashing import key
from ldm.networks import cost, family
from ldm.networks.dit_config import with_text
from ldm.networks.dit_cost import gflops_of, params_of
from ldm.paths import ROOT
from ldm.study.results import Store
from ldm.training.chips import Chip, chip

SIDE, LATENTS, TOKENS, CONTEXT = 64, 4, 77, 1024  # the paper's latents and captions
STEPS, BATCH = 500_000, 2048  # of its trainings
SIZES = dict(zip(family.table1()["name"], family.table1()["c"].astype(int), strict=True))
PUBLISHED = {  # transformers, told text in place of labels; each has about the parameters of a UNet of Table 1
    f"DiT-{name}": with_text(name, CONTEXT) for name in ("L/2", "XL/2")
}
KINDS = {"v4": "TPU v4", "v5e": "TPU v5 lite", "v5p": "TPU v5", "v6e": "TPU v6 lite"}  # device_kind of a slice's chips
LEVELS = ("O0", "O1", "O2", "O3")  # of the compiler's effort
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@dataclass(frozen=True, kw_only=True)
class TpuTraining:
    """One training: a UNet of Table 1, or a transformer, on a slice of TPUs, by name as XLA writes it, `v5e:16x16`."""

    KEY: ClassVar[str] = "Plan"  # its name when its first rows were recorded (`ldm.hashing.key`)

    size: str
    topology: str
    batch: int = BATCH
    fsdp: int = 0  # devices that share one state; 0: as few as leave nine tenths of the memory to the rest
    remat: bool = True
    accumulate: int = 1
    level: str = LEVELS[0]  # half as long to compile as by default, and about the same memory and traffic

    def __post_init__(self):
        if self.size not in (known := (*SIZES, *PUBLISHED)):
            raise ValueError(f"size = {self.size!r}: expected one of Table 1's or a transformer, {', '.join(known)}.")
        if self.level not in LEVELS:
            raise ValueError(
                f"level = {self.level!r}: expected how hard the compiler tries, one of {', '.join(LEVELS)}."
            )
        if not re.fullmatch(rf"({'|'.join(KINDS)}):\d+(x\d+){{1,2}}", self.topology):
            raise ValueError(f"topology = {self.topology!r}: expected a slice such as v5e:16x16, v5p:4x4x4 or v6e:8x8.")
        if self.batch < 1 or self.accumulate < 1 or self.batch % (self.devices * self.accumulate):
            raise ValueError(
                f"batch = {self.batch} in {self.accumulate} micro-batches on {self.devices} chips: expected a multiple "
                "of both together."
            )
        if self.fsdp < 0 or self.fsdp and self.devices % self.fsdp:
            raise ValueError(f"fsdp = {self.fsdp}: expected a divisor of {self.devices} chips, or 0 to have it chosen.")

    @property
    def c(self) -> int:
        """The base filter count of a UNet, the width of a transformer."""
        return PUBLISHED[self.size].width if self.size in PUBLISHED else SIZES[self.size]

    @property
    def params(self) -> int:
        """How many parameters the network has."""
        found = PUBLISHED.get(self.size)
        return params_of(found) if found else cost.unet_params(self.c, CONTEXT)

    @property
    def gflops(self) -> float:
        """GFLOPs of one forward pass on one image."""
        found = PUBLISHED.get(self.size)
        return gflops_of(found, SIDE, TOKENS) if found else cost.unet_gflops(self.c, SIDE, TOKENS, CONTEXT)

    @property
    def devices(self) -> int:
        return chips(self.topology)

    def shared(self) -> int:
        """Return `fsdp`, or the least power of two at which a device's share of the state is small enough.

        That is where the share takes a tenth of the device's memory.
        """
        memory = sheet_of(self.topology).memory * 1e9
        state = 16 * self.params  # parameters, their average, two moments of Adam, float32
        shared = 1
        while not self.fsdp and shared < self.devices and state / shared > memory / 10:
            shared *= 2
        return self.fsdp or shared


def chips(topology: str) -> int:
    """Return how many a slice has: 256 of v5e:16x16."""
    return int(np.prod([int(side) for side in topology.split(":")[1].split("x")]))


def sheet_of(topology: str) -> Chip:
    """Return the data sheet of a slice's chips."""
    found = chip(KINDS[topology.split(":")[0]])
    if found is None:
        raise ValueError(
            f"topology = {topology!r}: there is no data sheet of its chips; choose one of {', '.join(KINDS)}."
        )
    return found


def run(trainings: Sequence[TpuTraining], store: Store | None = None) -> pd.DataFrame:
    """Return the rows of all trainings, compiling now those that are not recorded.

    They are compiled in this process, one at a time (libtpu's rule).
    Raises: as `measure`; what has been compiled before is kept.
    """
    from ldm.study.tpu_compiler import measure

    store = store or Store(ROOT)
    missing = [training for training in trainings if not store.has(key(training))]
    for training in tqdm(missing, desc="compiled for TPUs", unit="training", disable=not missing):
        with store.lock(key(training)):
            if not store.has(key(training)):  # another process may have compiled it meanwhile
                store.write(key(training), measure(training))
    return store.rows(study="tpu_plan", key=[key(training) for training in trainings])


def compiled(trainings: Sequence[TpuTraining], store: Store) -> pd.DataFrame:
    """Return the rows of those trainings that have some; nothing is compiled."""
    return store.rows(study="tpu_plan", key=[key(training) for training in trainings])


def recorded(trainings: Sequence[TpuTraining], store: Store) -> pd.DataFrame:
    """Return the rows of those trainings that have some.

    Raises: ValueError, naming the command that makes them, where none has.
    """
    rows = compiled(trainings, store)
    if rows.empty:
        raise ValueError(
            f"None of these trainings has been compiled; compile one: python -m ldm plan --size {trainings[0].size} "
            f"--topology {trainings[0].topology} --batch {trainings[0].batch}"
        )
    return rows
