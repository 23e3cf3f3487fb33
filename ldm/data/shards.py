"""Captioned pictures, or their latents, in tar shards on a disk or an object store: any sample by its number.

The layout is WebDataset's. A sample is the members of one key that follow each other in a shard: `<key>.jpg` (png,
webp) or `<key>.npy`, its latents; and `<key>.txt`, its caption, or `<key>.context.npy`, the caption encoded. A tar file
has no table of contents, so the headers are read once, and where everything lies is kept in a small file. From then on
a sample costs one request for a range of bytes, and samples can be shuffled as if they lay in memory.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from ldm.data.pictures import PICTURES
from ldm.files import write_atomic

LATENTS, CAPTION, CONTEXT = ".npy", ".txt", ".context.npy"
MANIFEST = "shards.json"  # in a folder that we wrote: which shards there have to be, and what made them
BLOCK = 2**22  # bytes fetched at once while headers are read
READERS = 8  # shards whose headers are read at once


@dataclass(frozen=True, eq=False)
class Shards:
    """n samples; `read` gives them as they lie there, undecoded."""

    fs: fsspec.AbstractFileSystem
    paths: list[str]
    encoded: bool  # latents, not pictures
    words: str  # CAPTION or CONTEXT
    shard: Int[np.ndarray, " n"]  # which of the paths
    spans: Int[np.ndarray, "n 2 2"]  # of picture or latents, and of the words: the first byte and the length
    key: str  # hex digits that name these shards: their names and lengths
    manifest: dict[str, Any]  # empty for shards that others wrote

    def __len__(self) -> int:
        return len(self.shard)

    def read(self, rows: Int[np.ndarray, " b"]) -> list[tuple[bytes, bytes]]:
        """Return (picture or latents, words) of each; object stores are asked for all at once.

        Raises: OSError, one sentence, for a shard that is gone, cannot be reached, or has become shorter.
        """
        spans, paths = self.spans[rows], [self.paths[s] for s in self.shard[rows]]
        begins, ends = spans[..., 0].min(1), spans.sum(2).max(1)
        found = self.fs.cat_ranges(paths, begins.tolist(), ends.tolist(), on_error="return")
        for path, begin, end, part in zip(paths, begins, ends, found, strict=True):
            if isinstance(part, Exception) or len(part) != end - begin:
                why = f"{type(part).__name__}: {part}" if isinstance(part, Exception) else "it has become shorter"
                raise OSError(
                    f"{path}: this shard can no longer be read ({why}); bring it back and run the same command again."
                )
        places = spans[..., 0] - begins[:, None]
        return [
            tuple(part[place : place + length] for place, length in zip(at, lengths, strict=True))
            for part, at, lengths in zip(found, places.tolist(), spans[..., 1].tolist(), strict=True)
        ]

    def name(self, i: int, words: bool = False) -> str:
        """Return shard and member of a sample, for people: the member's header stands before it."""
        path, begin = self.paths[self.shard[i]], int(self.spans[i, int(words), 0])
        header = self.fs.cat_file(path, begin - tarfile.BLOCKSIZE, begin)
        return f"{path}: {tarfile.TarInfo.frombuf(header, 'utf-8', 'surrogateescape').name}"


def open_shards(url: str, cache: Path) -> Shards:
    """Open the shards in a folder, or those that a pattern with * names.

    fsspec knows the place: a path, s3://, gs://.

    `cache`: folder for the index, which is made anew when a shard has changed.
    Raises: ValueError, one sentence, for a place without shards, a missing or broken one, and a sample that lacks
    something.
    """
    fs, folder, listed = listing(url)
    manifest = json.loads(fs.cat_file(f"{folder}/{MANIFEST}")) if f"{folder}/{MANIFEST}" in listed else {}
    paths = sorted(path for path in listed if path.endswith(".tar"))
    if missing := [name for name in manifest.get("shards", ()) if f"{folder}/{name}" not in paths]:
        raise ValueError(
            f"{folder}/{missing[0]} is missing, with {len(missing) - 1} more of {len(manifest['shards'])} shards; copy"
            " what is missing, or run the command that writes them again: it goes on where it stopped."
        )
    if not paths and folder in listed:
        raise ValueError(f"{url}: is a file, not a folder; give one of .tar shards.")
    if not paths:
        raise ValueError(
            f"{url}: no .tar file; give the folder of the shards, or a pattern such as {url.rstrip('/')}/*.tar."
        )
    sizes = [(path.rpartition("/")[2], listed[path]["size"]) for path in paths]
    facts = [
        sorted((name, str(value)) for name, value in listed[path].items()) for path in paths
    ]  # times and tags among them
    index = _cached(cache / f"shards-{_hash([url, facts])}.npz", lambda: _index(fs, paths))
    if (n := len(index["shard"])) != manifest.get("samples", n):
        raise ValueError(
            f"{url}: the shards hold {n:,} samples, where {manifest['samples']:,} were written; write or copy them"
            " again."
        )
    encoded, words = index["encoded"].item(), index["words"].item()
    return Shards(fs, paths, encoded, words, index["shard"], index["spans"], _hash(sizes), manifest)


