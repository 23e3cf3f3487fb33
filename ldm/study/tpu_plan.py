"""What a training of Table 1 would need on TPUs: answers of the real compiler, on a machine that has none.

libtpu compiles for a topology that is only described (`jax.experimental.topologies`). The program is the study's own
step (`train.make_train_step`) with the layout of `parallel`: the compiler says what it would hold in memory, compute
and move, or that it does not fit. Seconds it cannot say; `roofline` bounds them.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.sharding import AxisType, Mesh, NamedSharding
from tqdm import tqdm

from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.hashing import key
from ldm.networks import cost, family
from ldm.networks.layers import abstract
from ldm.networks.unet import UNet
from ldm.paths import ROOT
from ldm.study.results import Row, Store
from ldm.training.chips import Chip, chip
from ldm.training.loop import TrainConfig, init_state, make_train_step
from ldm.training.parallel import AXES, Layout

SIDE, LATENTS, TOKENS, CONTEXT = 64, 4, 77, 1024  # the paper's latents and captions
STEPS, BATCH = 500_000, 2048  # of its trainings
SIZES = dict(zip(family.table1()["name"], family.table1()["c"].astype(int), strict=True))
KINDS = {"v4": "TPU v4", "v5e": "TPU v5 lite", "v5p": "TPU v5", "v6e": "TPU v6 lite"}  # device_kind of a slice's chips
NUMBERS = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s8": 1, "u8": 1, "pred": 1}
LEVELS = ("O0", "O1", "O2", "O3")  # of the compiler's effort
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One training: a size of Table 1 on a slice of TPUs, by name as XLA writes it, `v5e:16x16`."""

    size: str
    topology: str
    batch: int = BATCH
    fsdp: int = 0  # devices that share one state; 0: as few as leave nine tenths of the memory to the rest
    remat: bool = True
    accumulate: int = 1
    level: str = LEVELS[0]  # half as long to compile as by default, and about the same memory and traffic

    def __post_init__(self):
        if self.size not in SIZES:
            raise ValueError(f"size = {self.size!r}: expected one of Table 1's, {', '.join(SIZES)}.")
        if self.level not in LEVELS:
            raise ValueError(
                f"level = {self.level!r}: expected how hard the compiler tries, one of {', '.join(LEVELS)}."
            )
        if not re.fullmatch(rf"({'|'.join(KINDS)}):\d+(x\d+){{1,2}}", self.topology):
            raise ValueError(f"topology = {self.topology!r}: expected a slice such as v5e:16x16, v5p:4x4x4 or v6e:8x8.")
        if self.batch < 1 or self.accumulate < 1 or self.batch % (self.devices * self.accumulate):
            raise ValueError(
                f"batch = {self.batch} in {self.accumulate} parts on {self.devices} chips: expected a multiple of both"
                " together."
            )
        if self.fsdp < 0 or self.fsdp and self.devices % self.fsdp:
            raise ValueError(f"fsdp = {self.fsdp}: expected a divisor of {self.devices} chips, or 0 to have it chosen.")

    @property
    def c(self) -> int:
        return SIZES[self.size]

    @property
    def devices(self) -> int:
        return chips(self.topology)

    def shared(self) -> int:
        """`fsdp`, or the least power of two at which a device's share of the state takes a tenth of its memory."""
        memory = sheet_of(self.topology).memory * 1e9
        state = 16 * cost.unet_params(self.c, CONTEXT)  # parameters, their average, two moments of Adam, float32
        shared = 1
        while not self.fsdp and shared < self.devices and state / shared > memory / 10:
            shared *= 2
        return self.fsdp or shared


def chips(topology: str) -> int:
    """How many a slice has: 256 of v5e:16x16."""
    return int(np.prod([int(side) for side in topology.split(":")[1].split("x")]))


def sheet_of(topology: str) -> Chip:
    """The data sheet of a slice's chips."""
    return chip(KINDS[topology.split(":")[0]])


def described(topology: str) -> list[jax.Device]:
    """The devices of a slice that need not be there. Raises: RuntimeError without libtpu; ValueError for no such
    slice.
    """
    if not importlib.util.find_spec("libtpu"):
        raise RuntimeError("The compiler for TPUs is not installed; install it: pip install -r requirements-tpu.txt")
    from jax.experimental import topologies

    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # nobody but the machine itself is asked which TPU it has
    try:
        return list(topologies.get_topology_desc(platform="tpu", topology_name=topology).devices)
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(
            f"topology = {topology!r}: libtpu knows no such slice ({str(error).splitlines()[0]})."
        ) from error


