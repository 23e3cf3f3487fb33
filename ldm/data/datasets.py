"""Data sets of captioned pictures, one interface for all, and which of them make up a batch.

`ldm.data.scenes.dataset.Scenes` draws its pictures, `Folder` reads yours, `Crops` cuts them; all are `Captioned`. A
batch is a pure function of the step (`batch_indices`), so a run that is resumed needs no state of its data.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ldm.data.pictures import PICTURES, square, whole
from ldm.files import check_folder


@runtime_checkable
class Captioned(Protocol):
    """n captioned square pictures."""

    @property
    def key(self) -> str:
        """Hex digits that name exactly these pictures and captions; caches are keyed by it."""
        ...

    def __len__(self) -> int: ...

    def item(self, i: int) -> tuple[np.ndarray, str]:
        """Return the picture and its caption: (uint8 (S, S, 3), caption)."""
        ...

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the pictures of these indices: uint8 (len(indices), S, S, 3)."""
        ...

    def captions(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Return the captions of these indices."""
        ...


class Folder:
    """Your own pictures: a folder with metadata.jsonl or metadata.csv (the ImageFolder convention).

    In the metadata `file_name` is relative to the folder and `text` is the caption.

    Each picture is cut to its central square and resized to `size` pixels; transparent parts
    become white. Every file is read and decoded once at the start, so that a bad one raises
    ValueError here and not hours later.
    """

    def __init__(self, path: str | Path, size: int):
        if size < 1:
            raise ValueError(f"size={size}: expected a picture's side in pixels, at least 1.")
        self.path, self.size = Path(path), size
        self._rows = metadata(self.path)
        digest = hashlib.blake2b(repr((size, self._rows)).encode(), digest_size=8)
        for name, _ in self._rows:
            content = (self.path / name).read_bytes()
            try:
                square(content, 1)
            except ValueError as error:
                raise ValueError(
                    f"{self.path / name}: not a readable picture ({error}); replace the file or "
                    "remove its row from the metadata."
                ) from error
            digest.update(hashlib.blake2b(content).digest())
        self.key = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._rows)

    def item(self, i: int) -> tuple[np.ndarray, str]:
        """Return picture i, uint8 (size, size, 3), and its caption."""
        name, text = self._rows[i]
        return square((self.path / name).read_bytes(), self.size), text

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the pictures of these indices: uint8 (len(indices), size, size, 3)."""
        out = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        for k, i in enumerate(indices):
            out[k] = self.item(int(i))[0]
        return out

    def captions(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Return the captions of these indices."""
        return [self._rows[int(i)][1] for i in indices]


class Crops:
    """n random crops of `size` pixels from the pictures in a folder, without captions, for super-resolution.

    A folder of PNG, JPEG or WebP files, as DIV2K is published (3,000 crops of DIV2K_valid_HR are the paper's
    validation set, section 3.2). Crop i is a function of (seed, i): pictures take turns, the place is drawn. Every file
    is read and decoded once at the start, so that a bad one raises ValueError here and not hours later.
    """

    def __init__(self, path: str | Path, size: int, n: int, seed: int = 0):
        if size < 1 or n < 1:
            raise ValueError(
                f"size={size}, n={n}: expected a crop's side in pixels and a number of crops, both at least 1."
            )
        self.path, self.size, self.n, self.seed = Path(path), size, n, seed
        check_folder(self.path, "one of PNG, JPEG or WebP files")
        self._files = sorted(file for file in self.path.iterdir() if file.suffix.lower() in PICTURES)
        if not self._files:
            raise ValueError(
                f"{path}: no PNG, JPEG or WebP file in this folder; give the folder that holds the pictures themselves."
            )
        digest = hashlib.blake2b(repr((size, n, seed)).encode(), digest_size=8)
        for file in self._files:
            try:
                picture = whole(file)
            except ValueError as error:
                raise ValueError(f"{file}: not a readable picture ({error}); replace or remove it.") from error
            if min(picture.shape[:2]) < size:
                raise ValueError(
                    f"{file} is {picture.shape[1]} x {picture.shape[0]} pixels, too small for crops of {size};"
                    " remove it."
                )
            digest.update(hashlib.blake2b(file.read_bytes()).digest())
        self.key = digest.hexdigest()

    def __len__(self) -> int:
        return self.n

    def item(self, i: int) -> tuple[np.ndarray, str]:
        """Return crop i, uint8 (size, size, 3), and an empty caption."""
        picture = _kept(self._files[i % len(self._files)])
        rng = np.random.default_rng([self.seed, i])
        top, left = (int(rng.integers(side - self.size, endpoint=True)) for side in picture.shape[:2])
        return picture[top : top + self.size, left : left + self.size], ""

    def images(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the crops of these indices: uint8 (len(indices), size, size, 3)."""
        out = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        for k in sorted(range(len(indices)), key=lambda k: indices[k] % len(self._files)):  # each file is decoded once
            out[k] = self.item(int(indices[k]))[0]
        return out

    def captions(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Return an empty caption for each index."""
        return [""] * len(indices)


@lru_cache(maxsize=1)
def _kept(file: Path) -> np.ndarray:
    return whole(file)


def metadata(folder: Path) -> list[tuple[str, str]]:
    """Return (file name, caption) of each row, checked."""
    check_folder(folder, "one with pictures and metadata.jsonl or metadata.csv")
    found = [folder / name for name in ("metadata.jsonl", "metadata.csv")]
    found = [file for file in found if file.is_file()]
    if len(found) != 1:
        have = "both" if found else "neither"
        raise ValueError(
            f"{folder}: expected metadata.jsonl or metadata.csv, with columns file_name and text, and found {have}."
        )
    rows = []
    for where, row in (_json_lines if found[0].suffix == ".jsonl" else _csv_lines)(found[0]):
        for column in ("file_name", "text"):
            value = row.get(column)
            if not isinstance(value, str) or not value.strip():
                have = ", ".join(map(str, row)) or "none"
                raise ValueError(f"{where}: no {column}; this row's columns are: {have}.")
            if not _writable(value):
                raise ValueError(f"{where}: {column} is {value!r}, which holds half a character; write it anew.")
        name = row["file_name"]
        _check_name(where, folder, name)
        rows.append((name, row["text"].strip()))
    if not rows:
        raise ValueError(f"{found[0]}: no rows; expected one with file_name and text a picture.")
    return rows


def _check_name(where: str, folder: Path, name: str) -> None:
    """The file may be a link to anywhere, as snapshots of data sets are; its name has to stay within the folder."""
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{where}: file_name {name!r} is outside the folder {folder}; give a path that begins there, without '..'."
        )
    try:
        there = "\0" not in name and (folder / name).is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise ValueError(f"{where}: file_name {name!r} cannot be opened ({error.strerror}); mend the name.") from error
    if not there:
        raise ValueError(f"{where}: {str(folder / name)!r} does not exist; mend the name, or bring the file.")


def _writable(text: str) -> bool:
    """Return whether it can be written as UTF-8; JSON may hold single halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(file).split("\n"), 1):  # `splitlines` also splits within strings of JSON
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected an object with file_name and text.")
        yield where, row


def _csv_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = csv.DictReader(io.StringIO(_text(file), newline=""), strict=True)
    begin = 1  # of the row that is read, which quotes may make several lines long
    try:
        columns = table.fieldnames or []
        if len(set(columns)) < len(columns):
            raise ValueError(f"{file}, line 1: a column is there twice, of {', '.join(columns)}; rename one.")
        begin = table.line_num + 1
        for row in table:
            where, begin = f"{file}, line {table.line_num}", table.line_num + 1
            if None in row:
                raise ValueError(
                    f"{where}: {len(columns) + len(row[None])} fields, where the header has {len(columns)}; put a"
                    ' caption with commas in quotes, "like this, for instance".'
                )
            yield where, row
    except csv.Error as error:
        raise ValueError(f"{file}, from line {begin} on: not CSV ({error}); mend its quotes.") from error


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text ({error}).") from error
