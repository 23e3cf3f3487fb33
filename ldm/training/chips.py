"""What the study runs on, or is planned for: what the makers' data sheets say of a device, and what this machine is."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import NamedTuple


class Chip(NamedTuple):
    """One device, by its data sheet.

    Dense bfloat16 TFLOP/s; memory in GB (1e9 bytes), its bandwidth and the links' to others, both in GB/s.
    """

    tflops: float
    memory: float
    bandwidth: float
    links: float  # sent and received, all links together


# cloud.google.com/tpu/docs (v4, v5e, v5p, v6e) and NVIDIA's data sheets
V5E, V5P = Chip(197.0, 16, 819, 400), Chip(459.0, 95, 2765, 1200)
CHIPS = {  # device_kind begins with ->
    "TPU v4": Chip(275.0, 32, 1228, 600),
    "TPU v5 lite": V5E,
    "TPU v5e": V5E,
    "TPU v5": V5P,
    "TPU v6": Chip(918.0, 32, 1600, 800),
    "NVIDIA A100": Chip(312.0, 80, 2039, 600),
    "NVIDIA H100 PCIe": Chip(756.0, 80, 2000, 600),
    "NVIDIA H100": Chip(989.0, 80, 3350, 900),
    "NVIDIA H200": Chip(989.0, 141, 4800, 900),
}


def chip(kind: str) -> Chip | None:
    """Return the data sheet of a device by its `device_kind`, None for one not listed.

    Of two names the first that fits counts.
    """
    return next((sheet for name, sheet in CHIPS.items() if kind.startswith(name)), None)


def machine() -> str:
    """Say what runs this, for the protocol of a row.

    The processor, as far as the system tells, its cores, and the device's kind.
    """
    import jax

    return f"{processor()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}"


def processor() -> str:
    """Return the processor's name, with its family and model; else its architecture.

    Family and model are there since makers give several generations one name.
    """
    file = Path("/proc/cpuinfo")
    lines = (line.partition(":") for line in file.read_text().split("\n\n")[0].splitlines()) if file.is_file() else ()
    known = {name.strip(): value.strip() for name, _, value in lines}
    if "model name" not in known:
        return platform.machine()
    return f"{known['model name']} ({platform.machine()}, family {known.get('cpu family')}, model {known.get('model')})"
