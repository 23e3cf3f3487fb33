"""Pictures of any origin are scored from folders, shards and Parquet, with the numbers that the functions give."""

from __future__ import annotations

import tarfile
from functools import partial

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import scipy.linalg

from ldm import metrics
from ldm.data.sources import open_source
from ldm.metrics import Gaussian, Sample, extraction, matching, reference, scoring, stored
from tests.scored import array, toy, write
from tests.synthetic import features


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    return [write(root / name, n, seed, shift=shift) for name, n, seed, shift in
            (("a", 40, 0, 20), ("b", 40, 0, 40), ("real", 50, 9, 0))]  # fmt: skip


def test_a_folder_shards_and_parquet_hold_the_same_pictures_and_captions(tmp_path, folders):
    folder = folders[0]
    with tarfile.open(tmp_path / "one.tar", "w") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, file.name)
    rows = [
        {"image": {"bytes": f.read_bytes(), "path": f.name}, "text": f.with_suffix(".txt").read_text()}
        for f in sorted(folder.glob("*.png"))
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "one.parquet", row_group_size=11)
    here = open_source(folder)
    for place in (tmp_path / "one.tar", tmp_path / "one.parquet"):
        other = open_source(place)
        assert len(other) == len(here) == 40 and other.captions() == here.captions()
        for first in (0, 13, 39):
            assert list(other.each(bytes, first)) == list(here.each(bytes, first)), (place, first)


@pytest.mark.parametrize("files, sentence", [([], "no picture"), (["a.png"], "a.png: not a readable picture")])
def test_what_holds_no_picture_is_refused_by_name(tmp_path, files, sentence):
    for file in files:
        (tmp_path / file).write_bytes(b"no picture")
    with pytest.raises(ValueError, match=sentence):
        extraction.extract(open_source(tmp_path), toy(), tmp_path / "work", progress=False)


def test_every_score_of_stored_features_is_that_of_the_array(tmp_path, monkeypatch, folders):
    monkeypatch.setattr(stored, "PART", 16)
    monkeypatch.setattr(extraction, "PART", 16)
    monkeypatch.setattr("ldm.metrics.features.BLOCK", 7)
    extractor = toy()
    x, y = (array(folder) for folder in (folders[0], folders[2]))
    one, real = (
        extraction.extract(open_source(f), extractor, tmp_path, progress=False) for f in (folders[0], folders[2])
    )
    np.testing.assert_allclose(one.features[:], x, rtol=1e-5, atol=1e-5)  # sums in another order
    settings = scoring.Settings(splits=2, k=3, directions=8)
    names = tuple(name for name in scoring.NAMES if name != "clip-score")
    found = scoring.scores(names, extractor, one, reference.Reference.of(real), settings)
    order = np.random.RandomState(2020).permutation(40)
    near = metrics.manifold(x, y, k=3)
    expected = {
        "fid": metrics.frechet(x, Gaussian.of(y)),
        "kid": metrics.kid(x, Sample(features=y)).times(1000),
        "cmmd": metrics.cmmd(x, Sample(features=y)),
        "mind": metrics.sliced_wasserstein(x, y, directions=8),
        "is": metrics.inception_score(x[:, :5], splits=2, order=order),
        **near._asdict(),
    }
    for score in found:
        if score.metric == "fd-inf":  # its parts are taken in another order
            assert score.found.value == pytest.approx(metrics.frechet_inf(x, Gaussian.of(y)).value, rel=1e-4)
            continue
        np.testing.assert_allclose(score.found[:3], expected[score.metric][:3], rtol=1e-5, err_msg=score.metric)
        for mine, theirs in zip(score.found.influences, expected[score.metric].influences, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max(), err_msg=score.metric)


def test_an_inception_score_is_torch_fidelitys_shuffled_parts():
    logits = np.random.default_rng(0).normal(0, 2, (43, 6))
    order = np.random.RandomState(2020).permutation(43)
    moved = metrics.inception_score(logits[order], splits=4)
    found = metrics.inception_score(logits, splits=4, order=order)
    assert found.value == pytest.approx(moved.value)
    np.testing.assert_allclose(found.influences[0][order], moved.influences[0])


