"""PSNR and SSIM against their formulas, window by window."""

from __future__ import annotations

import numpy as np
import pytest

from ldm.metrics import psnr, ssim


def images(seed: int, n: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 14, 13, 3), dtype=np.uint8)


def test_psnr_of_one_error_everywhere():
    a = np.full((2, 12, 12, 3), 100, np.uint8)
    assert psnr(a, a + np.uint8(10)) == pytest.approx(20 * np.log10(25.5))
    assert (psnr(a, a) > 90).all()


def test_ssim_is_the_papers_formula_in_every_window():
    a, b = images(0), images(1)
    luma = lambda x: x @ np.array([0.299, 0.587, 0.114])
    y, x = np.mgrid[-5:6, -5:6]
    window = np.exp(-(x**2 + y**2) / (2 * 1.5**2))
    window /= window.sum()

    def by_hand(p, q) -> float:
        values = []
        for i in range(4):
            for j in range(3):
                u, v = p[i : i + 11, j : j + 11], q[i : i + 11, j : j + 11]
                mu, mv = (window * u).sum(), (window * v).sum()
                var = lambda s, t, ms, mt: (window * (s - ms) * (t - mt)).sum()
                numerator = (2 * mu * mv + 6.5025) * (2 * var(u, v, mu, mv) + 58.5225)  # noqa: B023
                values.append(
                    numerator / ((mu**2 + mv**2 + 6.5025) * (var(u, u, mu, mu) + var(v, v, mv, mv) + 58.5225))
                )
        return float(np.mean(values))

    assert ssim(a, b) == pytest.approx([by_hand(luma(p), luma(q)) for p, q in zip(a, b, strict=True)], abs=1e-9)
    assert ssim(a, a) == pytest.approx(1)
    assert np.array_equal(ssim(a, b), ssim(b, a))


def test_ssim_of_flat_pictures_is_that_of_their_light():
    a, b = np.full((1, 11, 11, 3), 200, np.uint8), np.full((1, 11, 11, 3), 50, np.uint8)
    assert ssim(a, b) == pytest.approx((2 * 200 * 50 + 6.5025) / (200**2 + 50**2 + 6.5025))


@pytest.mark.usefixtures("any_types")
def test_pictures_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="give two times uint8"):
        psnr(images(0), images(0)[:1])
    with pytest.raises(ValueError, match="at least 11 a side"):
        ssim(images(0)[:, :10], images(0)[:, :10])
