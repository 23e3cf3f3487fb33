"""A solver is a table: Euler, Heun, DDIM, DDPM, DPM-Solver++, UniPC and consistency are rows of coefficients.

Each row is one evaluation of the network, and its step is

    x <- a x + b x0 + c x0_prev + e x0_prev2 + d z

with x0 the denoiser's estimate, x0_prev and x0_prev2 those of the two rows before and z fresh noise. A solver here is
the NumPy function that makes the columns, in float64.

Two facts keep the tables short. With lambda = log(alpha / sigma), the deterministic step of order 1 from
(alpha, sigma) to (alpha', sigma') is one formula, whatever the coordinates it is derived in:

    x <- sigma'/sigma x + (alpha' - alpha sigma'/sigma) x0

and every step of order 2 is that plus k (x0 - x0_prev); one of order 3 adds k2 (x0_prev - x0_prev2). For methods that
ask twice a step (Heun, 2S) too: the second row starts from what the first predicted, in which the step's own beginning
is still to be had, being linear in the prediction and in x0_prev.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from ldm.diffusion.plan import Plan, tabulated
from ldm.diffusion.schedule import Noise, Schedule, Spacing


def _levels(schedule: Schedule, times: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return alpha, sigma at each time, and those that each step goes to; the last goes to the schedule's end."""
    alpha, sigma = schedule.levels(times)
    return alpha, sigma, np.append(alpha[1:], schedule.end[0]), np.append(sigma[1:], schedule.end[1])


