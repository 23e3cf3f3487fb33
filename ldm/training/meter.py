"""How fast a training goes: images a second, arithmetic beside the device's peak, its memory, the wait for batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import jax

from ldm.training.chips import chip


class Meter:
    """A stop-watch over laps of several steps.

    Args:
        images: of a step. gflops: of training on one image, 0 where it is not known.
        start: the steps done before. devices: those that the step runs on.
    """

    def __init__(self, images: int, gflops: float, start: int, devices: list[jax.Device]):
        self._images, self._gflops, self._devices = images, gflops, devices
        self._local = next((d for d in devices if d.process_index == jax.process_index()), devices[0])
        self._began, self._step, self._making, self._held = time.perf_counter(), start, 0.0, self._peak()

    @contextlib.contextmanager
    def making(self) -> Iterator[None]:
        """Count the time within as the getting of a batch, which is made there or waited for (`feed.Ahead`)."""
        began = time.perf_counter()
        yield
        self._making += time.perf_counter() - began

    def lap(self, done: int) -> dict[str, float]:
        """Return what the steps since the last lap took, the device having been waited for.

        The first holds the compilation, and on a CPU those up to step `ldm.training.hurried.FIRST`.

        step_seconds, images_a_second; input_share, of the time that the host spent on getting batches, made on the
        spot or ahead: at most this share the device has waited for them, since it works on one step in the meantime;
        tflops (what is computed twice to save memory does not count), peak_share of the devices' bfloat16 peak, and
        memory_gb, the most that the first local device has held: where these are known.
        """
        now = time.perf_counter()
        steps, seconds = done - self._step, max(now - self._began, 1e-9)
        record = {
            "step_seconds": seconds / steps,
            "images_a_second": steps * self._images / seconds,
            "input_share": min(self._making / seconds, 1.0),
        }
        if self._gflops:
            record["tflops"] = self._gflops * record["images_a_second"] / 1e3
            if sheet := chip(self._local.device_kind):
                record["peak_share"] = record["tflops"] / (sheet.tflops * len(self._devices))
        if (peak := self._peak()) > self._held:  # else it is that of something before, in the same process
            record["memory_gb"] = peak
        self._began, self._step, self._making = now, done, 0.0
        return record

    def _peak(self) -> float:
        """Return GB that the first local device has held at most, since the process began; 0 where it does not say."""
        return (self._local.memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9

    @staticmethod
    def short(record: dict[str, float]) -> dict[str, str]:
        """Return what of a lap belongs on the line of progress."""
        line = {"step": f"{1e3 * record['step_seconds']:.3g} ms"}
        if "tflops" in record:
            share = f" ({record['peak_share']:.0%} of peak)" if "peak_share" in record else ""
            line["speed"] = f"{record['tflops']:.3g} TFLOP/s{share}"
        if "memory_gb" in record:
            line["memory"] = f"{record['memory_gb']:.1f} GB"
        if record["input_share"] > 0.1:
            line["input"] = f"{record['input_share']:.0%}"
        return line