def lowered(plan: Plan, devices: list[jax.Device]) -> tuple[Any, Layout]:
    """The plan's training step, ready to be compiled for these devices, and how it lies on them."""
    layout = Layout(Mesh(np.array(devices).reshape(-1, plan.shared()), AXES, axis_types=(AxisType.Auto,) * 2))
    structure, params = abstract(lambda keys: UNet(plan.c, CONTEXT, LATENTS, remat=plan.remat, keys=keys))
    loss = diffusion_loss(structure, Schedule.sd(), "eps", null=np.zeros((TOKENS, CONTEXT), np.float32))
    config = TrainConfig(
        images=STEPS * plan.batch, batch=plan.batch, learning_rate=1e-4, bf16=True, accumulate=plan.accumulate
    )
    state = jax.eval_shape(partial(init_state, config=config), params)
    batch = {"latents": (plan.batch, SIDE, SIDE, LATENTS), "context": (plan.batch, TOKENS, CONTEXT)}

    def at(a: jax.ShapeDtypeStruct, where: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where)

    return (
        make_train_step(loss, config, layout).lower(
            jax.tree.map(at, state, layout.of(state)),
            {name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=layout.images) for name, shape in batch.items()},
        ),
        layout,
    )


def run(plans: Sequence[Plan], store: Store | None = None) -> pd.DataFrame:
    """The rows of all plans, those that are not recorded compiled now, a process of their own at a time (libtpu's
    rule).

    Raises: as `measure`; what has been compiled before is kept.
    """
    store = store or Store(ROOT)
    missing = [plan for plan in plans if not store.has(key(plan))]
    for plan in tqdm(missing, desc="compiled for TPUs", unit="plan", disable=not missing):
        with store.lock(key(plan)):
            store.write(key(plan), measure(plan))
    return store.rows(study="tpu_plan", key=[key(plan) for plan in plans])


def recorded(plans: Sequence[Plan], store: Store) -> pd.DataFrame:
    """The rows of those plans that have some. Raises: ValueError, naming the command that makes them, where none
    has.
    """
    rows = store.rows(study="tpu_plan", key=[key(plan) for plan in plans])
    if rows.empty:
        raise ValueError(
            f"None of these plans has been compiled; compile one: python -m ldm plan --size {plans[0].size} "
            f"--topology {plans[0].topology} --batch {plans[0].batch}"
        )
    return rows


def measure(plan: Plan) -> list[Row]:
    """Compile a plan, which takes minutes, and say what of it in rows, a metric each.

    memory (bytes of a device that the program needs, state included) and room (what the compiler grants it); where it
    fits besides: flops, traffic (of memory) and one row a collective, bytes a device and step.

    Raises: as `described`; what the compiler raises for another reason than memory.
    """
    devices = described(plan.topology)
    program, layout = lowered(plan, devices)
    began = time.monotonic()
    jax.config.update("jax_optimization_level", plan.level)
    try:
        compiled = program.compile()
        found = {"memory": held(compiled.memory_analysis()), "flops": (costs := compiled.cost_analysis())["flops"]}
        found |= {"traffic": costs["bytes accessed"], **moved(compiled.as_text())}
    except jax.errors.JaxRuntimeError as error:
        found = dict(zip(("memory", "room"), exhausted(str(error)), strict=True))
    shape = "x".join(map(str, layout.mesh.devices.shape))
    protocol = (
        f"libtpu {importlib.metadata.version('libtpu')} at {plan.level}; bfloat16; data x fsdp = {shape}; "
        f"{'blocks computed twice' if plan.remat else 'all kept'}; {plan.accumulate} part{'s' * (plan.accumulate > 1)}"
    )
    row = partial(
        Row,
        study="tpu_plan",
        profile="tpu",
        task=plan.topology,
        size=plan.size,
        c=plan.c,
        seed=0,
        params=cost.unet_params(plan.c, CONTEXT),
        gflops=cost.unet_gflops(plan.c, SIDE, TOKENS, CONTEXT),
        images_seen=plan.batch,
        train_steps=1,
        protocol=protocol,
        n=1,
        seconds=time.monotonic() - began,
    )
    return [row(metric=name, value=float(value), lo=float(value), hi=float(value)) for name, value in found.items()]


def held(memory: Any) -> int:
    """Bytes of a device that a compiled program needs: what goes in, what comes out elsewhere, and its working
    memory.
    """
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )


def exhausted(message: str) -> tuple[float, float]:
    """Of the compiler's complaint that a program does not fit: bytes that it needs, and that there are.

    Raises: RuntimeError with the message for any other complaint.
    """
    size = r"([\d.]+)([KMG])"
    found = re.search(rf"Used {size} of {size} hbm", message)
    found = found or re.search(
        rf"HLO temporaries \({size}\) exceeds available HBM \({size}\)", message
    )  # the state not counted
    if not found:
        raise RuntimeError(message)
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}
    return float(found[1]) * unit[found[2]], float(found[3]) * unit[found[4]]


def moved(program: str) -> dict[str, int]:
    """Bytes of what each kind of collective leaves on one device, in a compiled program (HLO); loops count once."""
    total = dict.fromkeys(COLLECTIVES, 0)
    for shapes, kind in re.findall(rf" = (\S.*?) ({'|'.join(COLLECTIVES)})(?:-done)?\(", program):
        for number, sides in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            total[kind] += NUMBERS.get(number, 4) * int(np.prod([int(n) for n in sides.split(",") if n], initial=1))
    return total
