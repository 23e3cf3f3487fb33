"""What a machine that forgets has made, in a few tar files to bring home: `tar xf` them in the checkout there, then
`make compact`.

Rows and pictures, the register of its models, and frozen networks; models of sizes stay, being large.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from ldm.files import write_atomic

VOLUME = 15 * 2**20  # bytes of one file
BLOCK = 1024  # a file's header in a tar, and what fills its last block
WANTED = (
    "runs/rows/*.parquet",
    "runs/files/*/[!.]*",
    "runs/*/models.json",
    "weights/*/*.safetensors",
    "weights/*/reference.json",
)


def start_of_machine(root: Path) -> float:
    """When this was asked first on this machine; noted in a file under runs/, which does not travel."""
    mark = root / "runs" / "began"
    if not mark.is_file():
        write_atomic(mark, b"")
    return mark.stat().st_mtime


def pack(root: Path, out: Path) -> list[Path]:
    """All that this machine has made since it `began`, into volumes `out`/home-0.tar, ...; oldest first, so full ones
    stay as they are.
    """
    since = start_of_machine(root)
    files = [
        path
        for pattern in WANTED
        for path in root.glob(pattern)
        if path.stat().st_mtime >= since and path.stat().st_size <= VOLUME
    ]
    volumes: list[list[Path]] = [[]]
    size = 0
    for path in sorted(files, key=lambda path: path.stat().st_mtime):
        room = path.stat().st_size + BLOCK
        if volumes[-1] and size + room > VOLUME:
            volumes.append([])
            size = 0
        volumes[-1].append(path)
        size += room
    return [write_atomic(out / f"home-{i}.tar", _tar(root, paths)) for i, paths in enumerate(volumes) if paths]


def _tar(root: Path, paths: Sequence[Path]) -> bytes:
    with BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in paths:
                archive.add(path, path.relative_to(root))
        return buffer.getvalue()