def listing(url: str) -> tuple[fsspec.AbstractFileSystem, str, dict[str, dict[str, Any]]]:
    """Return the file system, the folder, and path -> facts of what lies there."""
    try:
        fs, path = fsspec.url_to_fs(url)
        if "*" in path:
            return fs, "", fs.glob(path, detail=True)
        path = path.rstrip("/")
        return fs, path, {info["name"]: info for info in fs.ls(path, detail=True)}
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{url}: no such folder; give one of .tar shards.") from None
    except (ImportError, ValueError) as error:  # an unknown scheme, or one whose package is not installed
        raise ValueError(f"{url}: this place cannot be reached ({error}).") from error


def _hash(value: Any) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=8).hexdigest()


def _cached(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return arrays of a file, which is made where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("encoded", "words", "shard", "spans")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        arrays, file = make(), io.BytesIO()
        np.savez(file, encoded=arrays["encoded"], words=arrays["words"], shard=arrays["shard"], spans=arrays["spans"])
        write_atomic(path, file.getvalue())
        return arrays


def _index(fs: fsspec.AbstractFileSystem, paths: list[str]) -> dict[str, np.ndarray]:
    shard, spans, first = [], [], None
    with ThreadPoolExecutor(READERS) as pool:
        headers = pool.map(lambda path: list(samples(fs, path)), paths)
        for number, found in enumerate(tqdm(headers, total=len(paths), desc="index", unit="shard")):
            for key, parts in found:
                kinds, places = _kinds(paths[number], key, parts)
                first = first or (kinds, f"{paths[number]}: sample {key!r}")
                if kinds != first[0]:
                    raise ValueError(
                        f"{paths[number]}: sample {key!r} holds {' and '.join(kinds)}, but {first[1]}"
                        f" {' and '.join(first[0])}: all have to be alike; keep them in folders of their own."
                    )
                shard.append(number)
                spans.append(places)
    if first is None:
        raise ValueError(
            f"{paths[0]}: no samples in it, nor in the other {len(paths) - 1} shards; expected pictures and captions."
        )
    encoded, words = first[0][0] == "latents", first[0][1]
    return {
        "encoded": np.array(encoded),
        "words": np.array(words),
        "shard": np.array(shard, np.int32),
        "spans": np.array(spans, np.int64),
    }


def samples(fs: fsspec.AbstractFileSystem, path: str) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
    """Yield (key, ending -> (first byte, length)) of each sample, in the shard's order."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with fs.open(path, "rb", block_size=BLOCK) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                if member.isfile() and stem:
                    found.setdefault(f"{folder}/{stem}".lstrip("/"), {})[f".{ending.lower()}"] = (
                        member.offset_data,
                        member.size,
                    )
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{path}: not a whole tar file ({error}); copy or write it again.") from error
    yield from found.items()


def _kinds(path: str, key: str, parts: dict[str, tuple[int, int]]) -> tuple[tuple[str, str], list[tuple[int, int]]]:
    content = next((ending for ending in (LATENTS, *PICTURES) if ending in parts), None)
    words = next((ending for ending in (CONTEXT, CAPTION) if ending in parts), None)
    if content is None or words is None:
        lacks = (
            f"neither {LATENTS} nor a picture ({', '.join(PICTURES)})" if content is None else f"no caption ({CAPTION})"
        )
        raise ValueError(f"{path}: sample {key!r} has {lacks}, only {', '.join(parts)}; complete it, or leave it out.")
    return ("latents" if content == LATENTS else "a picture", words), [parts[content], parts[words]]
