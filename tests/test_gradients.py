"""bfloat16 and micro-batches change a gradient by rounding only; blocks computed again do not change it."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm.networks.structure import abstract, merge
from ldm.networks.unet import UNet
from ldm.training.gradients import divided, gradient, half
from ldm.training.loop import TrainConfig, fit
from tests.toy_training import CONFIG, PARAMS, batches, line, loss

compiled = jax.jit(partial(gradient, loss), static_argnames=("seen", "micro_batches"))


@pytest.mark.slow
@settings(max_examples=12)
@given(step=st.integers(0, 10**6), micro_batches=st.sampled_from([2, 4, 16]))
def test_a_batch_in_micro_batches_has_the_whole_batchs_loss_and_gradient(step, micro_batches):
    key = jax.random.key(step)
    (whole, _), expected = compiled(PARAMS, batches(step), key)
    (value, logs), found = compiled(PARAMS, batches(step), key, micro_batches=micro_batches)
    assert float(value) == pytest.approx(float(whole), rel=1e-5) and set(logs) == {"error"}
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-5 * float(jnp.abs(array).max()) + 1e-7)


def test_a_part_holds_every_nth_row_and_the_numbers():
    pieces = divided({"x": np.arange(6), "steps": np.asarray(3)}, 2)
    assert pieces["x"].tolist() == [[0, 2, 4], [1, 3, 5]] and pieces["steps"].tolist() == [3, 3]


def test_a_loss_that_draws_by_no_image_is_refused_in_parts():
    with pytest.raises(ValueError, match="key"):
        gradient(line, {"w": jnp.zeros(4)}, batches(0), jax.random.key(0), micro_batches=2)
    with pytest.raises(ValueError, match="accumulate = 3: expected a divisor of batch = 64"):
        TrainConfig(images=1, accumulate=3)


@pytest.mark.slow
def test_in_bfloat16_the_gradient_is_float32_and_near():
    rounded = half(PARAMS)
    assert {n for n, p in rounded.items() if p.dtype == jnp.float32} == {
        "norm.weight",
        "norm.bias",
        "conv_out.weight",
        "conv_out.bias",
    }
    (exact, _), expected = compiled(PARAMS, batches(0), jax.random.key(0))
    (value, _), found = compiled(PARAMS, batches(0), jax.random.key(0), seen=half)
    assert value.dtype == jnp.float32 and 0 < abs(float(value) - float(exact)) < 0.01 * float(exact)
    for name, array in expected.items():
        assert found[name].dtype == jnp.float32
        assert float(jnp.linalg.norm(found[name] - array)) < 0.03 * float(jnp.linalg.norm(array)), name


@pytest.mark.slow
def test_in_bfloat16_the_weights_stay_float32_and_it_learns_alike():
    ends = []
    for bf16 in (False, True):
        losses = []
        config = TrainConfig(**(vars(CONFIG) | {"bf16": bf16, "accumulate": 2 if bf16 else 1}))
        state = fit(loss, PARAMS, batches, config, log_steps=1, on_log=lambda r, to=losses: to.append(r["loss"]))
        assert all(p.dtype == jnp.float32 for p in jax.tree.leaves((state.params, state.ema, state.opt[1][0].mu)))
        ends.append(np.array(losses))
    np.testing.assert_allclose(ends[1], ends[0], rtol=0.02)


def program(remat: bool):
    """The UNet's forward pass as JAX wrote it down; nothing is compiled."""
    structure, params = abstract(lambda keys: UNet(8, 16, remat=remat, keys=keys))
    given = np.zeros((1, 8, 8, 4), np.float32), np.zeros(1, np.int32), np.zeros((1, 3, 16), np.float32)
    return jax.make_jaxpr(lambda p, *args: merge(structure, p)(*args))(params, *given)


def test_the_unet_can_compute_each_block_again_on_the_way_back():
    names = [str(equation.primitive) for equation in program(True).eqns]
    assert sum(name in ("checkpoint", "remat", "remat2") for name in names) == 22 + 16  # residual blocks, transformers
