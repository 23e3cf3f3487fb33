"""Plans for TPUs: what is asked is checked before minutes of compiling; what the compiler says is read right.

The compiler itself is 200 MB and takes minutes: `python -m benchmarks.plan` runs it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ldm.figures.roofline import beside, collectives, roofline_table
from ldm.networks import cost, family
from ldm.networks.structure import abstract
from ldm.study import tpu_compiler, tpu_plan
from ldm.study.results import Store
from ldm.study.roofline import roofline, whole_paper
from ldm.study.tpu_plan import COLLECTIVES, TpuTraining


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (dict(size="1B"), "size = '1B'.*866M"),
        (dict(topology="v9:2x2"), "topology = 'v9:2x2'.*v5e:16x16"),
        (dict(topology="v5e"), "topology = 'v5e'"),
        (dict(batch=100), "batch = 100.*256"),
        (dict(fsdp=3), "fsdp = 3.*256"),
        (dict(accumulate=16), "multiple"),
        (dict(level="fast"), "level = 'fast'.*O0, O1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_a_sentence(wrong, words):
    with pytest.raises(ValueError, match=words):
        TpuTraining(**dict(size="39M", topology="v5e:16x16") | wrong)


def test_a_state_is_shared_until_it_takes_a_tenth_of_a_chip():
    for size in (*tpu_plan.SIZES, *tpu_plan.PUBLISHED):
        one = TpuTraining(size=size, topology="v5e:16x16")
        share = one.shared()
        state = 16 * one.params
        assert state / share <= 1.6e9 or share == 256
        assert share == 1 or state / (share / 2) > 1.6e9


def test_transformers_have_the_parameters_of_the_unets_beside_them():
    for name, unet, width in (("DiT-L/2", "558M", 1024), ("DiT-XL/2", "866M", 1152)):
        one, other = (TpuTraining(size=size, topology="v5e:16x16") for size in (name, unet))
        _, params = abstract(lambda keys, asked=one: tpu_compiler.network(asked, keys))
        assert sum(p.size for p in params.values()) == one.params == pytest.approx(other.params, rel=0.05)
        assert one.c == width and one.gflops > 1.5 * other.gflops


def test_memory_is_read_from_the_compilers_complaint_and_other_complaints_stay():
    said = (
        "RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm. Exceeded hbm capacity by"
        " 4.75G."
    )
    assert tpu_compiler.exhausted(said) == (20.5 * 2**30, 15.75 * 2**30)
    said = (
        "Ran out of memory on HBM, the total memory required for HLO temporaries (26.21G) exceeds available HBM"
        " (15.75G)."
    )
    assert tpu_compiler.exhausted(said) == (26.21 * 2**30, 15.75 * 2**30)
    with pytest.raises(RuntimeError, match="no such thing"):
        tpu_compiler.exhausted("INTERNAL: no such thing")


def test_collectives_of_a_real_program_are_counted_in_bytes():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    spread, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("x",), ()))
    gather = (
        jax.jit(lambda x: x * 2, in_shardings=spread, out_shardings=whole).lower(jnp.ones((64, 16))).compile().as_text()
    )
    assert tpu_compiler.moved(gather) == dict.fromkeys(COLLECTIVES, 0) | {"all-gather": 64 * 16 * 4}
    reduce = (
        jax.jit(lambda x: x.sum(0), in_shardings=spread, out_shardings=whole)
        .lower(jnp.ones((64, 16)))
        .compile()
        .as_text()
    )
    assert tpu_compiler.moved(reduce) == dict.fromkeys(COLLECTIVES, 0) | {"all-reduce": 16 * 4}


def test_a_plan_that_another_process_has_compiled_meanwhile_is_not_compiled_again(tmp_path, monkeypatch):
    asked: list[str] = []

    class Overtaken(Store):
        def has(self, key: str) -> bool:
            asked.append(key)
            return len(asked) > 1  # it is written while this process waits for the lock

    monkeypatch.setattr(tpu_compiler, "measure", lambda plan: pytest.fail("compiled twice"))
    assert tpu_plan.run([TpuTraining(size="39M", topology="v5e:16x16")], Overtaken(tmp_path)).empty and len(asked) == 2


def rows(size: str, topology: str, **values: float) -> pd.DataFrame:
    common = dict(
        study="tpu_plan",
        size=size,
        c=tpu_plan.SIZES[size],
        task=topology,
        images_seen=2048,
        params=cost.unet_params(tpu_plan.SIZES[size], 1024),
        gflops=1000.0,
        protocol="libtpu 1; bfloat16; data x fsdp = 16x16; blocks computed twice; 1 part",
    )
    return pd.DataFrame(
        [common | dict(metric=metric.replace("_", "-"), value=value) for metric, value in values.items()]
    )


def test_a_step_takes_as_long_as_its_slowest_part_and_seconds_are_missing_where_it_does_not_fit():
    found = roofline(
        pd.concat(
            [
                rows(
                    "866M",
                    "v5e:16x16",
                    memory=8e9,
                    flops=197e12,
                    traffic=819e9 * 3.0001,
                    all_reduce=200e9,
                    all_gather=200e9,
                ),
                rows("5B", "v5e:16x16", memory=20e9),
            ]
        )
    )
    first, second = found.to_dict("records")
    assert first["arithmetic"] == pytest.approx(4 * 8 / 197) and first["traffic"] == pytest.approx(3.0001)
    assert first["links"] == pytest.approx(3)  # what is summed by all goes round twice
    assert (first["least"], first["most"]) == (pytest.approx(3), pytest.approx(3.0001))
    assert first["fits"] and first["chips"] == 256 and not second["fits"] and np.isnan(second["least"])
    shown = beside(pd.concat([rows("866M", "v5e:16x16", memory=8e9, flops=1e12), rows("5B", "v5e:16x16", memory=2e10)]))
    assert list(shown["parameters"]) == ["865,910,724", "4,900,198,660"] and set(shown["GFLOPs a pass"]) == {"1,000"}
    shown = roofline_table(found)
    assert list(shown["fits"]) == ["yes", "no"] and shown["chip-days"].iloc[1] == ""


def test_collectives_that_nobody_uses_are_left_out_of_the_table():
    shown = collectives(rows("866M", "v5e:16x16", memory=8e9, all_reduce=2e9, all_to_all=0))
    assert list(shown.columns) == ["size", "slice", "all-reduce"] and shown["all-reduce"].iloc[0] == "2.00"


def test_the_papers_compute_is_that_of_table_1():
    flops, (least, most) = whole_paper((0.5, 1.0))
    images = 500_000 * 2048
    assert flops == pytest.approx(3 * images * 1e9 * family.table1()["gflops"].sum(), rel=1e-4)
    assert most == pytest.approx(2 * least) and least == pytest.approx(flops / 197e12 / 86_400)
    with pytest.raises(ValueError, match="share"):
        whole_paper((0.6, 0.2))
