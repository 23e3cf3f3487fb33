"""Names for computed things: a hash of everything that determines the result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def key(cell: Any, **versions: str | int) -> str:
    """Return the name of a cell: 16 hex digits that hash its type, its fields and the versions given.

    It is equal on every machine, Python and field order; 4 and 4.0 are the same number, a tuple and a list the same
    sequence. A class that was renamed keeps the name that keys know as its attribute KEY.

    Raises: TypeError for what has no canonical form (a path, a set, an array).
    """
    if not dataclasses.is_dataclass(cell) or isinstance(cell, type):
        raise TypeError(f"key() takes a dataclass instance, not {cell!r}.")
    content = {"cell": _canonical(cell), "versions": _canonical(versions)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def later(default: Any) -> Any:
    """Return a dataclass field that came after cells had been recorded: at its default it is no part of a key."""
    return dataclasses.field(default=default, metadata={"later": True})


def digest(params: Mapping[str, Any], size: int = 4) -> str:
    """Return `size` bytes, in hex, that name a network's weights, or the arrays of a batch."""
    hasher = hashlib.blake2b(digest_size=size)
    for name in sorted(params):
        hasher.update(name.encode() + np.asarray(params[name]).tobytes())
    return hasher.hexdigest()


def _canonical(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        known = [
            f
            for f in dataclasses.fields(value)
            if not (f.metadata.get("later") and getattr(value, f.name) == f.default)
        ]
        fields = {f.name: _canonical(getattr(value, f.name)) for f in known}
        return {"type": vars(type(value)).get("KEY", type(value).__name__), "fields": fields}
    if isinstance(value, Mapping):
        return {str(name): _canonical(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(
        f"{value!r} ({type(value).__name__}) cannot be part of a key; use numbers, strings, "
        "sequences, mappings and dataclasses of them."
    )