def test_a_walk_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch, folders):
    monkeypatch.setattr(stored, "PART", 16)
    monkeypatch.setattr(extraction, "PART", 16)
    source, extractor = open_source(folders[0]), toy()
    whole = extraction.extract(source, extractor, tmp_path / "whole", progress=False)

    def stops(levels):
        if sum(extractor.look.asked) >= 40 + 32:
            raise KeyboardInterrupt
        return extractor.look(levels)

    with pytest.raises(KeyboardInterrupt):
        extraction.extract(source, toy(look=stops), tmp_path / "half", progress=False)
    rest = toy()
    again = extraction.extract(source, rest, tmp_path / "half", progress=False)
    assert sum(rest.look.asked) == 8  # two parts of 16 were kept
    np.testing.assert_array_equal(again.features[:], whole.features[:])
    assert again.images == whole.images


def test_the_frechet_distance_is_the_textbooks_formula_on_the_pictures_features(tmp_path, folders):
    x, y = (array(folder) for folder in (folders[0], folders[2]))
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root)
    one, real = (extraction.extract(open_source(f), toy(), tmp_path, progress=False) for f in (folders[0], folders[2]))
    found = scoring.scores(("fid",), toy(), one, reference.Reference.of(real), scoring.Settings())
    assert found[0].found.value == pytest.approx(expected, rel=1e-5)


def test_statistics_are_saved_and_read_and_refused_from_another_network(tmp_path, folders):
    one, real = (extraction.extract(open_source(f), toy(), tmp_path, progress=False) for f in (folders[0], folders[2]))
    whole = reference.Reference.of(real)
    whole.save(tmp_path / "real.safetensors", "toy")
    again = reference.read(tmp_path / "real.safetensors", "toy")
    names = ("fid", "kid", "precision")
    for a, b in zip(*(scoring.scores(names, toy(), one, r, scoring.Settings()) for r in (whole, again)), strict=True):
        assert a.found[:3] == pytest.approx(b.found[:3]) and a.card == b.card
    with pytest.raises(ValueError, match="was made by toy, and not by other.*not comparable"):
        reference.read(tmp_path / "real.safetensors", "other")
    np.savez(tmp_path / "theirs.npz", mu=whole.gaussian.mean, sigma=whole.gaussian.covariance)
    theirs = reference.read(tmp_path / "theirs.npz", "toy")
    assert scoring.scores(("fid",), toy(), one, theirs, scoring.Settings())[0].found.value == pytest.approx(
        scoring.scores(("fid",), toy(), one, whole, scoring.Settings())[0].found.value
    )
    with pytest.raises(ValueError, match="a mean and a covariance alone"):
        scoring.scores(("kid",), toy(), one, theirs, scoring.Settings())


def test_the_sliced_distance_of_one_dimension_is_scipys_and_of_a_shift_the_shifts_square():
    rng = np.random.default_rng(0)
    for n, m in ((30, 30), (20, 33)):
        a, b = rng.normal(size=n), rng.normal(0.5, 2, m)
        found = metrics.sliced_wasserstein(a[:, None], b[:, None], directions=1)
        ranks = (np.arange(660_000) + 0.5) / 660_000
        inverse = [np.sort(s)[np.floor(ranks * len(s)).astype(int)] for s in (a, b)]
        assert found.value == pytest.approx(np.square(inverse[0] - inverse[1]).mean(), rel=1e-6)
    x, shift = rng.normal(size=(50, 16)), rng.normal(size=16)
    assert metrics.sliced_wasserstein(x + shift, x, directions=4000).value == pytest.approx(shift @ shift, rel=0.1)


def test_the_influences_of_a_sliced_distance_are_its_change_as_an_image_gains_weight():
    x, y = features(12, 3, 0, shift=0.4), features(13, 3, 1)  # of as many, the potentials would not be unique
    found = metrics.sliced_wasserstein(x, y, directions=3)
    copies = 200  # an image that is there once more among 200 copies of all gains 1 / 2400
    many = np.repeat(x, copies, 0)
    more = lambda i: metrics.sliced_wasserstein(np.concatenate([many, x[i : i + 1]]), y, directions=3).value
    moved = [(more(i) - found.value) * 12 * copies for i in range(12)]
    np.testing.assert_allclose(found.influences[0], moved, atol=0.02 * np.abs(moved).max())


