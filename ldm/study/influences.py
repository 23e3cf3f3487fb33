"""How much each picture of a cell moves each of its metrics, in a file beside the cell's rows."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

FILE = "parts.safetensors.gz"  # shares of few things, such as alignment, take a tenth of their bytes when compressed


def pack(influences: Mapping[str, np.ndarray]) -> bytes:
    """Return a file of influences, metric -> (n,), in half precision; equal influences, equal bytes."""
    half = {name: np.asarray(values, np.float16) for name, values in influences.items()}
    return gzip.compress(save(half), mtime=0)


def unpack(path: Path) -> dict[str, np.ndarray]:
    """Return the influences in a file, metric -> float16 (n,). Raises: ValueError, naming a file that is damaged."""
    try:
        return load(gzip.decompress(path.read_bytes()))
    except (gzip.BadGzipFile, EOFError, zlib.error, SafetensorError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"{path} is damaged ({reason}); if it is under results/, restore it (git checkout {str(path)!r}), else "
            f"remove its folder and the row of that name, and the cell runs again."
        ) from error
