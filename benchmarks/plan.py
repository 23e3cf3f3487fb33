"""The smallest plan for TPUs compiled again, beside its recorded rows: has the compiler, or the program, changed?

python -m benchmarks.plan        (pip install -r requirements-tpu.txt; some minutes)
"""

from __future__ import annotations

from ldm.paths import ROOT
from ldm.study.results import Store
from ldm.study.tpu_compiler import measure
from ldm.study.tpu_plan import TpuTraining, recorded

SMALLEST = TpuTraining(size="39M", topology="v5e:16x16")


def main() -> None:
    before = recorded([SMALLEST], Store(ROOT)).set_index("metric")["value"]
    now = {row.metric: row for row in measure(SMALLEST)}
    print(f"{SMALLEST.size} on {SMALLEST.topology}, {next(iter(now.values())).seconds:.0f} s to compile")
    for name, row in now.items():
        print(
            f"{name:20} {row.value:12.4g}, recorded {before[name]:12.4g}, ratio {row.value / (before[name] or 1):.3f}"
        )


if __name__ == "__main__":
    main()
