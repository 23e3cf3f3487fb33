"""Pictures of others, wherever they lie, one after the other: a folder, tar shards, or Parquet, with their captions.

A source knows the names of its pictures, and reads them in order from any of them on, so that a walk through 100,000
can stop and go on, and memory holds those at hand alone.

- A folder: all pictures in it and below, by path; or those that its metadata.jsonl or metadata.csv names. A caption is
  the metadata's `text`, or what the file of the same name with the ending .txt says.
- Shards: a .tar file, a folder of them, or a place that fsspec knows (s3://...); captions are `<key>.txt`.
- Parquet: a .parquet file or a folder of them, as data sets are published: a column of encoded pictures, or of structs
  with `bytes` and `path`; captions are the first of the columns text, caption, prompt.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow
import pyarrow.parquet

from ldm.data import shards
from ldm.data.batches import CORES
from ldm.data.datasets import metadata
from ldm.data.pictures import PICTURES

ENDINGS = (*PICTURES, ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".gif")
WORDS = ("text", "caption", "prompt")  # columns that hold captions
METADATA = ("metadata.jsonl", "metadata.csv")
ROWS = 64  # of a Parquet file that are read at once
AHEAD = 64  # pictures that are read while another is looked at
T = TypeVar("T")
Read = Callable[[], bytes]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """n pictures with unique names.

    `walk(first)` gives a function for each, from the picture `first` on, that reads it.
    """

    place: str
    names: list[str]
    sizes: list[int]  # bytes, or what else tells that a picture was changed
    walk: Callable[[int], Iterator[Read]]
    captions: Callable[[], list[str]] = field(default=lambda: [])  # one a picture, or none

    def __len__(self) -> int:
        return len(self.names)

    @property
    def key(self) -> str:
        """Hex digits that name these pictures as far as names and sizes tell."""
        return hashlib.blake2b(repr((self.place, self.names, self.sizes)).encode(), digest_size=8).hexdigest()

    def each(self, look: Callable[[bytes], T], first: int = 0) -> Iterator[T]:
        """Yield `look` of each picture's bytes from `first` on, in order, by several threads and some pictures ahead.

        Raises: ValueError, one sentence with the picture's name, where `look` does.
        """

        def one(read: Read, name: str) -> T:
            content = read()
            try:
                return look(content)
            except ValueError as error:
                raise ValueError(
                    f"{self.place}: {name}: not a readable picture ({error}); replace it, or take it out."
                ) from error

        with ThreadPoolExecutor(CORES) as pool:
            waiting: deque[Any] = deque()
            steps = zip(self.walk(first), self.names[first:], strict=True)
            while True:
                waiting.extend(pool.submit(one, *step) for step in islice(steps, AHEAD - len(waiting)))
                if not waiting:
                    return
                try:
                    yield waiting.popleft().result()
                except BaseException:
                    for future in waiting:
                        future.cancel()
                    raise


def open_source(place: str | Path) -> Source:
    """Return the pictures at a place.

    Raises: ValueError, one sentence, where there are none or they cannot be told apart.
    """
    path = Path(place)
    if "://" in str(place) or "*" in str(place) or path.suffix == ".tar":
        return _shards(str(place))
    if path.suffix == ".parquet" and path.is_file():
        return _parquet(path, [path])
    if not path.is_dir():
        found = "is a file of no kind that is known here" if path.exists() else "no such file or folder"
        raise ValueError(f"{place}: {found}; give a folder of pictures, tar shards, or a Parquet file of pictures.")
    inside = sorted(path.iterdir())
    if any(file.name in METADATA for file in inside):
        rows = metadata(path)
        return _files(path, [name for name, _ in rows], lambda: [text for _, text in rows])
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.suffix.lower() in ENDINGS and file.is_file()
    )
    if names:
        return _files(path, names, lambda: _beside(path, names))
    if tables := [file for file in sorted(path.rglob("*.parquet")) if file.is_file()]:
        return _parquet(path, tables)
    if any(file.suffix == ".tar" for file in inside):
        return _shards(str(path))
    raise ValueError(
        f"{place}: no picture ({', '.join(ENDINGS)}), no .tar and no .parquet in this folder or below it; give another."
    )


def _unique(place: str | Path, names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{place}: {twice!r} is there twice; names have to tell the pictures apart, rename one.")
    return names


def _files(folder: Path, names: list[str], captions: Callable[[], list[str]]) -> Source:
    def walk(first: int) -> Iterator[Read]:
        return ((folder / name).read_bytes for name in names[first:])

    sizes = [(folder / name).stat().st_size for name in _unique(folder, names)]
    return Source(place=str(folder), names=names, sizes=sizes, walk=walk, captions=captions)


def _beside(folder: Path, names: list[str]) -> list[str]:
    """Return the captions of files named like the pictures, with the ending .txt; none where one is missing."""
    files = [(folder / name).with_suffix(".txt") for name in names]
    if not all(file.is_file() for file in files):
        return []
    return [file.read_text("utf-8-sig").strip() for file in files]


def _shards(url: str) -> Source:
    """Open tar shards, with captions or without."""
    if url.endswith(".tar") and "*" not in url:
        folder, _, name = url.rpartition("/")
        fs, _, found = shards.listing(folder or ".")
        found = {path: info for path, info in found.items() if path.rpartition("/")[2] == name}
    else:
        fs, _, found = shards.listing(url)
    paths = sorted(path for path in found if path.endswith(".tar"))
    if not paths:
        raise ValueError(f"{url}: no .tar file there; give a folder of shards, or the path of one.")
    spans, names, words = [], [], []
    for path in paths:
        shard = path.rpartition("/")[2]
        for key, parts in shards.samples(fs, path):
            ending = next((ending for ending in ENDINGS if ending in parts), None)
            if ending is None:
                raise ValueError(f"{path}: sample {key!r} has no picture, only {', '.join(parts)}; take it out.")
            names.append(f"{shard}/{key}")
            spans.append((path, *parts[ending]))
            words.append((path, *parts[shards.CAPTION]) if shards.CAPTION in parts else None)
    read = lambda path, begin, length: fs.cat_file(path, begin, begin + length)

    def captions() -> list[str]:
        return [] if None in words else [read(*span).decode("utf-8-sig").strip() for span in words]

    def walk(first: int) -> Iterator[Read]:
        return ((lambda span=span: read(*span)) for span in spans[first:])

    sizes = [length for _, _, length in spans]
    return Source(place=url, names=_unique(url, names), sizes=sizes, walk=walk, captions=captions)


def _parquet(place: Path, paths: list[Path]) -> Source:
    """Open Parquet files; a row group is the least that is read, and a batch of its rows is kept."""
    try:
        files = [pyarrow.parquet.ParquetFile(path) for path in paths]
    except pyarrow.ArrowException as error:
        raise ValueError(f"{place}: no whole Parquet file ({error}); copy it again.") from error
    schema = files[0].schema_arrow
    column = next((name for name in schema.names if _encoded(schema.field(name).type)), None)
    if column is None:
        raise ValueError(
            f"{place}: no column of encoded pictures (binary, or a struct with bytes), only {', '.join(schema.names)}."
        )
    nested = pyarrow.types.is_struct(schema.field(column).type)
    words = next((name for name in WORDS if name in schema.names), None)
    counts = [file.metadata.num_rows for file in files]
    named = nested and schema.field(column).type.get_field_index("path") >= 0
    names = [f"{path.name}:{row:06d}" for path, count in zip(paths, counts, strict=True) for row in range(count)]
    if named:
        given = [row["path"] for file in files for row in file.read(columns=[f"{column}.path"])[column].to_pylist()]
        names = given if all(given) and len(set(given)) == len(given) else names

    def walk(first: int) -> Iterator[Read]:
        for file, count in zip(files, counts, strict=True):
            begin = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if begin + rows > first:
                    for batch in file.iter_batches(ROWS, row_groups=[group], columns=[column]):
                        for value in batch.column(0):
                            if begin >= first:
                                yield lambda value=value: _bytes(value.as_py())
                            begin += 1
                else:
                    begin += rows
            first = max(first - count, 0)

    def captions() -> list[str]:
        return [text for file in files for text in file.read(columns=[words])[words].to_pylist()] if words else []

    return Source(
        place=str(place), names=names, sizes=[path.stat().st_size for path in paths], walk=walk, captions=captions
    )


def _encoded(kind: pyarrow.DataType) -> bool:
    binary = lambda t: pyarrow.types.is_binary(t) or pyarrow.types.is_large_binary(t)
    return binary(kind) or (pyarrow.types.is_struct(kind) and any(f.name == "bytes" and binary(f.type) for f in kind))


def _bytes(value: bytes | dict[str, Any] | None) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    return content or b""  # nothing is no picture, which is said with its name
