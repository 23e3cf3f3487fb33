"""The commands that judge pictures: what they print and write, and what they refuse before any work."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ldm import metrics
from ldm.__main__ import call
from ldm.metrics import matching
from ldm.metrics.perceptual import extractors
from tests.scored import array, toy, write


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    return [write(root / name, n, seed, shift=shift) for name, n, seed, shift in
            (("a", 40, 0, 20), ("b", 40, 0, 40), ("real", 50, 9, 0))]  # fmt: skip


def test_the_commands_print_a_table_and_write_json_and_csv(tmp_path, monkeypatch, capsys, folders):
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: toy())
    a, b, real = map(str, folders)
    out = [str(tmp_path / name) for name in ("scores.json", "scores.csv")]
    work = ["--work", str(tmp_path / "work")]
    call(["score", a, real, "--metrics", "fid,kid,is", "--splits", "2", "--out", *out, *work])
    said = capsys.readouterr().out
    assert "KID, Toy (x1000)" in said and "95 % interval" in said and "reference" in said
    written, table = json.loads((tmp_path / "scores.json").read_text()), pd.read_csv(tmp_path / "scores.csv")
    assert [one["metric"] for one in written["scores"]] == table.metric.tolist() == ["fid", "kid", "is"]
    assert written["network"] == "toy" and written["reference"]["n"] == 50
    assert (table.lo < table.value).all() and (table.value < table.hi).all()
    assert set(table.n) == {40} and list(table["card n"]) == [40, 0, 40]  # kid's card holds for any n

    call(["compare", a, b, "--reference", real, "--metrics", "kid", "--out", out[0], *work])
    said = capsys.readouterr().out
    assert "40 pairs by names" in said and "pairs to tell" in said
    gap = json.loads((tmp_path / "scores.json").read_text())["scores"][0]
    assert gap["value"] == pytest.approx(gap["a"] - gap["b"]) and gap["better"] == "A"


def test_a_clip_score_reads_the_captions_beside_the_pictures(tmp_path, monkeypatch, capsys, folders):
    tokens = lambda captions: np.array([[int(caption.split()[1])] for caption in captions])
    text = lambda ids: np.eye(8, dtype=np.float32)[ids[:, 0]]
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: toy(text=text))
    monkeypatch.setattr("ldm.commands.score._tokens", lambda *_: tokens)
    call(["score", str(folders[0]), "--metrics", "clip-score", "--work", str(tmp_path), "--out", f"{tmp_path}/o.json"])
    found = json.loads((tmp_path / "o.json").read_text())["scores"][0]
    texts = np.eye(8)[np.arange(40) % 7]
    assert found["value"] == pytest.approx(metrics.clip_score(array(folders[0]), texts).value, rel=1e-5)
    call(["compare", *map(str, folders[:2]), "--metrics", "clip-score", "--by", "captions", "--work", str(tmp_path)])
    assert "40 pairs by captions" in capsys.readouterr().out
    (folders[1] / "001.txt").unlink()
    with pytest.raises(ValueError, match="0 captions for 40 pictures; a CLIP score needs one a picture"):
        call(["score", str(folders[1]), "--metrics", "clip-score", "--work", str(tmp_path)])


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("nowhere --metrics is", "nowhere: no such file or folder"),
        ("nowhere real --metrics fidd", "metric 'fidd' is not known"),
        ("nowhere", "fid compares with real pictures"),
        ("nowhere real --network inception", "needs weights: give the published file as safetensors"),
        ("nowhere real --network vgg", "network = 'vgg': expected one of efficientnet"),
        ("nowhere real --resize magic", "resize = 'magic': expected one of clean-fid"),
        ("nowhere real --metrics clip-score", "needs a network that reads captions"),
        ("nowhere real --out scores.txt", "expected a name that ends in .json or .csv"),
    ],
)
def test_a_wrong_request_gets_one_sentence(words, sentence):
    with pytest.raises(ValueError) as refused:
        call(["score", *words.split()])
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words, sentence",
    [
        ("--metrics kid", "kid cannot be had of 1 picture, expected 2 or more"),
        ("--metrics fid,fd-inf", "fid cannot be had of 1 picture"),
        ("--metrics is --splits 30", "is cannot be had of 1 picture, expected 60 or more (two for each of --splits)"),
        ("--metrics recall --k 9", "recall cannot be had of 1 picture, expected 11 or more (more than --k)"),
    ],
)
def test_too_few_pictures_are_refused_before_one_is_looked_at(tmp_path, monkeypatch, folders, words, sentence):
    extractor = toy()
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: extractor)
    one = write(tmp_path / "one", 1, 0)
    with pytest.raises(ValueError) as refused:
        call(["score", str(one), str(folders[2]), *words.split(), "--work", str(tmp_path / "work")])
    assert sentence in str(refused.value) and not extractor.look.asked and not (tmp_path / "work").exists()


def test_shares_end_at_one_and_equal_sets_are_said_to_be_equal(tmp_path, monkeypatch, capsys, folders):
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: toy())
    monkeypatch.chdir(tmp_path)  # features are kept in the current folder
    a = str(folders[0])
    call(["score", a, a, "--metrics", "precision,coverage", "--out", "s.json"])
    scores = json.loads((tmp_path / "s.json").read_text())["scores"]
    assert all(one["value"] == 1 and one["hi"] == 1 for one in scores) and (tmp_path / "runs/scores").is_dir()
    assert "Pictures and reference are the same files" in capsys.readouterr().out
    call(["compare", a, a, "--reference", str(folders[2])])
    assert "no number: they are equal" in capsys.readouterr().out


def test_pictures_without_a_partner_are_counted(tmp_path, monkeypatch, capsys, folders):
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: toy())
    few = write(tmp_path / "few", 9, 3)
    call(["compare", str(folders[0]), str(few), "--reference", str(folders[2]), "--work", str(tmp_path / "work")])
    assert "9 pairs by names" in (said := capsys.readouterr().out)
    assert "left out as without a partner: 31 of A, 0 of B" in said
    with pytest.raises(ValueError, match="one has 'x/1', the other 'y/1'"):
        matching.match(["x/1.png"], ["y/1.png"], "names")


def test_nearness_is_the_mean_over_pictures_of_one_name_whatever_their_shapes(tmp_path, capsys, folders):
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(seed)
        for i in range(7):
            side = 16 if i < 4 else 20
            image = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / name / f"{i}.{'png' if name == 'a' else 'bmp'}")
    call(
        ["nearness", *(str(tmp_path / name) for name in "ab"), "--metrics", "psnr,ssim", "--out", f"{tmp_path}/o.json"]
    )
    images = [[np.asarray(Image.open(p))[None] for p in sorted((tmp_path / name).iterdir())] for name in "ab"]
    scores = json.loads((tmp_path / "o.json").read_text())["scores"]
    for one, measure in zip(scores, (metrics.psnr, metrics.ssim), strict=True):
        values = np.concatenate([measure(a, b) for a, b in zip(*images, strict=True)])
        assert one["value"] == pytest.approx(values.mean()) and one["n"] == 7
    assert "SSIM of the luma" in capsys.readouterr().out
    with pytest.raises(ValueError, match="000.png is 7 x 9 pixels in .* and 16 x 16"):
        Image.new("RGB", (16, 16)).save(tmp_path / "a/000.png")
        Image.new("RGB", (16, 16)).save(tmp_path / "a/001.png")
        call(["nearness", str(folders[0]), str(tmp_path / "a"), "--metrics", "psnr"])
    with pytest.raises(ValueError, match="lpips needs two files"):
        call(["nearness", "a", "b", "--metrics", "lpips"])


@pytest.mark.parametrize(
    "width, names, why",
    [(8, "kid", "a mean and a covariance alone"), (5, "fid", "of 5 features, and toy has 8"), (8, "fid", "")],
)
def test_statistics_that_scores_cannot_use_are_refused_before_any_picture_is_looked_at(
    tmp_path, monkeypatch, folders, width, names, why
):
    looked, place = [], tmp_path / "theirs.npz"
    np.savez(place, mu=np.zeros(width), sigma=np.eye(width))
    monkeypatch.setattr(extractors, "load_extractor", lambda *_: toy())

    def extract(*given):
        looked.append(given)
        raise InterruptedError

    monkeypatch.setattr("ldm.commands.score._extract", extract)
    with pytest.raises(ValueError if why else InterruptedError, match=why or None):
        call(["score", str(folders[0]), str(place), "--metrics", names])
    assert bool(looked) == (not why)
