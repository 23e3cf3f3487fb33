"""The noise schedule has its published ends, and the conversions undo each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ldm.diffusion.schedule import Schedule, check_predict, preconditioning, target, to_eps, to_x0

SD = Schedule.sd()


def test_sd_schedule_has_the_published_ends():
    assert SD.length == 1000
    assert SD.alpha[-1] ** 2 == pytest.approx(0.00466, abs=5e-6)
    noise_to_signal = SD.sigma / SD.alpha
    assert noise_to_signal[0] == pytest.approx(0.0292, abs=5e-5)
    assert noise_to_signal[-1] == pytest.approx(14.61, abs=5e-3)


def test_schedule_preserves_variance_and_grows_noisier():
    np.testing.assert_allclose(SD.alpha**2 + SD.sigma**2, 1, atol=1e-12)
    assert (np.diff(SD.alpha) < 0).all() and (np.diff(SD.sigma) > 0).all()


def test_the_schedule_that_ends_in_pure_noise_does_and_begins_as_before():
    ours = SD.zero_terminal_snr()
    np.testing.assert_allclose(ours.alpha**2 + ours.sigma**2, 1, atol=1e-12)
    assert (ours.alpha[-1], ours.sigma[-1]) == (0, 1)
    assert ours.alpha[0] == pytest.approx(SD.alpha[0], rel=1e-12)


def test_eps_is_refused_where_it_says_nothing_of_x0():
    alpha = SD.zero_terminal_snr().alpha
    with pytest.raises(ValueError, match="predict = 'eps': expected v, x0 or flow on a schedule that ends in pure"):
        check_predict("eps", alpha)
    check_predict("v", alpha), check_predict("x0", alpha), check_predict("eps", SD.alpha)


def test_leading_times_beyond_the_schedule_are_refused():
    assert replace(SD, offset=0).times(1000, "leading")[0] == 999
    with pytest.raises(ValueError, match="steps = 500: the leading times with an offset of 5 end at 1003, beyond"):
        replace(SD, offset=5).times(500, "leading")


@pytest.mark.parametrize("n", [2, 3, 4, 8, 13, 50, 333, 999])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_times_fall_and_never_repeat(spacing, n):
    times = SD.times(n, spacing)
    assert len(times) == n and (np.diff(times) < 0).all() and times[-1] >= 0 and times[0] <= 999


@pytest.mark.parametrize(
    "n, spacing, what",
    [
        (0, "trailing", "steps = 0"),
        (-4, "trailing", "steps = -4"),
        (1001, "linspace", "from 1 to 1000"),
        (1000, "leading", "from 1 to 999"),
        (4.0, "trailing", "steps = 4.0"),
        ("8", "trailing", "steps = '8'"),
        (True, "trailing", "steps = True"),
        (8, "cosine", "trailing, leading, linspace, karras, exponential"),
    ],
)
@pytest.mark.usefixtures("any_types")
def test_impossible_grids_are_refused_in_one_sentence(n, spacing, what):
    with pytest.raises(ValueError, match=what):
        SD.times(n, spacing)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_grids_of_noise_levels_have_their_closed_form(n):
    """Karras et al. 2022, eq. 5, and its limit: a geometric sequence; both from the last noise level to the first."""
    noise = SD.sigma / SD.alpha
    alpha, sigma = SD.levels(SD.times(n, "exponential"))
    np.testing.assert_allclose(sigma / alpha, np.geomspace(noise[-1], noise[0], n), rtol=1e-10)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, rtol=1e-12)
    alpha, sigma = SD.levels(SD.times(n, "karras"))
    expected = np.linspace(noise[-1] ** (1 / 7), noise[0] ** (1 / 7), n) ** 7
    np.testing.assert_allclose(sigma / alpha, expected, rtol=1e-10)


def test_levels_at_training_times_are_the_schedules_and_between_them_their_logarithm_is_linear():
    at = np.array([999, 500, 0])
    for ours, theirs in zip(SD.levels(at), (SD.alpha[at], SD.sigma[at]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(SD.levels(at.astype(float)), (SD.alpha[at], SD.sigma[at]), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    alpha, sigma = SD.levels(np.array([10.5]))
    noise = SD.sigma / SD.alpha
    np.testing.assert_allclose((sigma / alpha) ** 2, noise[10] * noise[11], rtol=1e-12)


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace", "karras"])
def test_a_shift_spends_more_steps_on_noisy_times_and_keeps_the_last_time(spacing):
    plain, shifted = SD.times(10, spacing), replace(SD, shift=3.0).times(10, spacing)
    assert (np.diff(shifted) < 0).all() and (shifted >= plain).all() and shifted[-1] > plain[-1] - 1e-9
    u = (shifted + 1) / 1000
    np.testing.assert_allclose(u / (3 - 2 * u) * 1000 - 1, plain, atol=1e-9)  # shifted back
    if spacing != "leading":
        assert shifted[0] == pytest.approx(999)


@pytest.mark.usefixtures("any_types")
def test_grids_between_the_times_of_a_schedule_without_signal_at_its_end_are_refused():
    for schedule, spacing in ((SD, "karras"), (SD, "exponential"), (replace(SD, shift=2.0), "trailing")):
        dark = schedule.zero_terminal_snr()
        with pytest.raises(ValueError, match="expected a schedule that keeps some signal to its end"):
            dark.levels(dark.times(4, spacing))
    for shift in (0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="shift = .*: expected a positive number"):
            replace(SD, shift=shift)


@pytest.mark.usefixtures("any_types")
def test_levels_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="two vectors of one length"):
        Schedule(alpha=np.ones(3), sigma=np.ones(4))


def draw(t: int):
    x0, eps = np.random.default_rng(0).standard_normal((2, 3, 8, 8, 4))
    alpha, sigma = SD.alpha[t], SD.sigma[t]
    return x0, eps, alpha, sigma, alpha * x0 + sigma * eps


@pytest.mark.parametrize("t", [0, 500, 999])
@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_a_perfect_prediction_gives_back_x0_and_eps(predict, t):
    x0, eps, alpha, sigma, x = draw(t)
    output = target(predict, x0, eps, alpha, sigma)
    np.testing.assert_allclose(to_x0(predict, x, output, alpha, sigma), x0, atol=1e-11)
    np.testing.assert_allclose(to_eps(x, x0, alpha, sigma), eps, atol=1e-11)


@pytest.mark.parametrize("predict", ["eps", "v", "x0"])
def test_two_numbers_say_what_a_network_predicts(predict):
    x0, eps, alpha, sigma, x = draw(700)
    c_skip, c_out = preconditioning(predict, alpha, sigma)
    np.testing.assert_allclose(c_skip * x + c_out * target(predict, x0, eps, alpha, sigma), x0, atol=1e-11)


@pytest.mark.parametrize("convert", [target, to_x0])
@pytest.mark.usefixtures("any_types")
def test_an_unknown_prediction_is_refused_in_one_sentence(convert):
    with pytest.raises(ValueError, match="predict = 'noise': expected one of eps, v, x0"):
        convert("noise", 1.0, 1.0, 1.0, 0.0)
