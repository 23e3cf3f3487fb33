"""Write captioned pictures, or their latents, as tar shards (`ldm.data.shards`), to a disk or an object store."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import fsspec
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from tqdm import tqdm

from ldm.data.datasets import Captioned
from ldm.data.shards import CAPTION, CONTEXT, LATENTS, MANIFEST
from ldm.files import write_atomic
from ldm.hashing import digest
from ldm.networks.autoencoder import Codec
from ldm.networks.text import TextEncoder

LENGTH = 1024  # samples in a shard
Members = dict[str, bytes]  # ending -> content
Encode = Callable[[range], list[Members]]


def pictures(data: Captioned) -> tuple[dict[str, str], Encode]:
    """Return pictures as PNG with their captions; beside it what the shards are made of."""

    def encode(rows: range) -> list[Members]:
        return [
            {".png": _bytes(Image.fromarray(image).save, "PNG"), CAPTION: words.encode()}
            for image, words in map(data.item, rows)
        ]

    return {"data": data.key}, encode


def latents(data: Captioned, codec: Codec, text: TextEncoder) -> tuple[dict[str, str], Encode]:
    """Return latents and contexts in half precision, and the captions; beside it what the shards are made of.

    Raises: ValueError, one sentence, for a caption that the text tower cannot read: here, before anything is written.
    """
    for i in range(len(data)):
        try:
            text.tokenizer(data.captions([i]))
        except ValueError as error:
            raise ValueError(f"Picture {i + 1} of {len(data):,}: {error}") from None

    def encode(rows: range) -> list[Members]:
        captions = data.captions(rows)
        arrays = codec.encode(data.images(rows)), text.encode(captions)
        halves = zip(*(x.astype(np.float16) for x in arrays), captions, strict=True)
        return [{LATENTS: _bytes(save, z), CONTEXT: _bytes(save, m), CAPTION: words.encode()} for z, m, words in halves]

    save = lambda file, array: np.lib.format.write_array(file, array, allow_pickle=False)
    return {"data": data.key} | made_by(codec, text), encode


def made_by(codec: Codec, text: TextEncoder) -> dict[str, str]:
    """Return the names of the weights behind latents and contexts."""
    encoder = {name: p for name, p in codec.params.items() if name.startswith(("encoder.", "quant_conv."))}
    return {"autoencoder": digest(encoder), "text": digest(text.params)}


def _bytes(save: Callable[..., Any], *args: Any) -> bytes:
    with io.BytesIO() as file:
        save(file, *args)
        return file.getvalue()


def write(url: str, n: int, made_of: dict[str, str], encode: Encode, length: int = LENGTH) -> str:
    """Write n samples, `length` to a shard, to a folder or an object store; what a former run wrote stays.

    A shard appears under its name when it is whole; its bytes depend on nothing but its samples. Gives the folder back.
    Raises: ValueError, one sentence, for a file, and for a folder that holds other shards.
    """
    fs, folder = fsspec.url_to_fs(url)
    folder = folder.rstrip("/")
    spans = {f"{start // length:06d}.tar": range(start, min(start + length, n)) for start in range(0, n, length)}
    manifest = {"made of": made_of, "samples": n, "shards": list(spans)}
    if fs.isfile(folder):
        raise ValueError(f"{url}: is a file, not a folder; give a folder to write shards to.")
    there = {info["name"] for info in fs.ls(folder, detail=True)} if fs.exists(folder) else set()
    if f"{folder}/{MANIFEST}" in there:
        if json.loads(fs.cat_file(f"{folder}/{MANIFEST}")) != manifest:
            raise ValueError(f"{url} holds shards of other data, or another number of them; choose an empty folder.")
    elif any(path.endswith(".tar") for path in there):
        raise ValueError(f"{url} holds .tar files that this command did not write; choose an empty folder.")
    else:
        _put(fs, f"{folder}/{MANIFEST}", json.dumps(manifest, indent=1).encode())
    for name, rows in tqdm(spans.items(), desc="shards", unit="shard"):
        if f"{folder}/{name}" not in there:
            _put(fs, f"{folder}/{name}", _tar(rows, encode(rows)))
    return folder


def _tar(rows: range, samples: list[Members]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for row, members in zip(rows, samples, strict=True):
            for ending, content in members.items():
                header = tarfile.TarInfo(f"{row:09d}{ending}")
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
    return file.getvalue()


def _put(fs: fsspec.AbstractFileSystem, path: str, content: bytes) -> None:
    """An object appears whole; a file on a disk has to be helped to that."""
    if isinstance(fs, LocalFileSystem):
        write_atomic(path, content)
    else:
        fs.pipe_file(path, content)