def test_pairs_go_by_names_or_captions_and_keep_the_order_of_both():
    which = matching.match(["x.png", "y.png", "z.png"], ["z.jpg", "w.jpg", "x.jpg"], "names")
    assert which.a.tolist() == [0, 2] and which.b.tolist() == [2, 0]
    twice = matching.match(["a  cat", "a dog", "a cat"], ["a cat", "a cat", "a dog"], "captions")
    assert twice.b.tolist() == [0, 2, 1]
    score = metrics.mean(np.array([5.0, 1.0]))  # of rows 0 and 2 of the other, ascending
    assert (which.aligned(score).influences[0] + score.value).tolist() == [1.0, 5.0]
    with pytest.raises(ValueError, match="0 of 1 and 1 pictures have equal names"):
        matching.match(["a.png"], ["b.png"], "names")


def test_the_pairs_that_it_takes_tell_the_difference_four_times_in_five():
    rng = np.random.default_rng(0)
    values = rng.normal(size=4000)
    values = 0.2 + (values - values.mean()) / values.std()
    n = matching.needed(metrics.mean(values))
    found = [metrics.mean(rng.normal(0.2, 1, n)).lo > 0 for _ in range(2000)]
    assert 0.75 < np.mean(found) < 0.85
    vague = metrics.Measured.by(0.01, values - values.mean(), rng.normal(size=50))
    assert matching.needed(vague) is None  # the reference alone leaves more doubt


@pytest.mark.parametrize(
    "name, n, references",
    [("kid", 2, 2), ("fid", 2, 2), ("fd-inf", 8, 2), ("is", 4, None), ("precision", 7, 6), ("density", 7, 6)],
)
def test_what_is_not_refused_can_be_had_and_one_picture_less_cannot(tmp_path, name, n, references):
    """The counts are those that the scores themselves ask for."""
    settings, extractor = scoring.Settings(splits=2), toy()
    sets = [write(tmp_path / f"{i}", count, i) for i, count in enumerate((n, references)) if count]
    extracted = [
        extraction.extract(open_source(str(one)), extractor, tmp_path / "work", progress=False) for one in sets
    ]
    real = reference.Reference.of(extracted[1]) if references else None
    scoring.check_counts((name,), n, references, settings)
    assert scoring.scores((name,), extractor, extracted[0], real, settings)
    with pytest.raises(ValueError, match=f"{name} cannot be had of {n - 1} picture"):
        scoring.check_counts((name,), n - 1, references, settings)
    if references:
        with pytest.raises(ValueError, match=f"{name} cannot be had of {references - 1} real picture"):
            scoring.check_counts((name,), n, references - 1, settings)


def test_arrays_of_real_features_serve_as_a_reference():
    x, y = features(30, 4, 0), features(40, 4, 1)
    for measure in (metrics.kid, metrics.cmmd, partial(metrics.mmd, bandwidth=2.0)):
        assert measure(x, y).value == measure(x, Sample(features=y)).value
    assert metrics.frechet(x, y).value == metrics.frechet(x, Gaussian.of(y)).value


def test_one_stored_block_is_read_at_a_time(tmp_path, monkeypatch):
    x = features(50, 4, 0).astype(np.float32)
    monkeypatch.setattr(stored, "PART", 16)
    for number in range(4):
        stored.write_part(tmp_path, "x", number, x[16 * number : 16 * number + 16])
    whole = stored.StoredFeatures(folder=tmp_path, name="x", n=50, d=4)
    np.testing.assert_array_equal(whole[10:40], x[10:40].astype(np.float64))
    rows = np.array([3, 17, 49])
    np.testing.assert_array_equal(whole[rows][:], x[rows])
    np.testing.assert_array_equal(whole[rows][np.array([2])][:], x[49:])
    np.testing.assert_array_equal(whole.through(lambda block: 2 * block)[48:], 2 * x[48:])
    x[1, 1] = np.nan
    with pytest.raises(ValueError, match="picture 18 has features that are not finite"):
        stored.write_part(tmp_path, "x", 1, x[:16])
