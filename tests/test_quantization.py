"""Weights in eight bits: how far they are from what they were, what they weigh, and that the sampler takes them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ldm.diffusion.sampler import sample
from ldm.diffusion.solvers import ddim
from ldm.networks import weights
from ldm.networks.initial import KeySource
from ldm.networks.layers import Conv, Linear
from ldm.networks.quantization import SCALE, dequantized, nbytes, quantized
from ldm.networks.structure import merge, split
from tests.test_guidance import CONTEXT, KEYS, NULL
from tests.toy import SD


class Small(nnx.Module):
    def __init__(self, keys: KeySource):
        self.first = Conv(3, 64, 1, keys=keys)
        self.second = Linear(64, 64, keys=keys)
        self.conv_out = Conv(64, 3, 1, keys=keys)

    def __call__(self, x, t, context):
        return self.conv_out(jnp.tanh(self.second(jnp.tanh(self.first(x))))) + context.mean()


STRUCTURE, PARAMS = split(Small(KeySource(jax.random.key(0))))
SMALL = quantized(PARAMS)


def test_a_weight_is_within_half_a_step_of_what_it_was_and_each_channel_has_its_own():
    again = dequantized(SMALL)
    assert again.keys() == PARAMS.keys()
    for name, array in PARAMS.items():
        if name + SCALE not in SMALL:
            np.testing.assert_array_equal(again[name], array)  # biases, and the last convolution
            continue
        assert SMALL[name].dtype == np.int8 and SMALL[name + SCALE].shape == array.shape[-1:]
        largest = np.abs(np.asarray(array)).max(tuple(range(array.ndim - 1)))
        assert (np.abs(again[name] - array) <= largest / 127 / 2 * (1 + 1e-5)).all()
        np.testing.assert_allclose(np.abs(again[name]).max(tuple(range(array.ndim - 1))), largest, rtol=1e-6)
    assert {name for name in SMALL if name.endswith(SCALE)} == {"first.weight:scale", "second.weight:scale"}


def test_what_weights_weigh_is_a_byte_each_and_a_scale_a_channel():
    kept = sum(PARAMS[name].size for name in PARAMS if name + SCALE not in SMALL)
    assert nbytes(SMALL) == 4 * kept + (3 * 64 + 64 * 64) + 4 * (64 + 64)
    assert nbytes(quantized(PARAMS, jnp.bfloat16)) == nbytes(SMALL) - 2 * (64 + 64)


def test_a_channel_of_zeros_stays_zero():
    nothing = {"a.weight": np.zeros((4, 3), np.float32)}
    np.testing.assert_array_equal(dequantized(quantized(nothing))["a.weight"], 0)


@pytest.mark.slow
def test_a_network_with_eight_bits_is_sampled_and_kept_in_a_file(tmp_path):
    draw = lambda params: sample(STRUCTURE, params, ddim(SD, 4), CONTEXT, NULL, 2.0, KEYS, predict="v", shape=(2, 2, 3))
    expected = np.asarray(draw(dequantized(SMALL)))
    path = weights.save(tmp_path / "small.safetensors", SMALL)
    np.testing.assert_allclose(draw(weights.load(path)), expected, atol=1e-5)
    error = np.abs(np.asarray(draw(PARAMS)) - expected).max()
    assert 0 < error < 0.05


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_layers_compute_in_the_scales_type(dtype):
    net = merge(STRUCTURE, quantized(PARAMS, dtype))
    assert net.second.weight[...].dtype == dtype and net.second.weight[...].shape == (64, 64)
