"""Shards: written, found again by number, broken in every way; and a training on them is the training on the data."""

from __future__ import annotations

import io
import json
import tarfile
import time
from dataclasses import replace

import fsspec
import numpy as np
import pytest
from PIL import Image

from ldm.data import shard_writer
from ldm.data import shards as tars
from ldm.data.batches import batch_indices
from ldm.data.datasets import Folder
from ldm.data.feed import Ahead, Feed, open_feed
from ldm.data.latents import latent_set
from ldm.data.scenes.config import EASY
from ldm.data.scenes.dataset import Scenes
from ldm.data.shards import open_shards
from ldm.networks.tokenizer import Tokenizer

SIDE, SHAPE, N, LENGTH = 32, (8, 8, 3), 40, 16
DATA = Scenes(replace(EASY, size=SIDE), "train", N)


class Means:
    """In place of the autoencoder: the mean colour of each patch."""

    params = {"encoder.weight": np.ones(3, np.float32)}

    def encode(self, images):
        return images.reshape(-1, 8, 4, 8, 4, 3).mean((2, 4), dtype=np.float32) / 128 - 1


class Ids:
    """In place of the text tower: each word's number, four times over."""

    params, width = {"embedding": np.ones(3, np.float32)}, 4
    tokenizer = Tokenizer(words=tuple(sorted({w for c in DATA.captions(range(N)) for w in c.replace(",", "").split()})))

    def encode(self, captions):
        return np.repeat(self.tokenizer(captions)[..., None], 4, -1).astype(np.float32)


CODEC, TEXT = Means(), Ids()


def write(url, pictures: bool = False) -> str:
    made = shard_writer.pictures(DATA) if pictures else shard_writer.latents(DATA, CODEC, TEXT)
    return shard_writer.write(str(url), N, *made, length=LENGTH)


def feed(url, cache, **options) -> Feed:
    return Feed(open_shards(str(url), cache), CODEC, TEXT, SIDE, SHAPE, **options)


def tar(path, **members: bytes) -> None:
    """A shard; `a__jpg=` is the member a.jpg."""
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            header = tarfile.TarInfo(name.replace("__", "."))
            header.size = len(content)
            file.addfile(header, io.BytesIO(content))


def npy(array) -> bytes:
    with io.BytesIO() as file:
        np.save(file, array)
        return file.getvalue()


def png() -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (40, 32), "teal").save(file, "PNG")
        return file.getvalue()


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype == np.float32
        np.testing.assert_array_equal(a[name], b[name])


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """(shards of latents, the same latents in memory, a folder for indices)"""
    folder = tmp_path_factory.mktemp("latents")
    write(folder / "shards")
    return folder / "shards", latent_set(DATA, CODEC, TEXT, folder), folder


@pytest.mark.parametrize("threads", [0, 3])
def test_shards_of_a_data_set_give_its_batches_to_the_bit(latents, threads):
    folder, memory, cache = latents
    source = feed(folder, cache, threads=threads)
    for step in (0, 1, 2, 7, 8, 9, 3):  # on, ahead, and back; 12 a batch span epochs and shards
        same(source.batch(5, step, 12), memory.batch(5, step, 12))
    same(source.batch(6, 0, 12), memory.batch(6, 0, 12))


def test_hosts_read_their_own_rows_of_one_batch(latents, monkeypatch):
    folder, memory, cache = latents
    source, whole = feed(folder, cache, threads=0), memory.batch(1, 3, 16)
    asked, real = [], type(source.shards).read
    monkeypatch.setattr(
        type(source.shards),
        "read",
        lambda self, rows: (asked.extend(rows) if self is source.shards else None) or real(self, rows),
    )
    for rows in (np.arange(8), np.arange(8, 16), np.array([1, 5, 9])):
        asked.clear()
        same(source.batch(1, 3, 16, rows), {name: x[rows] for name, x in whole.items()})
        assert len(asked) == len(rows)


@pytest.mark.parametrize("pictures", [False, True])
def test_an_object_store_is_a_folder_like_another(tmp_path, pictures):
    """fsspec's memory stands for one: pictures come back decoded, and everything as from the disk."""
    write("memory://bucket/shards", pictures)
    write(tmp_path / "shards", pictures)
    store = fsspec.filesystem("memory")
    try:
        there, here = (feed(url, tmp_path / "cache") for url in ("memory://bucket/shards", tmp_path / "shards"))
        assert there.shards.key == here.shards.key and there.shards.encoded is not pictures and len(there.shards) == N
        same(there.batch(0, 2, 8), here.batch(0, 2, 8))
        assert here.shards.name(3).endswith(f"shards/000000.tar: 000000003.{'png' if pictures else 'npy'}")
        if pictures:
            rows = batch_indices(0, 2, 8, N)
            expected = {"latents": CODEC.encode(DATA.images(rows)), "context": TEXT.encode(DATA.captions(rows))}
            same(there.batch(0, 2, 8), expected)
    finally:
        store.rm("/bucket", recursive=True)


