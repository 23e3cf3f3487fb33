"""One training on many devices and hosts: a mesh with two named axes, and one table that says what lies where.

The batch is spread over all devices. The state (parameters, averaged weights, optimiser) is spread over the axis
"fsdp" and repeated along "data": 1 x n devices is fully sharded, n x 1 plain data parallel (Rajbhandari et al. 2020,
ZeRO stage 3). The program is the one for a single device; XLA's partitioner puts the communication in (Xu et al. 2021,
GSPMD). Draws belong to an image's place in the batch (`losses.keys_of_batch`), so the losses are those of one device
but for the order of sums.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

DATA, FSDP = AXES = ("data", "fsdp")
RULES: tuple[
    tuple[str, float], ...
] = (  # a parameter's name -> spread it from this many numbers on; the first that fits
    (r"norm|bias", float("inf")),  # small, and needed whole by every device
    (r"", 2**12),
)


def connect(coordinator: str = "", processes: int | None = None, process: int | None = None) -> None:
    """Join the processes of one run; call it before anything else of JAX. Does nothing for a run of one process.

    Args:
        coordinator: "" for a single process; "auto" where JAX knows the cluster (TPU pods, Slurm, Kubernetes, MPI);
            else host:port of process 0, with the number of processes and which of them this is.
    Raises: ValueError where these do not go together.
    """
    if not coordinator:
        if processes not in (None, 1):
            raise ValueError(f"processes = {processes} without a coordinator; give host:port of process 0, or auto.")
        return
    if coordinator == "auto":
        jax.distributed.initialize()
        return
    if processes is None or process is None or not 0 <= process < processes:
        raise ValueError(
            f"coordinator {coordinator} with processes = {processes}, process = {process}: expected how many there are,"
            " and which of them this is, counted from 0."
        )
    jax.distributed.initialize(coordinator, processes, process)


def spec(name: str, shape: Sequence[int], devices: int) -> PartitionSpec:
    """Say where an array lies: its longest axis that `devices` divides is spread over "fsdp", or none.

    Of equal axes it is the last.
    """
    least = next(least for pattern, least in RULES if re.search(pattern, name))
    axes = [i for i, length in enumerate(shape) if length % devices == 0]
    if devices == 1 or not axes or np.prod(shape) < least:
        return PartitionSpec()
    longest = max(axes, key=lambda i: (shape[i], i))
    return PartitionSpec(*(FSDP if i == longest else None for i in range(longest + 1)))


@dataclass(frozen=True)
class Layout:
    """A mesh of data x fsdp devices (`layout`), and how states and batches lie on it."""

    mesh: Mesh

    @property
    def devices(self) -> list[jax.Device]:
        """The devices of the mesh."""
        return list(self.mesh.devices.flat)

    @property
    def images(self) -> NamedSharding:
        """The sharding of a batch: over all devices."""
        return NamedSharding(self.mesh, PartitionSpec(AXES))

    @property
    def repeated(self) -> NamedSharding:
        """The sharding of what every device holds whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    def of(self, tree: Any) -> Any:
        """Return a sharding for each array (or shape) of a state, by `RULES`."""
        devices = self.mesh.shape[FSDP]

        def one(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
            return NamedSharding(
                self.mesh, spec(jax.tree_util.keystr(path, simple=True, separator="/"), leaf.shape, devices)
            )

        return jax.tree_util.tree_map_with_path(one, tree)

    def constrain(self, tree: Any) -> Any:
        """Have what is computed lie as `of` says; to be called inside jit."""
        return jax.lax.with_sharding_constraint(tree, self.of(tree))

    def gather(self, params: Any) -> Any:
        """Return parameters whole on every device, while the images stay where they lie; to be called inside jit.

        Left to itself, the partitioner sends pictures to the weights' shares, which is several times as much.
        """
        return jax.lax.with_sharding_constraint(params, self.repeated)

    def make(self, build: Callable[[Any], Any], *arrays: Any) -> Any:
        """Return `build(*arrays)`, every array of the result made where it lies.

        A whole state never is on one device.
        """
        arrays = jax.tree.map(np.asarray, arrays)
        return jax.jit(build, out_shardings=self.of(jax.eval_shape(build, *arrays)))(*arrays)

    def rows(self, size: int) -> np.ndarray:
        """Return which rows of a batch this process has to bring: int64, rising.

        Raises: ValueError where it cannot be spread.
        """
        if size % self.mesh.size:
            raise ValueError(f"batch = {size} on {self.mesh.size} devices: expected a multiple of their number.")
        places = self.images.addressable_devices_indices_map((size,)).values()
        return np.unique(np.concatenate([np.arange(size)[index] for index in places]))

    def place(self, batch: Mapping[str, Any], size: int) -> dict[str, Array]:
        """Place a batch of `size` images on its devices, of which `batch` holds this process's rows.

        Numbers are repeated.
        """

        def one(x: Any) -> Array:
            x = np.asarray(x)
            where, shape = (self.images, (size, *x.shape[1:])) if x.ndim else (self.repeated, ())
            return jax.make_array_from_process_local_data(where, x, shape)

        return {name: one(x) for name, x in batch.items()}

    def to_host(self, tree: Any) -> Any:
        """Return the state's arrays in the host's memory; all processes have to ask."""
        if jax.process_count() == 1:
            return jax.device_get(tree)
        return multihost_utils.process_allgather(tree, tiled=True)


def layout(devices: int = 0, fsdp: int = 1) -> Layout:
    """Return the layout on so many devices (0: all there are), of which groups of `fsdp` share one state.

    Raises: ValueError for more devices than there are, or a number that fsdp does not divide.
    """
    there = jax.devices()
    count = devices or len(there)
    if not 1 <= count <= len(there):
        raise ValueError(f"devices = {devices}: expected 1 to {len(there)}, which are here, or 0 for all of them.")
    if fsdp < 1 or count % fsdp:
        raise ValueError(f"fsdp = {fsdp}: expected a divisor of the {count} devices.")
    return Layout(jax.make_mesh((count // fsdp, fsdp), AXES, axis_types=(AxisType.Auto,) * 2, devices=there[:count]))


def chosen(
    devices: int = 1, fsdp: int = 1, coordinator: str = "", processes: int | None = None, process: int | None = None
) -> Layout | None:
    """Return the layout that a command asks for, its processes joined (`connect`, `layout`).

    It has all devices of several processes, else so many.

    None for the first device alone.
    """
    connect(coordinator, processes, process)
    if coordinator:
        return layout(0, fsdp)
    return layout(devices, fsdp) if devices != 1 or fsdp != 1 else None


def host() -> contextlib.AbstractContextManager[Any]:
    """Have the CPU make the arrays within, unless JAX_PLATFORMS leaves it out.

    An accelerator would compile a program for every shape.
    """
    try:
        return jax.default_device(jax.local_devices(backend="cpu")[0])
    except RuntimeError:
        return contextlib.nullcontext()


def agreed(answer: bool) -> bool:
    """Return process 0's answer, in every process: clocks differ, and all have to save at the same step."""
    return answer if jax.process_count() == 1 else bool(multihost_utils.broadcast_one_to_all(np.int32(answer)))
