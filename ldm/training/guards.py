"""What watches over a training: numbers that are no longer finite, jumps of the loss, and the notice to stop."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ldm.hashing import digest

WATCHED = {"loss": "loss", "grad_norm": "gradient's norm"}  # what has to be finite, by its name in the logs, in words
RECENT, ENOUGH, FAR = 200, 50, 8  # a jump: above the median of so many losses, once so many, by so many MADs


class Diverged(RuntimeError):
    """The loss or its gradient is no longer a finite number."""


class Preempted(SystemExit):
    """SIGTERM has come and the state is saved; the process ends with the status that says so, 143."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def not_finite(logs: Mapping[str, Any]) -> tuple[tuple[int, ...], str] | None:
    """Return where the loss or its gradient first is not finite, and a clause on it, "the loss is nan"; else None.

    logs: numbers by name, those of `WATCHED` among them and these of one shape: () of one step, whose place is (), or
    (steps, k) of k trainings, whose place is (step, training).
    """
    values = np.stack([np.asarray(logs[name]) for name in WATCHED], -1)
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return None
    *place, which = bad[0].tolist()
    return tuple(place), f"the {list(WATCHED.values())[which]} is {values[*place, which]}"


class Watch:
    """Sees the logs of every step, and looks at them when the host has reason to wait for the device.

    Args:
        batches: step -> batch; makes a batch again, to name it.
        good: the step that training goes on from. log: where a line of warning goes.
    """

    def __init__(self, batches: Callable[[int], Mapping[str, Any]], good: int, title: str, log: Callable[[str], None]):
        self._batches, self.good, self._title, self._log = batches, good, title, log
        self._unseen: list[tuple[int, dict[str, Any]]] = []
        self._losses: deque[float] = deque(maxlen=RECENT)

    def add(self, step: int, logs: dict[str, Any]) -> None:
        """Take the logs of the step that makes it `step` steps done; nothing is waited for."""
        self._unseen.append((step, logs))

    def look(self, advice: str = "") -> dict[str, float]:
        """Return the newest logs as numbers, all since the last look having been found finite.

        Raises: Diverged, naming the first step whose loss or gradient is not, and its batch; `advice` ends the
        sentence.
        """
        seen = jax.device_get(self._unseen)
        for step, logs in seen:
            if bad := not_finite(logs):
                raise Diverged(
                    f"{self._title}: {bad[1]} at step {step}; the last finite one was at step {self.good}. "
                    f"The batch of this step is {self._named(step)}. {advice}".strip()
                )
            self.good = step
            self._jump(step, float(logs["loss"]))
        self._unseen = []  # not before: who is interrupted here has looked at none
        return {name: float(value) for name, value in seen[-1][1].items()}

    def finite(self) -> bool:
        """Return whether the steps since the last look were finite, as one who saves without a look has to know."""
        return all(not_finite(logs) is None for _, logs in jax.device_get(self._unseen))

    def _jump(self, step: int, loss: float) -> None:
        if len(self._losses) >= ENOUGH:
            median = float(np.median(self._losses))
            spread = float(np.median(np.abs(np.array(self._losses) - median)))
            if loss > median + FAR * max(spread, 1e-3 * abs(median)):
                self._log(
                    f"{self._title}: the loss jumps to {loss:.4g} at step {step}, batch {self._named(step)}; the last "
                    f"{len(self._losses)} have a median of {median:.4g} (median deviation {spread:.2g})."
                )
        self._losses.append(loss)

    def _named(self, step: int) -> str:
        return digest(self._batches(step - 1))


class StopSignal:
    """While it is open, SIGTERM (which a machine sends before it is taken away) is noted and does not end the process.

    Of several processes any may be told; all then stop after the same step, which JAX's own service agrees upon.
    Outside the main thread signals cannot be caught, and SIGTERM ends the process as usual.
    """

    def __enter__(self) -> StopSignal:
        self._come = False
        self._alone = jax.process_count() == 1 and threading.current_thread() is threading.main_thread()
        if self._alone:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def _note(self, *_: Any) -> None:
        self._come = True

    def due(self, step: int) -> bool:
        """Return whether to save and leave after this step; asked after every step."""
        return self._come or multihost_utils.reached_preemption_sync_point(step)

    def __exit__(self, *_: Any) -> None:
        if self._alone:
            signal.signal(signal.SIGTERM, self._before)
