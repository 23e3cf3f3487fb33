"""Weights on disk: safetensors, checked before use, never a pickle.

A file holds named arrays and a description (any JSON values). Nothing in it is ever executed, and
what is wrong with it is said in one sentence that names the tensor.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import ml_dtypes
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from ldm.files import check_file, write_atomic

DESCRIPTION = "description"
HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
PICKLE = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # .pt is a zip of one


@runtime_checkable
class Shaped(Protocol):
    """What `expected` needs to say of a tensor: `jax.ShapeDtypeStruct` and arrays do."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


def save(path: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Path:
    """Write named arrays (NumPy or JAX) and JSON values, atomically; equal content, equal bytes.

    Raises: OSError, in one sentence where the disk is full.
    """
    arrays = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    # One entry: safetensors orders several by chance, and the file would differ each time.
    described = {DESCRIPTION: json.dumps(metadata, sort_keys=True)} if metadata else None
    return write_atomic(path, safetensors.numpy.save(arrays, described))


def save_half(path: str | Path, params: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Path:
    """Write arrays (NumPy or JAX) in half precision, float16, and JSON values, as `save` does.

    They are rounded where they lie, so that only half the bytes are copied from a device.

    Raises: OSError, in one sentence where the disk is full.
    """
    return save(path, {name: array.astype(np.float16) for name, array in params.items()}, metadata)


def load(
    path: str | Path,
    expected: Mapping[str, Shaped] | None = None,
    *,
    half_to_float32: bool = False,
) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file, in the order of their names.

    Args:
        expected: the names, shapes and dtypes that must be there, no more and no fewer.
        half_to_float32: widen float16 and bfloat16 arrays, before they are compared.
    Raises: ValueError, one sentence, for a missing, truncated or foreign file, and for a tensor
        that is missing, not expected, or of another shape or dtype.
    """
    path, tensors = Path(path), {}
    with _opened(path) as file:
        for name in sorted(file.keys()):
            try:
                array = file.get_tensor(name)
            except (AttributeError, TypeError):  # NumPy has no such dtype
                raise ValueError(
                    f"{path}: tensor {name!r} is {file.get_slice(name).get_dtype()}, of fewer bits than we compute "
                    "with; expected at least float16 or bfloat16, convert the file to one of them."
                ) from None
            tensors[name] = array.astype(np.float32) if half_to_float32 and array.dtype in HALF else array
    if expected is not None:
        compare(path, tensors, expected)
    return tensors


def metadata(path: str | Path) -> dict[str, Any]:
    """Return the file's description, as `save` was given it. Raises: ValueError as `load` does."""
    with _opened(Path(path)) as file:
        texts = file.metadata() or {}
    if DESCRIPTION in texts:
        return json.loads(texts[DESCRIPTION])
    return dict(texts)  # another program's file: plain words


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    """Open the file, once its table of contents is known to be sound; what is wrong with it is said in one sentence."""
    check_file(path, "a .safetensors file")
    try:
        file = safe_open(path, "numpy")
    except SafetensorError as error:
        with open(path, "rb") as start:
            pickled = start.read(4).startswith(PICKLE)
        if pickled:
            raise ValueError(
                f"{path} is a pickle (.pt, .ckpt, .pkl), which may run any code when opened; "
                "convert it to safetensors where you trust it."
            ) from None
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise ValueError(
            f"{path} ({path.stat().st_size} bytes) is no safetensors file, or only a part of one ({reason}); "
            "copy it again."
        ) from None
    with file:
        yield file


def compare(path: Path, tensors: Mapping[str, Shaped], expected: Mapping[str, Shaped]) -> None:
    """Raise ValueError as `load` does, where the tensors that `path` held are not the expected ones."""
    missing, extra = (
        sorted(expected.keys() - tensors.keys()),
        sorted(tensors.keys() - expected.keys()),
    )
    if missing:
        found = f"; instead there is {extra[0]!r}" if extra else ""
        raise ValueError(
            f"{path} lacks {len(missing)} of {len(expected)} tensors, the first is {missing[0]!r}"
            f"{found}; it belongs to another network."
        )
    if extra:
        raise ValueError(
            f"{path} holds {len(extra)} tensors too many, the first is {extra[0]!r}; it belongs to another network."
        )
    for name, wanted in expected.items():
        array = tensors[name]
        if array.shape != tuple(wanted.shape):
            raise ValueError(
                f"{path}: tensor {name!r} has shape {array.shape} where {tuple(wanted.shape)} is "
                "expected; it belongs to a network of another size."
            )
        if array.dtype != np.dtype(wanted.dtype):
            raise ValueError(
                f"{path}: tensor {name!r} is {array.dtype} where {np.dtype(wanted.dtype)} is "
                "expected; pass half_to_float32=True if it is half precision."
            )
