"""Safetensors files: whole round trips, and one sentence for each way to be wrong."""

from __future__ import annotations

import errno
import json
import pickle
import struct
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ldm import files
from ldm.networks import weights

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a.weight": np.ones((4,), np.float32)}


def shapes(tensors):
    return {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in tensors.items()}


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8),
        hnp.arrays(
            st.sampled_from([np.float32, np.float16, np.int32, np.uint8, np.bool_]),
            hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_arrays_come_back_as_they_were(tmp_path, tensors):
    path = weights.save(tmp_path / "x.safetensors", tensors)
    back = weights.load(path, tensors)
    assert list(back) == sorted(tensors)
    for name, array in tensors.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes() and back[name].flags.writeable


def test_the_file_is_an_ordinary_safetensors_file(tmp_path):
    path = weights.save(tmp_path / "x.safetensors", TENSORS, {"c": 8})
    reference = safetensors.numpy.load_file(path)
    assert all((reference[name] == array).all() for name, array in TENSORS.items())
    foreign = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file(TENSORS, foreign, {"format": "pt"})
    assert (weights.load(foreign)["b"] == TENSORS["b"]).all()
    assert weights.metadata(foreign) == {"format": "pt"}


def test_jax_arrays_transposed_arrays_and_bfloat16_are_kept(tmp_path):
    tensors = {
        "x": jnp.arange(3, dtype=jnp.bfloat16),
        "t": TENSORS["b"].T,
        "scalar": jnp.float32(2.5),
    }
    back = weights.load(weights.save(tmp_path / "x.safetensors", tensors), tensors)
    assert back["x"].dtype == ml_dtypes.bfloat16 and back["scalar"].shape == ()
    assert all((back[name] == np.asarray(array)).all() for name, array in tensors.items())


def test_the_description_is_any_json_and_equal_content_gives_equal_bytes(tmp_path):
    about = {"c": 8, "name": "8", "words": ["an", "apple"], "loss": 0.25, "none": None}
    one = weights.save(tmp_path / "1", TENSORS, about)
    other = weights.save(tmp_path / "2", dict(reversed(TENSORS.items())), dict(reversed(about.items())))
    assert weights.metadata(one) == about
    assert one.read_bytes() == other.read_bytes()
    assert weights.metadata(weights.save(tmp_path / "3", TENSORS)) == {}


def test_weights_in_half_precision_are_the_same_file_from_the_host_and_from_a_device(tmp_path):
    rng = np.random.default_rng(0)
    x = (rng.uniform(-6, 6, 4096) * 10 ** rng.uniform(-9, 4, 4096)).astype(
        np.float32
    )  # some below 6e-5, with fewer digits
    by_hand = weights.save(tmp_path / "0", {"w": np.asarray(x, np.float16)}, {"c": 8}).read_bytes()
    for array in (x, jnp.asarray(x)):
        assert weights.save_half(tmp_path / "1", {"w": array}, {"c": 8}).read_bytes() == by_hand


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_widened_on_request_only(tmp_path, half):
    stored = {"w": np.array([0.1, 65504.0, -0.0], half), "n": np.array([3], np.int32)}
    path = weights.save(tmp_path / "x.safetensors", stored)
    wanted = {"w": np.zeros(3, np.float32), "n": stored["n"]}
    wide = weights.load(path, wanted, half_to_float32=True)
    assert wide["w"].dtype == np.float32 and (wide["w"] == stored["w"].astype(np.float32)).all()
    with pytest.raises(ValueError, match="'w' is .*float16 where float32 is expected.*half_to"):
        weights.load(path, wanted)


@pytest.mark.parametrize(
    "expected, words",
    [
        ({"a.weight": (4,)}, "1 tensors too many, the first is 'b'"),
        ({"a.weight": (4,), "b": (2, 3), "c": (1,)}, "lacks 1 of 3 tensors, the first is 'c'"),
        ({"a.weight": (4,), "B": (2, 3)}, "the first is 'B'; instead there is 'b'"),
        ({"a.weight": (4,), "b": (3, 2)}, r"'b' has shape \(2, 3\) where \(3, 2\) is expected"),
    ],
)
def test_another_networks_weights_are_refused_by_the_tensors_name(tmp_path, expected, words):
    path = weights.save(tmp_path / "x.safetensors", TENSORS)
    wanted = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in expected.items()}
    with pytest.raises(ValueError, match=words) as caught:
        weights.load(path, wanted)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def write(path, header: bytes, data: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS = {
    "no JSON": b"{]",
    "no mapping": b"[1]",
    "an entry that is no mapping": json.dumps({"a": 3}).encode(),
    "an unknown dtype": json.dumps({"a": ENTRY | {"dtype": "F31"}}).encode(),
    "a shape that is not its size": json.dumps({"a": ENTRY | {"shape": [3]}}).encode(),
    "offsets before the beginning": json.dumps({"a": ENTRY | {"data_offsets": [-4, 4]}}).encode(),
    "data that is not there": json.dumps({"a": ENTRY | {"data_offsets": [0, 800]}}).encode(),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=list(HEADERS))
def test_a_nonsense_header_is_refused(tmp_path, header):
    path = tmp_path / "x.safetensors"
    write(path, header, b"\0" * 8)
    with pytest.raises(ValueError, match="no safetensors file, or only a part of one") as caught:
        weights.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2", "F4"])
def test_a_dtype_of_few_bits_is_refused_by_its_name(tmp_path, kind):
    path, n = tmp_path / "x.safetensors", 16 if kind == "F4" else 8
    write(path, json.dumps({"a": ENTRY | {"dtype": kind, "shape": [n]}}).encode(), b"\0" * 8)
    with pytest.raises(ValueError, match=f"tensor 'a' is {kind}, .* expected at least float16 or bfloat16, convert"):
        weights.load(path, half_to_float32=True)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = weights.save(tmp_path / "x.safetensors", TENSORS, {"c": 8})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"copy it again\.$"):
            weights.load(path)
        with pytest.raises(ValueError, match=r"copy it again\.$"):
            weights.metadata(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path, found in ((tmp_path / "none.safetensors", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(ValueError, match=f"{path} {found}"):
            weights.load(path)


class Bomb:
    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_is_refused_and_never_run(tmp_path, protocol):
    path = tmp_path / "x.safetensors"
    path.write_bytes(pickle.dumps({"weight": Bomb()}, protocol=protocol))
    with pytest.raises(ValueError, match="is a pickle"):
        weights.load(path)
    archive = tmp_path / "model.pt"  # what torch.save writes
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", path.read_bytes())
    with pytest.raises(ValueError, match="is a pickle"):
        weights.load(archive)
    assert not Bomb.exploded


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path):
    # 0x0280 bytes of header make the file begin with pickle's mark, 80 02
    path = tmp_path / "x.safetensors"
    write(path, json.dumps({"a": ENTRY}).encode().ljust(0x0280), struct.pack("<2f", 1, 2))
    assert weights.load(path)["a"].tolist() == [1, 2]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = weights.save(tmp_path / "x.safetensors", TENSORS)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="disk is full"):
        weights.save(path, {"b": np.zeros(3)})
    assert (weights.load(path)["b"] == TENSORS["b"]).all()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
