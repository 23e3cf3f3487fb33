"""What the real compiler for TPUs says of a training (`ldm.study.tpu_plan`), on a machine that has none.

libtpu compiles for a topology that is only described (`jax.experimental.topologies`). The program is the study's own
step (`training.loop.make_train_step`) with the layout of `training.parallel`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding

from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.networks.dit import DiT
from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract
from ldm.networks.unet import UNet
from ldm.study.rows import Row
from ldm.study.tpu_plan import COLLECTIVES, CONTEXT, LATENTS, PUBLISHED, SIDE, STEPS, TOKENS, TpuTraining
from ldm.training.config import TrainConfig
from ldm.training.loop import init_state, make_train_step
from ldm.training.parallel import AXES, Layout

NUMBERS = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s8": 1, "u8": 1, "pred": 1}


def described(topology: str) -> list[jax.Device]:
    """Return the devices of a slice that need not be there.

    Raises: RuntimeError without libtpu; ValueError for no such slice.
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


def lowered(training: TpuTraining, devices: list[jax.Device]) -> tuple[Any, Layout]:
    """Return the training's step, ready to be compiled for these devices, and how it lies on them."""
    layout = Layout(Mesh(np.array(devices).reshape(-1, training.shared()), AXES, axis_types=(AxisType.Auto,) * 2))
    structure, params = abstract(lambda keys: network(training, keys))
    loss = diffusion_loss(structure, Schedule.sd(), "eps", null=np.zeros((TOKENS, CONTEXT), np.float32))
    config = TrainConfig(
        images=STEPS * training.batch,
        batch=training.batch,
        learning_rate=1e-4,
        bf16=True,
        accumulate=training.accumulate,
    )
    state = jax.eval_shape(partial(init_state, config=config), params)
    batch = {"latents": (training.batch, SIDE, SIDE, LATENTS), "context": (training.batch, TOKENS, CONTEXT)}

    def at(a: jax.ShapeDtypeStruct, where: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where)

    return (
        make_train_step(loss, config, layout).lower(
            jax.tree.map(at, state, layout.of(state)),
            {name: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=layout.images) for name, shape in batch.items()},
        ),
        layout,
    )


def network(training: TpuTraining, keys: KeySource) -> UNet | DiT:
    """Return what is trained; a transformer's layers one by one, since of a loop the compiler counts one turn."""
    if training.size in PUBLISHED:
        return DiT(PUBLISHED[training.size], remat=training.remat, scan=False, keys=keys)
    return UNet(training.c, CONTEXT, LATENTS, remat=training.remat, keys=keys)


def measure(training: TpuTraining) -> list[Row]:
    """Compile a training's step, which takes minutes, and say what of it in rows, a metric each.

    memory (bytes of a device that the program needs, state included) and room (what the compiler grants it); where it
    fits besides: flops, traffic (of memory) and one row a collective, bytes a device and step.

    Raises: as `described`; what the compiler raises for another reason than memory.
    """
    devices = described(training.topology)
    program, layout = lowered(training, devices)
    began = time.monotonic()
    jax.config.update("jax_optimization_level", training.level)
    try:
        compiled = program.compile()
        found = {"memory": held(compiled.memory_analysis()), "flops": (costs := compiled.cost_analysis())["flops"]}
        found |= {"traffic": costs["bytes accessed"], **moved(compiled.as_text())}
    except jax.errors.JaxRuntimeError as error:
        found = dict(zip(("memory", "room"), exhausted(str(error)), strict=True))
    shape = "x".join(map(str, layout.mesh.devices.shape))
    count = training.accumulate
    protocol = (
        f"libtpu {importlib.metadata.version('libtpu')} at {training.level}; bfloat16; data x fsdp = {shape}; "
        f"{'blocks computed twice' if training.remat else 'all kept'}; {count} part{'s' * (count > 1)}"
    )
    row = partial(
        Row,
        study="tpu_plan",
        profile="tpu",
        task=training.topology,
        size=training.size,
        c=training.c,
        seed=0,
        params=training.params,
        gflops=training.gflops,
        images_seen=training.batch,
        train_steps=1,
        protocol=protocol,
        dtype="bfloat16",
        micro_batches=training.accumulate,
        remat=training.remat,
        mesh=shape,
        n=1,
        seconds=time.monotonic() - began,
    )
    return [row(metric=name, value=float(value), lo=float(value), hi=float(value)) for name, value in found.items()]


def held(memory: Any) -> int:
    """Return the bytes of a device that a compiled program needs.

    What goes in, what comes out elsewhere, and its working memory.
    """
    return (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes
    )


def exhausted(message: str) -> tuple[float, float]:
    """Read from the compiler's complaint that a program does not fit the bytes that it needs, and that there are.

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
    """Count bytes of what each kind of collective leaves on one device, in a compiled program (HLO).

    Loops count once.
    """
    total: dict[str, int] = dict.fromkeys(COLLECTIVES, 0)
    for shapes, kind in re.findall(rf" = (\S.*?) ({'|'.join(COLLECTIVES)})(?:-done)?\(", program):
        for number, sides in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            total[kind] += NUMBERS.get(number, 4) * int(np.prod([int(n) for n in sides.split(",") if n], initial=1))
    return total
