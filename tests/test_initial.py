"""Initial weights are jax.random's, to the bit, though they are cut from longer draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm.networks.initial import SHORTEST, KeySource, normal, torch_default


@pytest.mark.parametrize(
    "shape",
    [
        (),
        (3, 3, 8, 16),
        *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((1,), (128, 40), (SHORTEST,), (SHORTEST + 1,))),
        (5, 7, 1001),
    ],
)
def test_eager_and_traced_draws_are_jaxs_own(shape):
    key = jax.random.key(7)
    expected = jax.random.uniform(key, shape, jnp.float32, -0.5, 0.5)
    np.testing.assert_array_equal(torch_default(key, shape, 4), expected)
    np.testing.assert_array_equal(jax.jit(lambda key: torch_default(key, shape, 4))(key), expected)
    np.testing.assert_array_equal(normal(key, shape, 0.02), 0.02 * jax.random.normal(key, shape))


def test_each_call_of_a_source_is_another_key_and_the_order_alone_decides_which():
    first, again = KeySource(jax.random.key(1)), KeySource(jax.random.key(1))
    keys = [jax.random.key_data(first()).tolist() for _ in range(4)]
    assert len({str(key) for key in keys}) == 4
    assert keys == [jax.random.key_data(again()).tolist() for _ in range(4)]
