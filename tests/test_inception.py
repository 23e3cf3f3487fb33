"""Inception-v3 against the originals' answers (tests/golden/perceptual.py), and what all networks share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ldm.metrics.perceptual import inception, network
from ldm.networks import weights
from ldm.networks.structure import abstract
from tests.perceptual import GOLDEN, relative, write


def build(keys):
    return inception.Inception(keys=keys)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return weights.load(GOLDEN)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("inception") / "inception.safetensors", build)
    counter = {"Conv2d_1a_3x3.bn.num_batches_tracked": np.array(7)}  # newer versions of torch add them
    return weights.save(path, weights.load(path) | counter)


@pytest.fixture(scope="module")
def loaded(path):
    return inception.load_inception(path)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", inception.VIEWS)
def test_pool3_is_that_of_the_packages_with_the_same_weights(loaded, golden, protocol):
    network = replace(loaded, view=inception.VIEWS[protocol])
    features = network(golden["images"])
    assert features.dtype == np.float32 and features.shape == (3, network.dimension)
    assert relative(features, golden[f"inception.{protocol}"]) < 1e-5
    if protocol == "torch-fidelity":
        assert relative(network.logits(features), golden["inception.logits"]) < 1e-5
    others = [golden[f"inception.{other}"] for other in inception.VIEWS if other != protocol]
    assert all(relative(features, other) > 0.01 for other in others)  # the protocols are told apart


def test_the_weights_are_those_of_the_published_file():
    """23,885,392 numbers in 472 tensors: 94 convolutions of five each, and the classes."""
    _, like = abstract(build)
    assert len(like) == 94 * 5 + 2 and sum(a.size for a in like.values()) == 23_885_392


@pytest.mark.slow
def test_features_depend_neither_on_the_neighbours_nor_on_the_padding_of_the_last_batch(loaded, golden):
    images = golden["images"][[0, 1, 2, 0, 1]]  # of the last batch of four, three are padding
    together = loaded(images)
    assert relative(loaded(images[4:]), together[4:]) < 1e-6
    assert relative(together[3:], together[:2]) < 1e-6
    assert loaded(images[:0]).shape == (0, 2048)


@pytest.mark.slow
def test_one_compiled_program_serves_every_number_of_images(loaded, golden, compiles_once):
    compiles_once.reset(network._features)
    for n in (1, 3):
        assert loaded(golden["images"][:n]).shape == (n, 2048)
    compiles_once(network._features)


def test_the_protocol_names_resizer_side_precision_and_weights(loaded):
    assert loaded.protocol.startswith(
        "Inception-v3 pool3 as in clean-fid, 2048-d, 299 px clean-fid bicubic, float32, weights "
    )
    changed = loaded.params | {"fc.bias": loaded.params["fc.bias"] + 1}
    assert replace(loaded, params=changed).protocol != loaded.protocol
    assert replace(loaded, view=inception.VIEWS["pytorch-fid"]).protocol != loaded.protocol


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((2, 3, 8, 8), np.uint8)]
)
@pytest.mark.usefixtures("any_types")
def test_anything_but_a_batch_of_uint8_nhwc_is_refused(loaded, bad):
    with pytest.raises(ValueError, match="Inception-v3.*uint8 images of shape"):
        loaded(bad)


@pytest.mark.usefixtures("any_types")
def test_missing_truncated_and_pickled_files_are_refused(tmp_path, path):
    with pytest.raises(ValueError, match="does not exist"):
        inception.load_inception(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match="is no safetensors file, or only a part of one"):
        inception.load_inception(tmp_path / "cut.safetensors")
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ValueError, match="is a pickle.*convert it to safetensors"):
        inception.load_inception(tmp_path / "w.pth")
    with pytest.raises(ValueError, match="protocol = 'tf': expected one of clean-fid, torch-fidelity, pytorch-fid"):
        inception.load_inception(path, protocol="tf")