def _log_snr(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return lambda; -inf where there is no signal, inf where there is no noise."""
    with np.errstate(divide="ignore"):
        return np.log(alpha) - np.log(sigma)


def ddim(schedule: Schedule, steps: int, *, eta: float = 0.0, spacing: Spacing = "trailing") -> Plan:
    """Return DDIM (Song et al. 2020, eqs. 12 and 16); eta 0 is deterministic, eta 1 is DDPM's noise.

    Raises: ValueError for an impossible number of steps or spacing, or eta outside [0, 1].
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta = {eta}: expected 0 (deterministic) to 1 (as noisy as DDPM); choose in between.")
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    noise = eta * s2 / s * np.sqrt(np.maximum(1 - a**2 / a2**2, 0))
    direction = np.sqrt(np.maximum(s2**2 - noise**2, 0))
    return tabulated(schedule, times, x=direction / s, x0=a2 - a * direction / s, z=noise)


def ddpm(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return DDPM's posterior on the respaced times (Ho et al. 2020, eq. 7; Nichol and Dhariwal 2021)."""
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    ratio = (a / a2) ** 2  # alpha of the respaced chain
    beta = 1 - ratio
    return tabulated(
        schedule,
        times,
        x=np.sqrt(ratio) * s2**2 / s**2,
        x0=a2 * beta / s**2,
        z=np.sqrt(beta) * s2 / s,
    )


def consistency(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return multistep consistency sampling, for distilled networks.

    It is that of Song et al. (2023, algorithm 1) and Luo et al. (2023).

    Each estimate of x0 is taken for the end of the flow; fresh noise brings it to the next level. One step has none.
    """
    times = schedule.times(steps, spacing)
    _, _, a2, s2 = _levels(schedule, times)
    return tabulated(schedule, times, x=np.zeros(steps), x0=a2, z=s2)


def euler(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return Euler's method on the probability flow, in k-diffusion's coordinates (Karras et al. 2022, eqs. 1, 3).

    With y = x / alpha and noise n = sigma / alpha the flow is dy/dn = (y - x0) / n. A step to n2,
    y + (n2 - n)(y - x0) / n, times alpha2, is the step of order 1 above: DDIM with eta 0, found in another way. On the
    straight path it is Euler's step along the network's velocity, too.
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    return tabulated(schedule, times, x=s2 / s, x0=a2 - a * s2 / s)


def heun(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return Heun's method on the flow that `euler` follows (Karras et al. 2022, algorithm 1): 2 steps - 1 evaluations.

    Rows alternate: Euler's prediction y' at n2, then its correction, asked at n2. The correction is
    y + (n2 - n)/2 [(y - x0_prev)/n + (y' - x0)/n2], and as y is (n y' - (n - n2) x0_prev) / n2 it
    comes to y' + (n - n2)/(2 n2) (x0 - x0_prev). The last step, to n2 = 0, is Euler's; so is one from
    n = inf.

    On the straight path, y = x and n = sigma: x = (1 - n) x0 + n eps flows by dx/dn = eps - x0 = (x - x0) / n, the same
    equation, and Heun's rule takes the mean of the velocities at both ends.
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = (level.repeat(2)[:-1] for level in _levels(schedule, times))
    corrects = np.arange(2 * steps - 1) % 2 == 1
    unit, unit2 = (1.0, 1.0) if schedule.is_straight else (a, a2)  # of y and n, x = unit y
    with np.errstate(divide="ignore"):
        k = unit2 * (s * unit2 / (unit * s2) - 1) / 2
    return tabulated(
        schedule,
        times.repeat(2)[1:],
        x=np.where(corrects, 1, s2 / s),
        x0=np.where(corrects, 0, a2 - a * s2 / s),
        k=np.where(corrects & (unit > 0), k, 0),
    )


def dpmpp_1(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return DPM-Solver++ of order 1 (Lu et al. 2022): exact where x0 is constant over a step h of lambda.

    As 1 - e^-h = 1 - alpha sigma2 / (alpha2 sigma), this too is DDIM with eta 0.
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    h = _log_snr(a2, s2) - _log_snr(a, s)  # the last one is infinite: x becomes x0
    return tabulated(schedule, times, x=s2 / s, x0=a2 * (1 - np.exp(-h)))


def dpmpp_2m(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with first and last step of order 1."""
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    h = _log_snr(a2, s2) - _log_snr(a, s)
    c = a2 * (1 - np.exp(-h))
    return tabulated(schedule, times, x=s2 / s, x0=c, k=_second_order(c, h))


def _second_order(c: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return k of 2M: c / (2 r), r = h_prev / h; the first step and the last are of order 1."""
    k = np.zeros(len(h))
    k[1:-1] = c[1:-1] * h[1:-1] / (2 * h[:-2]) if len(h) > 2 else 0.0
    return k


def dpmpp_2m_sde(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return SDE-DPM-Solver++(2M): 2M on the diffusion that adds fresh noise at every step.

    Its first and last step are of order 1 (Lu et al. 2022, app. D; k-diffusion's "dpmpp_2m_sde", midpoint, eta 1).
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    h = _log_snr(a2, s2) - _log_snr(a, s)
    c = a2 * (1 - np.exp(-2 * h))
    noise = s2 * np.sqrt(1 - np.exp(-2 * h))
    return tabulated(schedule, times, x=s2 / s * np.exp(-h), x0=c, k=_second_order(c, h), z=noise)


def dpmpp_3m(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing", exact: bool = False) -> Plan:
    """Return DPM-Solver++(3M) (Lu et al. 2022, section 4).

    It takes x0 for a parabola in lambda through the last three estimates.

    e^lambda is integrated against the parabola. Its coefficients come from Newton's differences in units of h,
    d = (x0 - x0_prev) / r and d_prev = (x0_prev - x0_prev2) / r_prev. The authors' code, diffusers and k-diffusion
    take (d - d_prev) / (r + r_prev) for its second derivative, which is half of that: so it is here unless `exact`,
    and then it converges with order 2, not 3. The first and the last step are of order 1, the second of order 2;
    with fewer than 15 steps the last but one too.
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    h = _log_snr(a2, s2) - _log_snr(a, s)
    c = a2 * (1 - np.exp(-h))
    k, k2 = _second_order(c, h), np.zeros(steps)
    third = np.arange(2, steps - (2 if steps < 15 else 1))
    r, r_prev = h[third - 1] / h[third], h[third - 2] / h[third]
    slope = a2[third] - c[third] / h[third]  # a2 times the integral of the parabola's linear part ...
    bend = (slope / h[third] - a2[third] / 2) * (2 if exact else 1)  # ... and, but for the sign, of the quadratic one
    with np.errstate(invalid="ignore"):
        share = np.where(np.isinf(r_prev), 0, (slope * r - bend) / (r + r_prev))
    k[third] = (slope + share) / r
    k2[third] = -share / r_prev
    return tabulated(schedule, times, x=s2 / s, x0=c, k=k, k2=k2)


def unipc(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return UniPC of order 2 with B(h) = e^h - 1 (Zhao et al. 2023, algorithms 1 and 2, "bh2").

    Its predictor is 2M. Its corrector goes back to where a step began once the network has been asked at the step's
    end: with d = x0 - x0_prev and d_prev = x0_prev - x0_prev2 the step's k d_prev becomes c (p d_prev / r + q d). Both
    start from the same x, so the correction is a sum of estimates that is added to what was predicted, and correction
    and next prediction are one row.
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    h = _log_snr(a2, s2) - _log_snr(a, s)
    c = a2 * (1 - np.exp(-h))
    k, ratio = _second_order(c, h), s2 / s
    inner = slice(1, steps - 1)  # the steps of order 2; that of the first one's corrector is 1
    r, p, q = np.ones(steps), np.zeros(steps), np.full(steps, 0.5)
    r[inner] = h[: max(steps - 2, 0)] / h[inner]
    b = 1 / (1 - np.exp(-h[inner])) - 1 / h[inner]  # p + q = b and q - r p = b2: two moments it is exact for
    b2 = 1 / (1 - np.exp(-h[inner])) - 2 * b / h[inner]
    p[inner] = (b - b2) / (1 + r[inner])
    q[inner] = b - p[inner]
    corrects, corrects2 = np.zeros(steps), np.zeros(steps)  # at each row, the step before
    corrects[1:] = ratio[1:] * (c * q)[:-1]
    corrects2[1:] = ratio[1:] * (c * p / r - k)[:-1]
    return tabulated(schedule, times, x=ratio, x0=c, k=k + corrects, k2=corrects2)


def dpmpp_2s(schedule: Schedule, steps: int, *, spacing: Spacing = "trailing") -> Plan:
    """Return DPM-Solver++(2S) (Lu et al. 2022, algorithm 1): `steps` evaluations, two to each step of order 2.

    The grid's times are taken two by two: a step goes from time i - 1 to i + 1 and asks again on the way,
    at time i. In its second row x starts from the prediction there; with x = (x_i - c_{i-1} x0_prev)
    sigma_{i-1} / sigma_i put into the algorithm's last line, the row is the step of order 1 from i to i + 1
    plus k (x0 - x0_prev), k = C / (2r) - c_i, C that of the whole step. What is left over at the end, one
    evaluation or two, is of order 1; so is a step from lambda = -inf.
    """
    times = schedule.times(steps, spacing)
    a, s, a2, s2 = _levels(schedule, times)
    c = a2 - a * s2 / s
    begin, mid = np.arange(0, steps - 2, 2), np.arange(1, steps - 1, 2)
    lam, whole = _log_snr(a, s), a2[mid] - a[begin] * s2[mid] / s[begin]
    with np.errstate(invalid="ignore"):
        r = (lam[mid] - lam[begin]) / (lam[mid + 1] - lam[begin])
    k = np.zeros(steps)
    k[mid] = np.where(a[begin] > 0, whole / (2 * r) - c[mid], 0)
    return tabulated(schedule, times, x=s2 / s, x0=c, k=k)


Sampler = Literal[
    "ddim",
    "ddim-leading",
    "ddim-trailing",
    "ddpm",
    "dpm++",
    "dpm++-karras",
    "dpm++-exponential",
    "dpm++1",
    "dpm++2s",
    "dpm++3m",
    "dpm++sde",
    "unipc",
    "euler",
    "heun",
    "consistency",
]


@lru_cache(maxsize=256, typed=True)  # a grid asks for each many times; 4.0 steps are refused, not taken for 4
def plan(sampler: str, steps: int, spacing: Spacing = "trailing", noise: Noise = "sd", shift: float = 1.0) -> Plan:
    """Return the table of a sampler by its name.

    "dpm++" is 2M. What follows a dash names the times, whatever the spacing: "ddim-leading" is DDIM on those that SD
    was released with, "ddim-trailing" on those that begin at the last one, "dpm++-karras" and "dpm++-exponential" are
    2M on times whose noise levels are spaced so (`Schedule.times`). "consistency" takes trailing ones whatever the
    spacing: students are taught on them (`ldm.tasks.distillation.flow`).

    noise, shift: the schedule (`Schedule.named`).
    Raises: ValueError for an unknown name, step count or spacing, or a shift that is not positive.
    """
    tables: dict[str, Callable[..., Plan]] = {
        "ddim": ddim,
        "ddpm": ddpm,
        "dpm++": dpmpp_2m,
        "dpm++1": dpmpp_1,
        "dpm++2s": dpmpp_2s,
        "dpm++3m": dpmpp_3m,
        "dpm++sde": dpmpp_2m_sde,
        "unipc": unipc,
        "euler": euler,
        "heun": heun,
        "consistency": lambda schedule, steps, spacing: consistency(schedule, steps),
    }
    if sampler not in get_args(Sampler):
        raise ValueError(f"sampler = {sampler!r}: expected one of {', '.join(get_args(Sampler))}; choose one of them.")
    solver, _, times = sampler.partition("-")
    return tables[solver](Schedule.named(noise, shift), steps, spacing=times or spacing)
