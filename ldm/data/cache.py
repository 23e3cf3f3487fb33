"""Arrays that are computed once and then read from a file, mapped into memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike
from tqdm import tqdm


def cached(path: Path, parts: Iterable[np.ndarray], n: int, dtype: DTypeLike, *, title: str = "") -> np.ndarray:
    """Return the parts (b, ...) of n rows as one read-only memory map of `dtype`; computed where `path` is missing.

    An iterator that computes as it is asked is asked for nothing where the file is there. The file appears under its
    name only when it is complete. With a title, a bar shows how far it has come.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        try:
            out, done = None, 0
            with tqdm(total=n, desc=title, unit_scale=True, unit="img", disable=not title) as bar:
                for values in parts:
                    if out is None:
                        out = np.lib.format.open_memmap(unfinished, "w+", dtype, (n, *values.shape[1:]))
                    out[done : done + len(values)] = values
                    done += len(values)
                    bar.update(len(values))
            if out is None:
                raise ValueError(f"{path.name}: there are no parts to keep; give at least one.")
            out.flush()
            del out
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    return np.load(path, mmap_mode="r")
