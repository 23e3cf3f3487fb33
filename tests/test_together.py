"""Trainings side by side: each ends where it would have ended alone, and keeps what it would have kept."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ldm import profiles
from ldm.data.batches import batch_indices
from ldm.diffusion.losses import diffusion_loss
from ldm.diffusion.schedule import Schedule
from ldm.networks.initial import KeySource
from ldm.networks.layers import Conv, Downsample, gather_taps
from ldm.tasks.together import pending
from ldm.training import loop, together
from ldm.training.flat import Flat
from ldm.training.gradients import half
from ldm.training.guards import Diverged
from tests.toy_training import CONFIG, PARAMS, STRUCTURE, loss

FLAT = Flat.of(PARAMS)
SEEDS, SCENES = (0, 1, 5), 40
LENGTHS = (160, 320)


@pytest.fixture(scope="module")
def source() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    data = {"latents": rng.standard_normal((SCENES, 2, 2, 4)), "context": rng.standard_normal((SCENES, 2, 64))}
    return {name: x.astype(np.float32) for name, x in data.items()}


def rows(seed: int, step: int) -> np.ndarray:
    return batch_indices(seed, step, CONFIG.batch, SCENES)


def gather(source, chosen):
    return {name: x[chosen] for name, x in source.items()}


def side_by_side(source, config=CONFIG, seeds=SEEDS, asked=loss, **more):
    kept, logs = {}, []
    lap = together.lap_of(asked, config, gather, FLAT)
    states = together.fit_together(
        lap,
        together.begin(config, [PARAMS] * len(seeds), FLAT),
        source,
        rows,
        config,
        seeds,
        FLAT,
        names=[f"seed {seed}" for seed in seeds],
        lengths=LENGTHS,
        on_length=lambda images, which, average: kept.update({(images, seeds[which]): jax.device_get(average)}),
        on_log=logs.append,
        **more,
    )
    return states, kept, logs


@pytest.mark.slow
def test_a_training_among_others_ends_where_it_ends_alone(source, monkeypatch):
    monkeypatch.setattr(together, "LAP", 7)  # which no length is a multiple of
    states, kept, logs = side_by_side(source)
    assert [record["images_seen"] for record in logs] == [112, 160, 272, 320] and int(states.step[0]) == 20
    for place, seed in enumerate(SEEDS):
        alone = {}
        config = replace(CONFIG, seed=seed)
        state = loop.fit(
            loss,
            PARAMS,
            lambda step, seed=seed: gather(source, rows(seed, step)),
            config,
            lengths=LENGTHS,
            on_length=lambda images, ema, alone=alone: alone.update({images: jax.device_get(ema)}),
        )
        for images in LENGTHS:
            for name, expected in alone[images].items():
                np.testing.assert_allclose(kept[images, seed][name], expected, rtol=1e-4, atol=1e-6)
        ends = FLAT.split(states.params[place])
        for name, expected in state.params.items():
            np.testing.assert_allclose(ends[name], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(kept[320, 0]["conv_in.weight"] - kept[320, 1]["conv_in.weight"]).max() > 1e-3, "seeds are one"


def test_in_bfloat16_the_loss_sees_what_it_sees_alone_and_the_state_stays_float32(source):
    """Which weights are rounded is known by their names, which a vector has none of."""
    config, seen = replace(CONFIG, bf16=True), {}

    def watching(params, batch, key):
        seen.update({name: p.dtype for name, p in params.items()})
        return loss(params, batch, key)

    lap = together.lap_of(watching, config, gather, FLAT)
    states = jax.eval_shape(lambda: together.begin(config, [PARAMS] * 3, FLAT))
    given = (np.zeros((together.LAP, 3, CONFIG.batch), np.int32), {}, np.arange(3, dtype=np.uint32), np.int32(1))
    ends, _ = jax.eval_shape(lap, states, source, *given)
    assert seen == {name: p.dtype for name, p in half(PARAMS).items()} and len(set(seen.values())) == 2
    assert ends == states and ends.params.dtype == jnp.float32


def test_parameters_lie_end_to_end_in_a_vector_and_come_back():
    vector = FLAT.join(PARAMS)
    assert Flat.of(FLAT.split(vector)) == FLAT
    for back in (FLAT.split(jnp.asarray(vector)), FLAT.split(vector)):
        assert back.keys() == PARAMS.keys()
        assert all(np.array_equal(back[name], PARAMS[name]) for name in PARAMS)


def test_a_loss_that_is_not_finite_names_the_training_and_the_step(source):
    broken = {**source, "latents": source["latents"].copy()}
    broken["latents"][rows(5, 0)[3]] = np.nan
    first = next(step for step in range(20) if rows(5, 0)[3] in rows(5, step))
    with pytest.raises(Diverged, match=rf"seed \d: the loss is nan at step {first + 1}"):
        side_by_side(broken)


@pytest.mark.parametrize("stride, side", [(1, 8), (2, 8), (1, 3), (2, 4)])
def test_a_convolution_as_a_product_over_gathered_taps_is_the_convolution(stride, side):
    layer = Conv(5, 7, stride=stride, keys=KeySource(jax.random.key(0)))
    x = jax.random.normal(jax.random.key(1), (2, side, side, 5))
    expected = layer(x)
    np.testing.assert_allclose(gather_taps(layer)(x), expected, rtol=1e-5, atol=1e-5)


def test_every_convolution_of_a_module_is_reached():
    assert gather_taps(Downsample(8, keys=KeySource(jax.random.key(0)))).conv.gathered


@pytest.mark.slow
def test_of_several_predictions_a_batch_says_which_is_asked(source):
    """So both settings of a family train as one program."""
    null = np.zeros((2, 64), np.float32)
    batch = {name: jnp.asarray(x[:8]) for name, x in source.items()}
    both = diffusion_loss(STRUCTURE, Schedule.sd(), ("eps", "v"), null=null)
    for place, predict in enumerate(("eps", "v")):
        alone = diffusion_loss(STRUCTURE, Schedule.sd(), predict, null=null)
        expected, _ = alone(PARAMS, batch, jax.random.key(3))
        found, _ = both(PARAMS, batch | {"predicts": jnp.int32(place)}, jax.random.key(3))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_only_what_is_missing_is_trained_and_profiles_differ_in_their_setting_alone():
    data = SimpleNamespace(text=SimpleNamespace(null=lambda n: np.zeros((n, 24, 128), np.float32)))
    settings = [profiles.get("laptop-eps"), profiles.get("laptop-v")]
    there = {("laptop-eps", 0), ("laptop-v", 2)}
    planned = pending(settings, 8, (0, 2), data=data, made=lambda one, c, images, seed: (one.name, seed) in there)
    assert [(run.profile.name, run.seed) for run in planned.runs] == [("laptop-v", 0), ("laptop-eps", 2)]
    assert planned.predicts == ("v", "eps") and list(planned.more["predicts"]) == [0, 1]
    assert planned.config.images == 640_000
    assert pending(settings, 8, (0,), data=data, made=lambda *_: True) is None
    with pytest.raises(ValueError, match="profiles = laptop-eps, gpu-eps: expected one, or several that differ"):
        pending([profiles.get("laptop-eps"), profiles.get("gpu-eps")], 8, (0,), data=data)
