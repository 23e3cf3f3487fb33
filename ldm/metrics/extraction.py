"""What a network sees of many pictures, kept on a disk part by part: a walk that was stopped goes on where it was.

Pictures are read, decoded and resized by several threads while the network looks at those before; memory holds a part
of features and some pictures, whatever their number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ldm import heap
from ldm.data.pictures import whole
from ldm.data.sources import Source
from ldm.files import hold
from ldm.metrics.perceptual.extractors import Extractor
from ldm.metrics.stored import PART, StoredFeatures, part_of, write_part

FEATURES, DIGESTS, TEXTS = "features", "digests", "texts"
TOGETHER = 32  # pictures that the network is given at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Extracted:
    """n pictures as a network saw them; row i of everything is the picture of that name."""

    place: str
    names: list[str]
    features: StoredFeatures
    images: str  # hex digits that name the pictures by what their files hold
    texts: StoredFeatures | None = None  # features of the captions

    def __len__(self) -> int:
        return len(self.features)

    def only(self, rows: np.ndarray) -> Extracted:
        """Return these rows of it, ascending."""
        return replace(
            self,
            names=[self.names[row] for row in rows],
            features=self.features[rows],
            texts=self.texts and self.texts[rows],
        )


def extract(source: Source, extractor: Extractor, root: Path, *, progress: bool = True) -> Extracted:
    """Return features of all pictures of a source, below `root` in a folder of their own, which is found again.

    Raises: ValueError, one sentence with its name, for a picture that cannot be read; what was done before is kept.
    """
    heap.keep_freed()
    folder = root / hashlib.blake2b(f"{source.key} {extractor.protocol}".encode(), digest_size=8).hexdigest()

    def one(content: bytes) -> tuple[np.ndarray, bytes]:
        return extractor.seen(whole(content)), hashlib.blake2b(content, digest_size=8).digest()

    with hold(folder / "lock", wait=False):
        done = _done(folder, FEATURES, len(source))
        bar = tqdm(total=len(source), initial=done, desc=Path(source.place).name, unit="picture", disable=not progress)
        with bar:
            pictures = source.each(one, done)
            while done < len(source):
                features, digests = [], []
                end = min(done + PART, len(source))
                while done + len(digests) < end:
                    some = islice(pictures, min(TOGETHER, end - done - len(digests)))
                    levels, named = zip(*some, strict=True)
                    features.append(extractor.look(np.stack(levels)))
                    digests += named
                    bar.update(len(levels))
                write_part(folder, DIGESTS, done // PART, np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 8))
                write_part(folder, FEATURES, done // PART, np.concatenate(features))
                done = end
    digests = [np.load(part_of(folder, DIGESTS, number)) for number in range(-(-done // PART))]
    images = hashlib.blake2b(np.concatenate(digests).tobytes(), digest_size=8).hexdigest()
    features = StoredFeatures(folder=folder, name=FEATURES, n=done, d=extractor.dimension)
    return Extracted(place=source.place, names=source.names, features=features, images=images)


def read_captions(
    extracted: Extracted, captions: list[str], extractor: Extractor, tokens: Callable[[list[str]], np.ndarray]
) -> Extracted:
    """Return what a network saw of the pictures, with features of their captions.

    Raises: ValueError where there are not as many captions as pictures.
    """
    if extractor.text is None:
        raise ValueError(f"{extractor.name} reads no captions; take --network clip-l14.")
    if len(captions) != len(extracted):
        raise ValueError(
            f"{extracted.place}: {len(captions)} captions for {len(extracted)} pictures; a CLIP score needs one a "
            "picture: in metadata.jsonl, in .txt files beside them, or in a column named text."
        )
    folder, digest = extracted.features.folder, hashlib.blake2b(repr(captions).encode(), digest_size=4).hexdigest()
    name = f"{TEXTS}-{digest}"
    for start in range(_done(folder, name, len(captions)), len(captions), PART):
        write_part(folder, name, start // PART, extractor.text(tokens(captions[start : start + PART])))
    texts = StoredFeatures(folder=folder, name=name, n=len(captions), d=extractor.dimension)
    return replace(extracted, texts=texts)


def _done(folder: Path, name: str, n: int) -> int:
    """Return how many rows a former walk has kept."""
    number = 0
    while number * PART < n and part_of(folder, name, number).is_file():
        number += 1
    return min(number * PART, n)
