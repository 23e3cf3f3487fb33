"""Training checkpoints: Orbax, atomic, written while the training goes on; the newest whole one wins."""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import jax
import orbax.checkpoint as ocp

from ldm.files import full, refused

State = TypeVar("State")


class OtherNetwork(ValueError):
    """A checkpoint is whole, and of another network."""


class TrainCheckpoints:
    """The last `keep` checkpoints of one run, a folder each, named by the step.

    `save` copies the state off the devices, each process its own part, and writes it in the background. A checkpoint
    is written under a temporary name and renamed, so a kill leaves the one before.
    What a kill cannot explain (a torn copy, a deleted file) is named in a warning and passed over.
    The state is any pytree of arrays; typed keys belong in it as `jax.random.key_data`. It comes back onto the devices
    of `like`, however many wrote it; several processes save and restore together, on a file system that all see. What
    comes next needs no more than the state's step: batch and key are functions of it (`training.loop.fit`).
    """

    def __init__(self, folder: str | Path, *, keep: int = 2) -> None:
        self.folder = Path(folder).absolute()
        if keep < 1:
            raise ValueError(f"keep is {keep}; expected at least 1 checkpoint to be kept.")
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=True,
            cleanup_tmp_directories=True,
        )
        self._manager = ocp.CheckpointManager(
            self.folder, options=options, item_handlers=ocp.StandardCheckpointHandler()
        )

    @property
    def latest_step(self) -> int | None:
        """The step of the newest checkpoint, whole or not; None where there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Begin to write the state of `step`, once the one before is written.

        Then what is older than the last `keep` goes.

        The state may be donated at once. Raises: as `wait`.
        """
        self.wait()
        with self._room(step, sum(leaf.nbytes for leaf in jax.tree.leaves(state))):
            if step in self._manager.all_steps():  # a damaged one that the run comes by again
                self._manager.delete(step)
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)

    def wait(self) -> None:
        """Wait until the last one is written.

        Raises: OSError, in one sentence, where the disk is full or read-only; the checkpoints before it stay, and later
        ones are written once it takes them.
        """
        with self._room(self.latest_step):
            self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _room(self, step: int | None, size: int = 0) -> Iterator[None]:
        if shutil.disk_usage(self.folder).free < size:
            raise full(self.folder / str(step))
        try:
            yield
        except Exception as error:
            if refusal := refused(self.folder / str(step), error):
                raise refusal from error
            raise

    def restore(self, like: State) -> tuple[int, State] | None:
        """Return (step, state) of the newest checkpoint that can be read, or None where there is none.

        `like` is a state of the wanted structure: arrays, or `jax.ShapeDtypeStruct`s.
        Raises: ValueError, one sentence, where a checkpoint is whole but of another network, and where none can be
        read: it may be the disk that fails or the memory that is short, and a run that began anew would write over
        what is good.
        """
        like = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        steps, cause = sorted(self._manager.all_steps(), reverse=True), None
        for step in steps:
            try:
                stored = _shapes(self._manager.item_metadata(step).tree)
                _compare(self.folder / str(step), stored, _shapes(like))
                state = cast(State, self._manager.restore(step, args=ocp.args.StandardRestore(like)))
            except OtherNetwork:
                raise
            except Exception as error:
                cause = error
                if step != steps[-1]:
                    warnings.warn(
                        f"checkpoint {self.folder / str(step)} is damaged ({type(error).__name__}); going on "
                        "from the one before it.",
                        stacklevel=2,
                    )
                continue
            return step, state
        if cause:
            raise ValueError(
                f"none of the checkpoints in {self.folder} can be read (of step {steps[-1]}:"
                f" {str(cause).splitlines()[0]}); remove the folder to start anew."
            ) from cause
        return None


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Return path -> shape; named tuples count as dicts, as Orbax stores them."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}


def _compare(path: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in sorted(stored.keys() ^ wanted.keys()):
        where = "lacks" if name in wanted else "holds an unknown"
        raise OtherNetwork(
            f"checkpoint {path} {where} {name!r}; it belongs to another network or version: remove "
            "the folder to start anew."
        )
    for name, shape in wanted.items():
        if stored[name] != shape:
            raise OtherNetwork(
                f"checkpoint {path}: {name!r} has shape {stored[name]} where {shape} is expected; "
                "it belongs to another size: remove the folder to start anew."
            )
