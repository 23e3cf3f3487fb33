"""Weights on disk: safetensors, checked before use, never a pickle.

A file holds named arrays and a description (any JSON values). Nothing in it is ever executed, and
what is wrong with it is said in one sentence that names the tensor.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
import safetensors.numpy

from ldm.files import check_file, write_atomic

DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
DESCRIPTION = "description"
HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
PICKLE = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # .pt is a zip of one


class Shaped(Protocol):
    """What `expected` needs to say of a tensor: `jax.ShapeDtypeStruct` and arrays do."""

    shape: tuple[int, ...]
    dtype: Any


def save(path: str | Path, tensors: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> Path:
    """Write named arrays (NumPy or JAX) and JSON values, atomically; equal content, equal bytes.

    Raises: OSError, in one sentence where the disk is full.
    """
    arrays = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    # One entry: safetensors orders several by chance, and the file would differ each time.
    described = {DESCRIPTION: json.dumps(metadata, sort_keys=True)} if metadata else None
    return write_atomic(path, safetensors.numpy.save(arrays, described))


def load(
    path: str | Path,
    expected: Mapping[str, Shaped] | None = None,
    *,
    half_to_float32: bool = False,
) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, in the order of their names.

    Args:
        expected: the names, shapes and dtypes that must be there, no more and no fewer.
        half_to_float32: widen float16 and bfloat16 arrays, before they are compared.
    Raises: ValueError, one sentence, for a missing, truncated or foreign file, and for a tensor
        that is missing, not expected, or of another shape or dtype.
    """
    path = Path(path)
    header, start = _header(path)
    content = np.memmap(path, np.uint8, "r") if header.keys() - {"__metadata__"} else None
    tensors = {}
    for name in sorted(header.keys() - {"__metadata__"}):
        entry = header[name]
        begin, end = entry["data_offsets"]
        raw = content[start + begin : start + end].view(DTYPES[entry["dtype"]])
        widen = half_to_float32 and raw.dtype in HALF
        tensors[name] = np.array(raw, np.float32 if widen else raw.dtype).reshape(entry["shape"])
    if expected is not None:
        compare(path, tensors, expected)
    return tensors


def metadata(path: str | Path) -> dict[str, Any]:
    """The file's description, as `save` was given it. Raises: ValueError as `load` does."""
    texts = _header(Path(path))[0].get("__metadata__", {})
    if DESCRIPTION in texts:
        return json.loads(texts[DESCRIPTION])
    return dict(texts)  # another program's file: plain words


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The file's table of contents and where its data begins, once both are known to be sound."""
    check_file(path, "a .safetensors file")
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        text = file.read(length) if length <= size - 8 else b""
    try:
        header = json.loads(text)
        entries = [entry for name, entry in header.items() if name != "__metadata__"]
        end = 8 + length + max((entry["data_offsets"][1] for entry in entries), default=0)
        sound = all(_sound(entry) for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        if head.startswith(PICKLE):
            raise ValueError(
                f"{path} is a pickle (.pt, .ckpt, .pkl), which may run any code when opened; "
                "convert it to safetensors where you trust it."
            ) from None
        raise ValueError(
            f"{path} ({size} bytes) is no safetensors file, or only the beginning of one; copy it again."
        ) from None
    if size != end or not sound:
        raise ValueError(f"{path} is damaged: {size} bytes where {end} belong; copy it again.")
    return header, 8 + length


def _sound(entry: Mapping[str, Any]) -> bool:
    begin, end = entry["data_offsets"]
    width = np.dtype(DTYPES[entry["dtype"]]).itemsize
    return 0 <= begin <= end and end - begin == width * math.prod(entry["shape"])


def compare(path: Path, tensors: Mapping[str, Shaped], expected: Mapping[str, Shaped]) -> None:
    """Raises: ValueError as `load` does, where the tensors that `path` held are not the expected ones."""
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
