"""LPIPS against the `lpips` package's answers (tests/golden/perceptual.py)."""

from __future__ import annotations

import numpy as np
import pytest

from ldm.metrics.perceptual import lpips
from ldm.networks import weights
from tests.perceptual import GOLDEN, write
from tests.random_weights import draw, shapes_of


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return weights.load(GOLDEN)["images"]


@pytest.fixture(scope="module", params=["alex", "vgg"])
def distance(request, tmp_path_factory):
    """With the heads under the names of lpips/weights/v0.1, and a classifier beside the trunk."""
    folder, net = tmp_path_factory.mktemp(request.param), request.param
    trunk = write(
        folder / "trunk.safetensors",
        lambda keys: lpips.Trunk(net, keys=keys),
        lambda name: name.replace("features_", "features."),
    )
    weights.save(trunk, weights.load(trunk) | {"classifier.1.bias": np.zeros(3, np.float32)})
    return lpips.load_lpips(trunk, weights.save(folder / "heads.safetensors", heads(net)), net=net)


def heads(net: str) -> dict[str, np.ndarray]:
    """Under the names of lpips/weights/v0.1; not negative, as the learned ones are."""
    shapes = shapes_of(lambda keys: lpips.Heads(net, keys=keys))
    drawn = draw({name.replace("lin.", "lin") + ".model.1.weight": shape for name, shape in shapes.items()})
    return {name: np.abs(tensor) for name, tensor in drawn.items()}


def test_distances_are_those_of_the_package_with_the_same_weights(distance, images):
    mine, theirs = distance(images[:-1], images[1:]), weights.load(GOLDEN)[f"lpips.{distance.net}"]
    assert mine.dtype == np.float32 and mine.shape == (2,)
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


@pytest.mark.slow
def test_it_is_a_distance_pair_by_pair(distance, images):
    a, b = images[[0, 1, 2, 0, 1]], images[[1, 2, 0, 0, 1]]  # 5 of them: the last batch is padded
    together = distance(a, b)
    np.testing.assert_allclose(together, [distance(x[None], y[None])[0] for x, y in zip(a, b, strict=True)], rtol=1e-5)
    np.testing.assert_allclose(together, distance(b, a), rtol=1e-5)
    assert (together[3:] < 1e-12).all() and (together[:3] > 1e-3).all()
    assert distance(a[:0], b[:0]).shape == (0,)


def test_the_protocol_names_the_trunk_and_both_digests(distance):
    assert distance.protocol.startswith(f"LPIPS 0.1 ({distance.net}), own resolution, float32, weights ")
    trunk, heads = (lpips.digest(params, 8) for params in distance.params)
    assert distance.protocol.endswith(f"weights {trunk}, heads {heads}") and len(trunk) == 16


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (np.zeros((1, 64, 64, 3)), np.zeros((1, 64, 64, 3), np.uint8), "LPIPS got float64.*give it uint8 images"),
        (np.zeros((1, 64, 64, 3), np.uint8), np.full((1, 64, 64, 3), 300), "LPIPS got int64.*give it uint8 images"),
        (np.zeros((1, 64, 64, 3), np.uint8), np.zeros((2, 64, 64, 3), np.uint8), "give it pairs of one size"),
        (np.zeros((1, 31, 64, 3), np.uint8), np.zeros((1, 31, 64, 3), np.uint8), "31 x 64 pixels.*at least 32"),
    ],
)
@pytest.mark.usefixtures("any_types")
def test_what_is_no_pair_of_uint8_pictures_is_refused(distance, a, b, sentence):
    with pytest.raises(ValueError, match=sentence):
        distance(a, b)


def drop(tensors):
    del tensors["lin4.model.1.weight"]


def misshape(tensors):
    tensors["lin1.model.1.weight"] = np.zeros((1, 128, 1, 1), np.float32)


def add(tensors):
    tensors["lin5.model.1.weight"] = np.zeros((1, 8, 1, 1), np.float32)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (drop, "lacks 1 of 5 tensors, the first is 'lin.4'"),
        (misshape, r"'lin.1' has shape \(1, 128, 1, 1\) where \(1, 192, 1, 1\) is expected"),
        (add, "holds 1 tensors too many, the first is 'lin.5'"),
    ],
)
def test_weights_of_another_network_are_refused_by_the_tensors_name(tmp_path, harm, sentence):
    trunk = write(
        tmp_path / "trunk.safetensors",
        lambda keys: lpips.Trunk("alex", keys=keys),
        lambda name: name.replace("features_", "features."),
    )
    harm(tensors := heads("alex"))
    with pytest.raises(ValueError, match=sentence):
        lpips.load_lpips(trunk, weights.save(tmp_path / "heads.safetensors", tensors))


@pytest.mark.usefixtures("any_types")
def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="net = 'squeeze': expected one of alex, vgg"):
        lpips.load_lpips(tmp_path / "trunk", tmp_path / "heads", net="squeeze")
