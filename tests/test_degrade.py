"""The degradation, stage by stage against independent code or a closed form, and the ranges it is drawn from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

from ldm.data import blur, degrade
from ldm.data.blur import Bell, Sinc
from ldm.data.degrade import Stage

DRAWS = 3000


def picture(h: int = 24, w: int = 32, seed: int = 0) -> np.ndarray:
    """Smooth colours with edges, uint8 (h, w, 3)."""
    noise = np.random.default_rng(seed).normal(size=(h, w, 3))
    smooth = ndimage.gaussian_filter(noise, (3, 3, 0), mode="wrap")
    return np.clip(128 + 60 * np.sign(smooth) + 200 * smooth, 0, 255).astype(np.uint8)


def planes(**shape: int) -> np.ndarray:
    return picture(**shape).transpose(2, 0, 1).astype(np.float32) / 255


@pytest.fixture(scope="module")
def recipes() -> list[degrade.Recipe]:
    return [degrade.recipe(degrade.generator(0, i)) for i in range(DRAWS)]


@given(st.integers(0, 10_000))
def test_every_kernel_sums_to_one_and_is_the_same_upside_down(seed):
    drawn = blur.draw_blur(np.random.default_rng(seed), (0.2, 3.0))
    kernel = drawn.kernel()
    assert kernel.shape == (drawn.size,) * 2 and kernel.sum() == pytest.approx(1)
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-12)
    assert isinstance(drawn, Sinc) or kernel.min() >= 0


def test_a_round_gaussian_is_scipys():
    impulse = np.zeros((21, 21))
    impulse[10, 10] = 1
    assert np.allclose(
        Bell("gaussian round", 21, (1.7, 1.7)).kernel(), ndimage.gaussian_filter(impulse, 1.7, radius=10), atol=1e-6
    )


def test_a_stretched_gaussian_has_the_covariance_of_its_ellipse():
    angle, (a, b) = 0.6, (2.0, 0.9)
    kernel = Bell("gaussian stretched", 21, (a, b), angle).kernel()
    x, y = np.meshgrid(np.arange(21) - 10, np.arange(21) - 10)
    found = [[(kernel * p * q).sum() for p in (x, y)] for q in (x, y)]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert np.allclose(found, turn @ np.diag([a**2, b**2]) @ turn.T, atol=2e-3)


def test_bells_of_each_family_fall_as_their_formula_says():
    at = lambda kind, beta, pixel: (k := Bell(kind, 9, (2.0, 2.0), beta=beta).kernel())[4, 4 + pixel] / k[4, 4]
    assert at("plateau round", 1.7, 2) == pytest.approx(1 / 2)  # q = 1 there
    assert at("plateau round", 2.0, 4) == pytest.approx(1 / 17)  # q = 4
    assert at("generalised round", 0.5, 4) == pytest.approx(np.exp(-1))
    assert at("generalised round", 1.0, 3) == pytest.approx(at("gaussian round", 1.0, 3))


@pytest.mark.parametrize("cutoff", [np.pi / 3, np.pi / 2])
def test_a_sinc_keeps_what_is_below_its_cutoff(cutoff):
    response = np.abs(np.fft.fft2(Sinc(101, cutoff).kernel()))
    frequency = np.abs(2 * np.pi * np.fft.fftfreq(101))
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    assert np.abs(response[radius < 0.85 * cutoff] - 1).max() < 0.1
    assert response[(radius > 1.15 * cutoff) & (radius < np.pi)].max() < 0.1


def test_blurring_is_scipys_correlation_with_a_mirrored_border():
    kernel, x = Bell("gaussian stretched", 15, (2.5, 0.7), 0.4).kernel(), planes()
    reference = np.stack([ndimage.correlate(plane, kernel, mode="mirror") for plane in x])
    assert np.allclose(blur.blurred(x, kernel), reference, atol=1e-5)


def stage(noise: str, strength: float, grey: bool = False) -> Stage:
    return Stage(blur=None, scale=1, mode="area", noise=noise, strength=strength, grey=grey, quality=90)


@pytest.mark.parametrize("grey", [False, True])
def test_noise_has_the_variance_it_is_named_for(grey):
    light, side = 128 / 255, 200
    flat = np.full((3, side, side), light, np.float32)
    ramp = flat.copy()
    ramp[:, 0, :16] = np.arange(16) / 255 + 0.4  # 17 levels: 32 photons
    for noise, strength, x, variance in (
        ("gaussian", 12.0, flat, (12 / 255) ** 2),
        ("poisson", 0.5, flat, 0.0),  # one level, one photon: tested below
        ("poisson", 0.5, ramp, 0.5**2 * light / 32),
    ):
        moved = (degrade.noisy(x, stage(noise, strength, grey), np.random.default_rng(0)) - x)[:, 1:]
        if variance:
            assert moved.var() == pytest.approx(variance, rel=0.03) and abs(moved.mean()) < 1e-3
        else:
            assert len(np.unique(moved)) <= 4  # half of so many photons less one half
        assert (np.ptp(moved, axis=0).max() < 1e-6) == grey


def test_jpeg_loses_more_at_a_lower_quality_and_keeps_colour_at_half_the_resolution():
    grey = np.repeat(planes()[:1], 3, 0)
    errors = [np.abs(degrade.compressed(grey, quality) - grey).mean() for quality in (95, 60, 30)]
    assert errors == sorted(errors) and errors[2] > 2 * errors[0]
    stripes = np.zeros((3, 16, 16), np.float32)
    stripes[0, :, ::2] = stripes[1, :, 1::2] = 0.5  # red and green in turns
    kept = degrade.compressed(stripes, 95)
    assert np.abs(kept[0] - kept[1]).mean() < 0.3  # it was 0.5: neighbours share their colour


def test_sharpening_is_the_unsharp_mask_by_scipy():
    image = picture(h=40, w=60)
    x = image / 255
    soft = lambda y: ndimage.gaussian_filter(y, (8, 8, 0), mode="mirror", radius=(25, 25, 0))
    away = x - soft(x)
    mask = soft((np.abs(away) > 10 / 255).astype(float))
    reference = mask * np.clip(x + away / 2, 0, 1) + (1 - mask) * x
    assert np.abs(degrade.sharpened(image[None])[0] - 255 * reference).max() < 0.51


def test_recipes_are_drawn_from_the_published_ranges(recipes):
    def shares(values) -> dict:
        return {name: count / len(values) for name, count in Counter(values).items()}

    for name, ranges in (("first", degrade.FIRST), ("second", degrade.SECOND)):
        stages = [getattr(r, name) for r in recipes]
        blurs = [s.blur for s in stages if s.blur]
        bells = [b for b in blurs if isinstance(b, Bell)]
        assert len(blurs) / DRAWS == pytest.approx(ranges.blur, abs=0.025)
        assert 1 - len(bells) / len(blurs) == pytest.approx(0.1, abs=0.025)
        assert shares([b.kind for b in bells]) == pytest.approx(blur.KINDS, abs=0.035)
        assert shares([b.size for b in blurs]) == pytest.approx(dict.fromkeys(range(7, 22, 2), 1 / 8), abs=0.025)
        assert (
            stats.kstest([b.sigma[0] for b in bells], stats.uniform(ranges.sigma[0], np.ptp(ranges.sigma)).cdf).pvalue
            > 1e-3
        )
        where = ["up" if s.scale > 1 else "down" if s.scale < 1 else "keep" for s in stages]
        assert shares(where) == pytest.approx(dict(zip(("up", "down", "keep"), ranges.resize, strict=True)), abs=0.035)
        assert ranges.scale[0] <= min(s.scale for s in stages) and max(s.scale for s in stages) <= ranges.scale[1]
        assert shares([s.mode for s in stages]) == pytest.approx(dict.fromkeys(degrade.MODES, 1 / 3), abs=0.035)
        assert np.mean([s.grey for s in stages]) == pytest.approx(0.4, abs=0.035)
        for noise in ("gaussian", "poisson"):
            lo, hi = getattr(ranges, noise)
            strengths = [s.strength for s in stages if s.noise == noise]
            assert len(strengths) / DRAWS == pytest.approx(0.5, abs=0.035)
            assert stats.kstest(strengths, stats.uniform(lo, hi - lo).cdf).pvalue > 1e-3
        assert {s.quality for s in stages} == set(range(30, 96))
    assert np.mean([r.sinc is not None for r in recipes]) == pytest.approx(0.8, abs=0.03)
    assert np.mean([r.jpeg_last for r in recipes]) == pytest.approx(0.5, abs=0.035)
    pointed = [b.beta for r in recipes if isinstance(b := r.first.blur, Bell) and b.kind.startswith("generalised")]
    assert np.mean(np.array(pointed) < 1) == pytest.approx(0.5, abs=0.09) and 0.5 <= min(pointed) and max(pointed) > 3
    cutoffs = np.array([(b.size, b.cutoff) for r in recipes if isinstance(b := r.first.blur, Sinc)])
    small = cutoffs[:, 0] < 13
    assert cutoffs[small, 1].min() >= np.pi / 3 and np.pi / 5 <= cutoffs[~small, 1].min() < np.pi / 3


@given(h=st.integers(1, 6), w=st.integers(1, 6), seed=st.integers(0, 1000))
def test_a_picture_of_any_size_comes_out_at_a_quarter_and_depends_on_its_index_alone(h, w, seed):
    images = np.stack([picture(h=4 * h, w=4 * w, seed=seed + i) for i in range(3)])
    together = degrade.degrade(images, seed, [7, 8, 9])
    assert together.shape == (3, h, w, 3) and together.dtype == np.uint8
    assert np.array_equal(degrade.degrade(images[1:2], seed, [8]), together[1:2])
    assert h * w < 4 or not np.array_equal(degrade.degrade(images[1:2], seed + 1, [8]), together[1:2])


@pytest.mark.parametrize(
    "images, indices, sentence",
    [
        (np.zeros((2, 6, 8, 3), np.uint8), [0, 1], "multiples of 4"),
        (np.zeros((2, 8, 8, 3), np.float32), [0, 1], "images are float32"),
        (np.zeros((2, 8, 8), np.uint8), [0, 1], "give uint8"),
        (np.zeros((2, 8, 8, 3), np.uint8), [0], "one index an image"),
    ],
)
def test_wrong_pictures_are_refused(images, indices, sentence):
    with pytest.raises(ValueError, match=sentence):
        degrade.degrade(images, 0, indices)
