"""EfficientNet-Lite0: the network, its resizer, and its weights."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from ldm.metrics.perceptual import efficientnet

GOLDEN = Path(__file__).parent / "golden" / "efficientnet_lite0.safetensors"


@pytest.fixture(scope="module")
def network():
    return efficientnet.load_efficientnet()


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 48, 40, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return pictures()


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def test_features_and_logits_are_the_original_networks_to_a_thousandth(network):
    golden = load_file(GOLDEN)  # torch, single precision, unfolded (tools/convert_efficientnet.py)
    features = network(golden["images"])
    assert features.dtype == np.float32 and features.shape == (4, 1280)
    for mine, theirs in zip(features, golden["features"], strict=True):
        assert relative(mine, theirs) < 1e-3
    assert relative(network.logits(features), golden["logits"]) < 1e-3


@pytest.mark.parametrize("kernel, stride", [(3, 1), (3, 2), (5, 1), (5, 2)])
@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
def test_depthwise_sums_equal_a_grouped_convolution(kernel, stride, size):
    rng = np.random.default_rng(kernel)
    x = jnp.asarray(rng.normal(size=(2, *size, 6)), jnp.float32)
    w = jnp.asarray(rng.normal(size=(kernel, kernel, 1, 6)), jnp.float32)
    reference = jax.lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=6,
    )
    mine = efficientnet.depthwise(x, w, stride)
    np.testing.assert_allclose(np.asarray(mine), np.asarray(reference), atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (160, 160), (300, 200)])
def test_the_resizer_is_pils_bicubic_on_floats_channel_by_channel(size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    mine = np.asarray(efficientnet.resize(jnp.asarray(image[None]), 160))[0]
    for channel in range(3):
        grey = Image.fromarray(image[..., channel].astype(np.float32))
        theirs = np.asarray(grey.resize((160, 160), Image.Resampling.BICUBIC)).clip(0, 255)
        np.testing.assert_allclose(mine[..., channel], theirs, atol=2e-3)


@pytest.mark.slow
def test_an_images_features_do_not_depend_on_its_neighbours_or_the_batch(network, images):
    together = network(images)
    one_by_one = np.concatenate([network(image[None]) for image in images])
    np.testing.assert_array_equal(together, one_by_one)
    np.testing.assert_array_equal(network(images[::-1])[::-1], together)


def test_one_compiled_program_serves_every_number_of_images(network, images, compiles_once):
    compiles_once.reset(efficientnet._features)
    for n in (1, 3, 4, 6):
        assert network(images[:n]).shape == (n, 1280)
    compiles_once(efficientnet._features)


def test_the_resolution_is_named_in_the_protocol(network):
    assert "160 px" in network.protocol
    assert "128 px" in efficientnet.load_efficientnet(side=128).protocol


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((2, 3, 8, 8), np.uint8)]
)
@pytest.mark.usefixtures("any_types")
def test_anything_but_a_batch_of_uint8_nhwc_is_refused(network, bad):
    with pytest.raises(ValueError, match="uint8 images of shape"):
        network(bad)


def test_missing_or_truncated_weights_say_how_to_restore_them(tmp_path):
    with pytest.raises(ValueError, match="does not exist.*git checkout"):
        efficientnet.load_efficientnet(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(efficientnet.TRAINED.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="only a part of one.*git checkout"):
        efficientnet.load_efficientnet(tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match="side is 8"):
        efficientnet.load_efficientnet(side=8)


@pytest.mark.slow
def test_the_distance_is_nought_for_equal_pictures_and_grows_as_they_part(network, images):
    noise = np.random.default_rng(1).normal(size=images.shape)
    moved = [np.clip(images + sigma * noise, 0, 255).astype(np.uint8) for sigma in (0, 5, 40)]
    distances = [network.distance(images, other) for other in moved]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert (distances[1] > 0).all() and (distances[2] > distances[1]).all() and (distances[2] < 4).all()
    assert np.allclose(network.distance(moved[2], images), distances[2], rtol=1e-4)
    assert np.allclose(network.distance(images[4:], moved[2][4:]), distances[2][4:], rtol=1e-4)
    with pytest.raises(ValueError, match="give it pairs of one size"):
        network.distance(images, images[:1])
