"""The noise schedule: x_t = alpha_t x0 + sigma_t eps, t = 0 (almost clean) ... 999 (almost noise).

Also the four things a network may predict (eps, v, x0, flow) and the grids of times that a sampler visits.
Everything here is float64 NumPy or plain arithmetic that works on NumPy and JAX arrays alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from jaxtyping import Array
else:
    Array = Any  # JAX's, which is not loaded for it

Predict = Literal["eps", "v", "x0", "flow"]
Spacing = Literal["trailing", "leading", "linspace", "karras", "exponential"]
Noise = Literal["sd", "straight"]  # `Schedule.named`
Times = Literal["uniform", "logit-normal"]  # how training draws them (`ldm.diffusion.losses.drawn_time`)
SomeArray = TypeVar("SomeArray", np.ndarray, Array)  # NumPy's or JAX's: what comes out is what went in
RHO = 7.0  # of the spacing "karras"


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """Signal and noise levels at the training times.

    They are variance preserving, alpha^2 + sigma^2 = 1, or the straight path, alpha + sigma = 1.
    """

    alpha: Float[np.ndarray, " T"]  # float64, falling
    sigma: Float[np.ndarray, " T"]  # float64, rising
    offset: int = 1  # the lowest of the leading times, as SD was released with
    spare: int = 0  # times at the lower end that a sampler leaves out, as some of diffusers' do
    end: tuple[float, float] = (1.0, 0.0)  # alpha and sigma that its last step goes to: x0, or some noise is left
    shift: float = 1.0  # above 1 a sampler spends more of its steps on the noisier times (`times`)

    def __post_init__(self):
        if self.alpha.shape != self.sigma.shape or self.alpha.ndim != 1:
            raise ValueError(
                f"alpha has shape {self.alpha.shape}, sigma {self.sigma.shape}: expected two vectors of "
                "one length; make a schedule with Schedule.from_betas or Schedule.sd."
            )
        if not 0 < self.shift < np.inf:
            raise ValueError(f"shift = {self.shift}: expected a positive number; choose 1 (no shift) to about 6.")

    @classmethod
    def from_betas(cls, betas: Float[np.ndarray, " T"]) -> Schedule:
        """Return the schedule with alpha_t^2 = prod_{s<=t} (1 - beta_s) (Ho et al. 2020, eq. 4)."""
        signal = np.cumprod(1 - np.asarray(betas, np.float64))
        return cls(alpha=np.sqrt(signal), sigma=np.sqrt(1 - signal))

    @classmethod
    def sd(cls) -> Schedule:
        """Return the schedule of Stable Diffusion's "scaled linear" betas (Rombach et al. 2022)."""
        return cls.from_betas(np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)

    @classmethod
    def straight(cls, shift: float = 1.0, length: int = 1000) -> Schedule:
        """Return the path of rectified flow from data to noise (Liu et al. 2022).

        sigma = (t + 1) / 1000, alpha = 1 - sigma.

        shift: of the times that samplers visit; SD3 was released with 3 for 128x128 latents.
        """
        sigma = np.arange(1, length + 1) / length
        return cls(alpha=1 - sigma, sigma=sigma, shift=shift)

    @classmethod
    def named(cls, noise: Noise, shift: float = 1.0) -> Schedule:
        """Return the schedule of a name, its times shifted. Raises: ValueError, naming the known ones."""
        if noise not in get_args(Noise):
            raise ValueError(f"noise = {noise!r}: expected one of {', '.join(get_args(Noise))}; choose one of them.")
        return replace(cls.sd() if noise == "sd" else cls.straight(), shift=shift)

    def zero_terminal_snr(self) -> Schedule:
        """Return the schedule with no signal left at its last time (Lin et al. 2024, algorithm 1).

        alpha is shifted so that it ends at 0 and scaled so that it begins where it did. For networks that
        predict v or x0: where alpha = 0, the noise is x itself, and its prediction says nothing of x0.
        """
        first, last = self.alpha[0], self.alpha[-1]
        alpha = (self.alpha - last) * first / (first - last)
        return replace(self, alpha=alpha, sigma=np.sqrt(1 - alpha**2))

    @property
    def is_straight(self) -> bool:
        """Whether this is a straight path, alpha + sigma = 1."""
        return bool(np.allclose(self.alpha + self.sigma, 1))

    @property
    def length(self) -> int:
        """The number of training times, 1000."""
        return len(self.alpha)

    def times(self, n: int, spacing: Spacing = "trailing") -> Int[np.ndarray, " n"] | Float[np.ndarray, " n"]:
        """Return the n falling times at which a sampler asks the network.

        trailing starts at the very last time; leading leaves out the noisiest end; linspace has both ends (Lin et al.
        2024, table 2). karras and exponential place noise levels sigma / alpha from the last time's to the first's,
        evenly in their RHO-th root (Karras et al. 2022, eq. 5) or in their logarithm; they lie between training times,
        and the times are then no integers. So are those of a `shift` s: it moves the time u = (t + 1) / length to
        s u / (1 + (s - 1) u) (Esser et al. 2024, eq. 23).
        """
        if spacing not in get_args(Spacing):
            raise ValueError(
                f"spacing = {spacing!r}: expected one of {', '.join(get_args(Spacing))}; choose one of them."
            )
        spare = self.spare if spacing in ("leading", "linspace") else 0
        most = self.length - spare - (self.offset if spacing == "leading" else 0)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 1 <= n <= most:
            raise ValueError(f"steps = {n!r}: expected an integer from 1 to {most}; give another number of steps.")
        times = self._by_noise(n, spacing) if spacing in ("karras", "exponential") else self._by_time(n, spacing)
        if self.shift == 1:
            return times
        u = (times + 1) / self.length
        return self.shift * u / (1 + (self.shift - 1) * u) * self.length - 1

    def _by_time(self, n: int, spacing: Spacing) -> Int[np.ndarray, " n"]:
        if spacing == "trailing":
            return np.round(self.length - np.arange(n) * (self.length / n)).astype(int) - 1
        if spacing == "linspace":
            return np.round(np.linspace(self.length - 1, 0, n + self.spare)).astype(int)[:n]
        times = np.arange(self.spare, n + self.spare)[::-1] * (self.length // (n + self.spare)) + self.offset
        if times[0] >= self.length:
            raise ValueError(
                f"steps = {n}: the leading times with an offset of {self.offset} end at {times[0]}, beyond the "
                f"{self.length} of the schedule; give another number of steps."
            )
        return times

    def _by_noise(self, n: int, spacing: Spacing) -> Float[np.ndarray, " n"]:
        noise = self._log_noise(f"spacing = {spacing!r}")
        first, last = noise[-1], noise[0]
        if spacing == "exponential":
            return np.interp(np.linspace(first, last, n), noise, np.arange(self.length))
        roots = np.linspace(np.exp(first / RHO), np.exp(last / RHO), n)
        return np.interp(RHO * np.log(roots), noise, np.arange(self.length))

    def levels(self, times: np.ndarray) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
        """Return alpha and sigma at training times, and between two of them.

        Between two times, sigma is linear on the straight path, and log(sigma / alpha) where alpha^2 + sigma^2 = 1.
        """
        if np.issubdtype(times.dtype, np.integer):
            return self.alpha[times], self.sigma[times]
        if self.is_straight:
            sigma = np.interp(times, np.arange(self.length), self.sigma)
            return 1 - sigma, sigma
        noise = np.interp(times, np.arange(self.length), self._log_noise("times between those of training"))
        alpha = 1 / np.sqrt(1 + np.exp(2 * noise))
        return alpha, np.exp(noise) * alpha

    def _log_noise(self, who: str) -> Float[np.ndarray, " T"]:
        """Return log(sigma / alpha), rising. Raises: ValueError where there is no signal (alpha = 0)."""
        if not np.all(self.alpha):
            raise ValueError(
                f"{who}: expected a schedule that keeps some signal to its end (alpha > 0), for the noise level is "
                "infinite there; choose the spacing trailing without a shift, or another schedule."
            )
        return np.log(self.sigma / self.alpha)


def check_predict(predict: Predict, alpha: Float[np.ndarray, " s"]) -> None:
    """Raise ValueError for an unknown prediction, and for eps where there is no signal (alpha = 0)."""
    if predict not in get_args(Predict):
        raise unknown(predict)
    if predict == "eps" and not np.all(alpha):
        raise ValueError(
            "predict = 'eps': expected v, x0 or flow on a schedule that ends in pure noise (alpha = 0), where x is eps "
            "and says nothing of x0; choose another prediction, or a schedule that keeps some signal."
        )


def unknown(predict: object) -> ValueError:
    """Return the error that refuses an unknown prediction, naming the known ones."""
    return ValueError(f"predict = {predict!r}: expected one of {', '.join(get_args(Predict))}; choose one of them.")


def target(predict: Predict, x0: Array, eps: Array, alpha: Array, sigma: Array) -> Array:
    """Return what a network that predicts eps, v, x0 or the flow's velocity should answer.

    v is that of Salimans and Ho (2022, app. D).

    The velocity is eps - x0, dx/dsigma on the straight path (Liu et al. 2022, eq. 1, its time turned around).
    """
    if predict == "eps":
        return eps
    if predict == "v":
        return alpha * eps - sigma * x0
    if predict == "x0":
        return x0
    if predict == "flow":
        return eps - x0
    raise unknown(predict)


def preconditioning(predict: Predict, alpha: SomeArray, sigma: SomeArray) -> tuple[SomeArray, SomeArray]:
    """Return a prediction type as two numbers, c_skip and c_out.

    x0 = c_skip x + c_out output (Karras et al. 2022, eq. 7).
    """
    if predict == "eps":
        return 1 / alpha, -sigma / alpha
    if predict == "v":
        return alpha, -sigma
    if predict == "x0":
        return 0 * alpha, 1 + 0 * alpha  # of alpha's shape and dtype
    if predict == "flow":
        return 1 / (alpha + sigma), -sigma / (alpha + sigma)
    raise unknown(predict)


def to_x0(predict: Predict, x: Array, output: Array, alpha: Array, sigma: Array) -> Array:
    """Return the estimate of x0 that a network's output at x stands for."""
    c_skip, c_out = preconditioning(predict, alpha, sigma)
    return c_skip * x + c_out * output


def to_eps(x: Array, x0: Array, alpha: Array, sigma: Array) -> Array:
    """Return the noise in x once x0 is known."""
    return (x - alpha * x0) / sigma
