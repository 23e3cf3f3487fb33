"""Building blocks: masks, large numbers, and modules taken apart; references/ has each beside torch's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ldm.networks import layers
from ldm.networks.initial import KeySource
from ldm.networks.structure import merge, split


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def keys() -> KeySource:
    return KeySource(jax.random.key(0))


def close(ours, theirs, rel: float = 1e-5):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=rel * np.abs(theirs).max(), rtol=0)


def test_group_norm_of_a_constant_map_is_its_bias():
    norm = layers.GroupNorm(8, 4)
    close(norm(jnp.full((1, 2, 2, 8), 3.0)) + 1.0, np.ones((1, 2, 2, 8)), 1e-3)


def test_a_masked_position_is_never_seen():
    net = layers.Attention(16, 12, 2, keys=keys())
    x, context = jnp.asarray(draw(0, 2, 9, 16)), jnp.asarray(draw(1, 2, 5, 12))
    mask = (jnp.arange(5) < 3)[None, None, None]
    close(net(x, context, mask), net(x, context[:, :3]))


def test_large_scores_do_not_overflow():
    net = layers.Attention(16, 16, 2, keys=keys())
    x = 1e4 * jnp.asarray(draw(0, 1, 4, 16))
    assert np.isfinite(net(x, x)).all()


def test_a_module_split_and_merged_is_the_same_function():
    net = layers.SpatialTransformer(16, 12, 2, 8, keys=keys())
    structure, params = split(net)
    x, context = jnp.asarray(draw(0, 1, 2, 2, 16)), jnp.asarray(draw(1, 1, 3, 12))
    assert "transformer_blocks.0.attn2.to_out.0.weight" in params
    np.testing.assert_array_equal(merge(structure, params)(x, context), net(x, context))


def test_initial_weights_differ_between_layers_and_repeat_between_runs():
    first, second = (split(layers.Attention(16, 12, 2, keys=keys()))[1] for _ in range(2))
    assert not np.array_equal(first["to_k.weight"], first["to_v.weight"])
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
