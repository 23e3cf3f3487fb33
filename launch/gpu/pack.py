"""What a machine that forgets has made, brought home in a few files: volumes of one growing stream of tar members.

A machine is lent for several calls, after each of which a folder comes home, of few files and megabytes each. So every
call writes one stream, cut into volumes wherever they are full: a model larger than a volume lies in several. What is
in the stream stays there, and a ledger on the machine keeps what earlier calls have brought. Rows go before models, and
of these only the first seeds at full length come at once: the rest gets what room is left in the end, small ones first.
A kill can cut the stream's last member, which `unpack` leaves out and the next call brings whole.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path

from ldm import profiles
from ldm.files import write_atomic

VOLUME = 15 * 2**20  # bytes of one file
MOST = 4 * VOLUME  # bytes of a call: with the log less than the 64 MiB that a call may bring
SPARED = 8 * 2**20  # of these, that models leave to rows which are still to come
WANTED = (
    "runs/rows/*.parquet",
    "runs/files/*/[!.]*",
    "runs/*/models.json",
    "runs/*/repeated.json",
    "weights/*/reference.*",
)
MODELS = "runs/open/unet-[ev]*.safetensors"  # the laptop's own family: of larger ones the rows are enough
NAMED = re.compile(r"-c(\d+)-(\d+)k-s(\d+)\.safetensors$")
BLOCK = tarfile.BLOCKSIZE


class Pack:
    """What one call brings: the files made since the machine `began` that no call before has brought."""

    def __init__(self, root: Path, out: Path, *, most: int = MOST, volume: int = VOLUME):
        self.root, self.out, self.most, self.volume = root, out, most, volume
        self.since = start_of_machine(root)
        self.ledger = root / "runs" / "home.json"
        ledger = json.loads(self.ledger.read_text()) if self.ledger.is_file() else {"calls": 0, "brought": {}}
        self.call, self.brought = ledger["calls"], ledger["brought"]
        self.full, self.open = 0, b""  # volumes that are full; what is in the one that is not

    def bring(self, *, last: bool = False) -> None:
        """Add what is new to the stream, as far as there is room; `last`: models may take what was spared for rows."""
        added = []
        models = self.models() if last else [path for path in self.models() if rank(path)[:2] == (False, 0)]
        for wanted, room in ((self.rows(), self.most), (models, self.most - (0 if last else SPARED))):
            for path in wanted:
                if self.size + path.stat().st_size + 2 * BLOCK <= room:
                    self._add(path)
                    added.append(path)
        if added:
            self._write(self.full, self.open)
            self.brought |= {self._name(path): path.stat().st_mtime_ns for path in added}
            write_atomic(self.ledger, json.dumps({"calls": self.call + 1, "brought": self.brought}).encode())

    @property
    def size(self) -> int:
        """The bytes that are packed so far."""
        return self.full * self.volume + len(self.open)

    def rows(self) -> list[Path]:
        """Return the new rows, strips and registers, oldest first."""
        return sorted(
            (path for pattern in WANTED for path in self._new(pattern)), key=lambda path: path.stat().st_mtime_ns
        )

    def models(self) -> list[Path]:
        """Return new models of the laptop's family: those of full length, the first seeds and small ones first."""
        return sorted(self._new(MODELS), key=rank)

    def without(self) -> str:
        """Return what is new and has not come along, in words."""
        return ", ".join(path.name for path in [*self.rows(), *self.models()]) or "nothing"

    def _new(self, pattern: str) -> Iterator[Path]:
        for path in self.root.glob(pattern):
            made = path.stat().st_mtime_ns
            if made >= self.since and self.brought.get(self._name(path)) != made:
                yield path

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _add(self, path: Path) -> None:
        data = path.read_bytes()
        info = tarfile.TarInfo(self._name(path))
        info.size, info.mtime, info.mode = len(data), int(path.stat().st_mtime), 0o644
        self.open += info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % BLOCK)
        while len(self.open) >= self.volume:
            self._write(self.full, self.open[: self.volume])
            self.full, self.open = self.full + 1, self.open[self.volume :]

    def _write(self, place: int, data: bytes) -> None:
        if data:
            write_atomic(self.out / f"home-{self.call:02d}-{place:02d}.part", data)


def rank(path: Path) -> tuple[bool, int, int]:
    """Return the place of a model in the row: (whether it is of less than full length, seed, bytes)."""
    _, length, seed = map(int, NAMED.search(path.name).groups())
    return length < profiles.get("laptop-eps").train.images // 1000, seed, path.stat().st_size


def start_of_machine(root: Path) -> int:
    """Return when this was asked first on this machine, in ns: a file under runs/ says so, which does not travel."""
    mark = root / "runs" / "began"
    if not mark.is_file():
        write_atomic(mark, b"")
    return mark.stat().st_mtime_ns


def unpack(folder: Path, root: Path) -> list[Path]:
    """Write what came home in a folder into the checkout `root`, but for a last member that a kill has cut.

    Raises: ValueError, one sentence, where there is nothing, or a volume is missing between others.
    """
    volumes = sorted(folder.glob("home-*-*.part"))
    if not volumes:
        raise ValueError(f"{folder}: no volumes home-*.part; give the folder that came home.")
    written = []
    for call, group in groupby(volumes, key=lambda path: path.name.split("-")[1]):
        parts = list(group)
        if [int(path.stem.split("-")[2]) for path in parts] != list(range(len(parts))):
            raise ValueError(f"{folder}: volumes of call {call} are missing; fetch all of home-{call}-*.part.")
        data = b"".join(path.read_bytes() for path in parts)
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
            for member in _whole(archive, len(data)):
                archive.extract(member, root, filter="data")
                written.append(root / member.name)
    return written


def _whole(archive: tarfile.TarFile, size: int) -> Iterator[tarfile.TarInfo]:
    """The members that the stream holds to their end."""
    while True:
        try:
            member = archive.next()
        except tarfile.ReadError:  # cut within a header
            return
        if member is None or member.offset_data + member.size > size:
            return
        yield member