def test_writing_goes_on_where_it_stopped_and_gives_the_same_bytes(tmp_path):
    write(tmp_path / "a")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["000000.tar", "000001.tar", "000002.tar", "shards.json"]
    before = {name: (tmp_path / "a" / name).read_bytes() for name in names}
    (tmp_path / "a/000001.tar").unlink()
    kept = (tmp_path / "a/000000.tar").stat().st_mtime_ns
    write(tmp_path / "a")
    assert {name: (tmp_path / "a" / name).read_bytes() for name in names} == before
    assert (tmp_path / "a/000000.tar").stat().st_mtime_ns == kept
    with pytest.raises(ValueError, match="holds shards of other data"):
        write(tmp_path / "a", pictures=True)
    (tmp_path / "b").mkdir()
    tar(tmp_path / "b/x.tar", a__png=png(), a__txt=b"an apple")
    with pytest.raises(ValueError, match="that this command did not write; choose an empty folder"):
        write(tmp_path / "b")


def test_a_caption_that_is_refused_leaves_nothing_behind(tmp_path):
    (tmp_path / "mine").mkdir()
    names = [f"{i}.png" for i in range(LENGTH + 1)]  # the last one is in a shard of its own
    for name in names:
        (tmp_path / "mine" / name).write_bytes(png())

    def put(last: str) -> None:
        rows = [{"file_name": name, "text": "an apple"} for name in names[:-1]] + [
            {"file_name": names[-1], "text": last}
        ]
        (tmp_path / "mine/metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        data = Folder(tmp_path / "mine", SIDE)
        shard_writer.write(str(tmp_path / "out"), len(data), *shard_writer.latents(data, CODEC, TEXT), length=LENGTH)

    with pytest.raises(ValueError, match="Picture 17 of 17: The word 'zeppelin' of the caption 'a zeppelin'"):
        put("a zeppelin")
    assert not (tmp_path / "out").exists()
    put("an apple")
    assert len(open_shards(str(tmp_path / "out"), tmp_path / "cache")) == 17


def test_a_file_is_no_place_for_shards(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match="a.txt: is a file, not a folder"):
        write(tmp_path / "a.txt")


def test_headers_are_read_once_and_again_when_a_shard_has_changed(tmp_path, monkeypatch):
    tar(tmp_path / "x.tar", a__npy=npy(np.zeros(SHAPE)), a__txt=b"apple")
    looked, real = [], tars.samples
    monkeypatch.setattr(tars, "samples", lambda fs, path: looked.append(path) or real(fs, path))
    cache = tmp_path / "cache"
    for times in (1, 1):
        assert len(open_shards(str(tmp_path), cache)) == 1 and len(looked) == times
    tar(tmp_path / "x.tar", a__npy=npy(np.zeros(SHAPE)), a__txt=b"apple", b__npy=npy(np.ones(SHAPE)), b__txt=b"cookie")
    assert len(open_shards(str(tmp_path), cache)) == 2 and len(looked) == 2
    for damaged in cache.iterdir():
        damaged.write_bytes(damaged.read_bytes()[:100])
    assert (
        len(open_shards(f"{tmp_path}/*.tar", cache)) == len(open_shards(str(tmp_path), cache)) == 2 and len(looked) == 4
    )


def test_foreign_shards_may_hold_more_than_is_asked_for(tmp_path):
    """As img2dataset writes them: in folders, with JSON between, endings in capitals, no manifest."""
    tar(tmp_path / "x.tar", **{"d/a__json": b"{}", "d/a__JPG": png(), "d/a__txt": b"apple ", "d/a__cls": b"3"})
    batch = feed(tmp_path, tmp_path / "cache").batch(0, 0, 2)
    assert batch["latents"].shape == (2, *SHAPE) and batch["context"].shape == (2, 24, 4)
    np.testing.assert_array_equal(batch["context"][0], TEXT.encode(["apple"])[0])


GOOD = {"a__npy": npy(np.zeros(SHAPE)), "a__txt": b"apple"}
FAULTS = {
    "no caption": ({**GOOD, "b__npy": npy(np.zeros(SHAPE))}, r"sample 'b' has no caption \(.txt\), only .npy"),
    "no picture": ({"b__txt": b"apple"}, r"sample 'b' has neither .npy nor a picture .* only .txt"),
    "mixed": (
        {**GOOD, "b__png": png(), "b__txt": b"apple"},
        "sample 'b' holds a picture and .txt, but .*sample 'a' latents and .txt",
    ),
    "empty": ({}, "x.tar: no samples in it"),
    "shape": (
        {**GOOD, "a__npy": npy(np.zeros((4, 4, 3)))},
        r"x.tar: a.npy: float64 of shape \(4, 4, 3\), where .* shape \(8, 8, 3\)",
    ),
    "type": ({**GOOD, "a__npy": npy(np.zeros(SHAPE, int))}, "x.tar: a.npy: int64 of shape"),
    "no array": ({**GOOD, "a__npy": b"nothing"}, "x.tar: a.npy: not a readable .npy array"),
    "pickle": (
        {**GOOD, "a__npy": npy(np.array([None]))},
        "x.tar: a.npy: not a readable .npy array .*allow_pickle=False",
    ),
    "picture": ({"a__jpg": png()[:60], "a__txt": b"apple"}, "x.tar: a.jpg: not a readable picture"),
    "word": ({**GOOD, "a__txt": b"zeppelin"}, "x.tar: a.txt: The word 'zeppelin'"),
    "bytes": ({**GOOD, "a__txt": b"\xff\xfe"}, "x.tar: a.txt: .*can't decode"),
    "context": (
        {"a__npy": npy(np.zeros(SHAPE)), "a__context__npy": npy(np.zeros((3, 4)))},
        r"a.context.npy: float64 of shape \(3, 4\)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_shard_is_refused_in_one_sentence_with_its_name_and_the_samples(tmp_path, fault):
    members, sentence = FAULTS[fault]
    tar(tmp_path / "x.tar", **members)
    with pytest.raises(ValueError, match=sentence) as caught:
        open_feed(str(tmp_path), tmp_path / "cache", CODEC, TEXT, SIDE, SHAPE)
    assert "\n" not in str(caught.value)


def test_what_is_missing_or_of_others_is_told_before_anything_runs(tmp_path, latents):
    for url, sentence in (
        (tmp_path / "nowhere", "nowhere: no such folder"),
        (tmp_path, "no .tar file; give the folder"),
        ("moon://shards", "moon://shards: this place cannot be reached"),
    ):
        with pytest.raises(ValueError, match=sentence):
            open_shards(str(url), tmp_path / "cache")
    write(tmp_path / "a")
    (tmp_path / "a/000001.tar").rename(tmp_path / "kept.tar")
    with pytest.raises(ValueError, match="a/000001.tar is missing, with 0 more of 3 shards"):
        open_shards(str(tmp_path / "a"), tmp_path / "cache")
    (tmp_path / "a/000001.tar").write_bytes((tmp_path / "kept.tar").read_bytes()[:20_001])
    with pytest.raises(ValueError, match="a/000001.tar: not a whole tar file"):
        open_shards(str(tmp_path / "a"), tmp_path / "cache")
    tar(
        tmp_path / "a/000001.tar", a__npy=npy(np.zeros(SHAPE)), a__context__npy=b""
    )  # whole, but of another number of samples
    with pytest.raises(ValueError, match="the shards hold 25 samples, where 40 were written"):
        open_shards(str(tmp_path / "a"), tmp_path / "cache")
    manifest = json.loads((latents[0] / "shards.json").read_text())
    assert manifest["samples"] == N
    other = Means()
    other.params = {"encoder.weight": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match="made with the autoencoder weights .* not with this profile's"):
        Feed(open_shards(str(latents[0]), tmp_path / "cache"), other, TEXT, SIDE, SHAPE)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_shard_that_goes_away_while_it_is_read_is_named(tmp_path, threads):
    write(tmp_path / "a")
    source = feed(tmp_path / "a", tmp_path / "cache", threads=threads)
    (tmp_path / "a/000002.tar").unlink()
    with pytest.raises(OSError, match="000002.tar: this shard can no longer be read"):
        for step in range(4):
            source.batch(0, step, 16)


def test_steps_are_made_ahead_once_each_and_a_look_back_disturbs_nothing():
    made = []
    steps = Ahead(lambda step: made.append(step) or {"step": step}, threads=2, ahead=3)
    assert [steps(step)["step"] for step in (40, 41, 42)] == [40, 41, 42]  # a resumed run begins somewhere
    assert steps(41)["step"] == 41 and steps(43)["step"] == 43
    while not {44, 45, 46} <= set(made):
        time.sleep(0.001)
    assert [steps(step)["step"] for step in (0, 1)] == [0, 1]
    counts = {step: made.count(step) for step in made}
    assert counts.pop(41) == 2 and set(counts.values()) == {1} and 47 not in counts
