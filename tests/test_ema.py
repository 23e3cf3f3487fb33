"""Averages after the fact are those that would have been kept."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from ldm import profiles
from ldm.data.latents import LatentSet
from ldm.networks.initial import KeySource
from ldm.networks.structure import split
from ldm.tasks import pretrain
from ldm.training import ema
from ldm.training.loop import TrainConfig, fit
from tests.toy_training import Mixer

CONFIG = TrainConfig(images=16 * 240, batch=16, learning_rate=0.05, warmup_images=16)
PAIR = (CONFIG.ema, ema.SECOND)


def profile(tau: float, t: float, gamma: float) -> float:
    return (gamma + 1) * tau**gamma / t ** (gamma + 1) if tau <= t else 0.0


@pytest.mark.parametrize(
    ("t", "g", "s", "h"), [(1.0, 6.94, 1.0, 16.97), (0.4, 6.94, 1.0, 16.97), (1.0, 2.0, 0.7, 30.0)]
)
def test_products_of_profiles_are_their_integrals(t, g, s, h):
    integral, _ = quad(lambda tau: profile(tau, t, g) * profile(tau, s, h), 0, min(t, s))
    assert ema.products([t], [g], [s], [h]).item() == pytest.approx(integral, rel=1e-6)


def test_widths_are_the_papers_and_turn_back():
    assert ema.width(6.94) == pytest.approx(0.10, abs=1e-4) and ema.width(16.97) == pytest.approx(0.05, abs=1e-4)
    for sigma in (0.01, 0.05, 0.1, 0.2, 0.25):
        gamma = ema.exponent(sigma)
        assert ema.width(gamma) == pytest.approx(sigma, rel=1e-9)
        mean, square = (quad(lambda tau, k=k: tau**k * profile(tau, 1, gamma), 0, 1)[0] for k in (1, 2))  # noqa: B023
        assert (square - mean**2) ** 0.5 == pytest.approx(sigma, rel=1e-6)
    with pytest.raises(ValueError, match="sigma_rel = 0.4: expected 0.01 to 0.25"):
        ema.exponent(0.4)


def test_an_average_that_was_kept_is_its_own_snapshot():
    times = np.repeat([0.25, 0.5, 0.75, 1.0], 2)
    gammas = np.tile(PAIR, 4)
    for place in (5, 6, 7):
        expected = np.eye(8)[place]
        np.testing.assert_allclose(ema.coefficients(times, gammas, times[place], gammas[place]), expected, atol=1e-8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder of snapshots of two averages, end state without more averages, end state of a run that kept three)"""
    folder = tmp_path_factory.mktemp("snapshots")
    gammas = (ema.SECOND, ema.exponent(0.07))
    config = replace(CONFIG, averages=gammas)

    def loss(params, batch, key):  # weights that wander: the noise of the step pulls at them
        return (params["w"] * jax.random.normal(key, (5,))).sum() + 0.01 * jnp.square(params["w"]).sum(), {}

    batches = lambda step: {"x": np.zeros((16, 1), np.float32)}
    with jax.numpy_dtype_promotion("standard"):
        end = fit(
            loss,
            {"w": jnp.ones(5)},
            batches,
            config,
            snapshots=[CONFIG.images * k // 16 for k in range(1, 17)],
            on_snapshot=lambda images, all_of_them: ema.keep(folder, images, {g: all_of_them[g] for g in PAIR}),
        )
        plain = fit(loss, {"w": jnp.ones(5)}, batches, CONFIG)
    return folder, plain, end


def test_another_width_is_what_a_run_that_kept_it_has(run):
    folder, _, end = run
    wide, (narrow, between) = end.ema, end.averages
    apart = np.abs(narrow["w"] - wide["w"]).max()
    for sigma, kept, tolerance in (
        (ema.width(6.94), wide, 1e-4),
        (ema.width(16.97), narrow, 1e-4),
        (0.07, between, 0.01),
    ):
        images, params = ema.average(folder, sigma)
        assert images == CONFIG.images and params["w"].dtype == np.float32
        assert np.abs(params["w"] - kept["w"]).max() < tolerance * apart


def test_more_averages_change_nothing_else_to_the_bit(run):
    _, plain, end = run
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(end._replace(averages=())), strict=True):
        np.testing.assert_array_equal(a, b)
    assert "averages" not in plain.stored() and len(end.stored()["averages"]) == 2


def test_an_earlier_end_uses_what_was_there_by_then_and_others_are_refused(run, tmp_path):
    folder = run[0]
    images, params = ema.average(folder, ema.width(6.94), CONFIG.images // 2)
    there = ema.snapshot_path(folder, images, 6.94)
    np.testing.assert_allclose(params["w"], ema.weights.load(there)["w"], atol=1e-4)
    with pytest.raises(ValueError, match="images = 7: expected one of the snapshots' times, 240, 480"):
        ema.average(folder, 0.1, 7)
    with pytest.raises(ValueError, match="no snapshots; keep some with"):
        ema.average(tmp_path, 0.1)


def toy_pretraining(profile) -> dict:
    """What a pretraining of a tiny network on drawn latents takes, besides its length and where it goes."""
    draw = np.random.default_rng(0).standard_normal
    data = LatentSet(draw((64, 2, 2, 4), np.float32), draw((64, profile.tokens, profile.context), np.float32))
    small = lambda profile, c, seed, remat: split(Mixer(context=profile.context, keys=KeySource(jax.random.key(seed))))
    return dict(data=data, null=np.zeros(data.context[0].shape, np.float32), checkpoints=False, build=small)


@pytest.mark.slow
def test_a_pretraining_keeps_snapshots_and_a_model_is_made_of_them(tmp_path):
    profile = profiles.get("laptop-v")
    common = dict(config=CONFIG, lengths=(), root=tmp_path, **toy_pretraining(profile))
    with jax.numpy_dtype_promotion("standard"):
        end = pretrain.pretrain(profile, 8, snapshots=4, **common)
    at = {ema.weights.metadata(path)["images"] for path in pretrain.snapshots_of(profile, 8, root=tmp_path).iterdir()}
    assert at == {960, 1920, 2880, 3840}
    path = pretrain.averaged(profile, 8, 0.1, root=tmp_path)
    assert path.name == "average0.1-v-c8-3k-s0.safetensors"
    for name, array in ema.weights.load(path, half_to_float32=True).items():
        np.testing.assert_allclose(array, end.ema[name], atol=5e-3)  # in half precision, and 0.1 is nearly its width


@pytest.mark.slow
def test_a_pretraining_keeps_its_end_and_goes_by_one_seed(tmp_path):
    profile = profiles.get("laptop-v")
    common, short = toy_pretraining(profile), replace(CONFIG, images=1_000)
    with jax.numpy_dtype_promotion("standard"):
        one = pretrain.pretrain(profile, 8, config=short, seed=3, root=tmp_path, **common)
        two = pretrain.pretrain(profile, 8, config=replace(short, seed=3), seed=3, root=tmp_path, lengths=(), **common)
    jax.tree.map(np.testing.assert_array_equal, one.params, two.params)
    kept = [path.name for path in (tmp_path / profile.weights).glob("*.safetensors")]
    assert kept == ["unet-v-c8-1k-s3.safetensors"], "the end is kept, though it is no length of the profile"
    with pytest.raises(ValueError, match="images = 1500: expected a multiple of 1,000, .* take 2000"):
        pretrain.pretrain(profile, 8, config=replace(short, images=1_500), root=tmp_path, **common)
