"""What the chapters show of Table 1's own sizes: what is there, drawn and asked; what is missing, named."""

from __future__ import annotations

import pandas as pd
import pytest

from ldm import cost, gpu_queue, paper_sizes, restoration, superres
from ldm.findings import ASKED, RESTORED, SAMPLERS
from ldm.profiles import profile
from ldm.restoration import STEPS
from ldm.results import Row, Store

GPU = profile("gpu")
SIZES = (64, 128)


def write(store: Store, study: str, c: int, metrics=ASKED, *, task="pretrain", n=GPU.n, **fields) -> None:
    """The rows of a cell: quality grows with size, steps and length, so that rank correlations have something to say."""
    common = dict(
        study=study, profile="gpu", task=task, c=c, size=f"{c}", params=cost.unet_params(c, GPU.context), seed=0, n=n,
        gflops=gpu_queue.gflops(GPU, c), cost=c * fields["steps"], nfe=fields["steps"], **fields,
    )  # fmt: skip
    value = 1 + 1 / c + 1 / fields["steps"] + 1e4 / fields["images_seen"] + 0.01 * fields["guidance"]
    key = "-".join(map(str, (study, task, c, *fields.values())))
    store.write(key, [Row(metric=m, protocol="p", value=value, lo=value - 0.1, hi=value + 0.1, **common) for m in metrics])


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> Store:
    store = Store(tmp_path_factory.mktemp("measured"))
    for c in SIZES:
        usual = dict(sampler="ddim", guidance=2.0)
        for images in (length for length in GPU.lengths if length <= GPU.length):
            write(store, "pretraining", c, images_seen=images, steps=50, **usual)
        for steps in (2, 4, 8, 16):
            for g in (2.0, 4.0):
                write(store, "sampling", c, images_seen=GPU.length, steps=steps, guidance=g, sampler="ddim")
                for sampler in SAMPLERS[1:] if steps > 2 else ():
                    write(store, "sampling", c, images_seen=GPU.length, steps=steps, guidance=g, sampler=sampler)
                write(store, "distillation", c, task="codi", images_seen=GPU.length, steps=steps, guidance=g, sampler="consistency")
        finetuned = dict(metrics=RESTORED, task="superres", n=restoration.pictures(GPU), sampler="ddim", guidance=1.0)
        for images in superres.LENGTHS[1:]:
            write(store, "superres", c, images_seen=images, steps=restoration.USUAL, **finetuned)
        for steps in STEPS[:3]:
            write(store, "superres", c, images_seen=superres.LENGTHS[-1], steps=steps, **finetuned)
    return store


@pytest.mark.parametrize("name", paper_sizes.PARTS)
def test_where_nothing_is_measured_one_sentence_names_what_is_asked_for(name, tmp_path):
    (said,) = paper_sizes.shown(name, Store(tmp_path), "kid_effnet")
    assert said.data.startswith("Nothing is measured yet at sizes of Table 1, on scenes of 128 px") and "c = 64, " in said.data


@pytest.mark.parametrize("name", paper_sizes.PARTS)
def test_what_is_measured_is_drawn_and_asked_and_the_rest_is_named(name, measured):
    said, chart, fold, *answers = paper_sizes.shown(name, measured, "kid_effnet")
    assert "in part: c = 64, 128;" in said.data and "192" in said.data.partition("not measured yet")[2]
    drawn = [point["c"] for data in chart.to_dict()["datasets"].values() for point in data if "c" in point]
    assert set(drawn) == set(SIZES)
    assert "make gpu-study" in fold.data
    assert all(name in answer.data and "Not asked" not in answer.data for answer in answers), [a.data for a in answers]


def test_a_size_whose_tasks_are_done_is_whole(measured):
    part, rows = paper_sizes.PARTS["F6"], pd.DataFrame({"c": [64, 128]})
    (task,) = (task for task in gpu_queue.queue(GPU) if task.why == "students" and task.c == 64)
    row = Row(study="queue", profile="gpu", task="grid", metric="minutes", protocol="card", value=1.0, lo=1.0, hi=1.0, n=1)
    measured.write(task.key, [row])
    assert "measured: c = 64; in part: c = 128; " in paper_sizes.state(part, rows, measured, GPU)


def test_a_size_without_a_student_is_not_measured_by_its_teacher(measured, tmp_path):
    teachers = measured.rows(study="sampling", c=64)
    alone = Store(tmp_path)
    for key, rows in teachers.groupby("key"):
        alone.write(key, [Row(**{k: (None if pd.isna(v) else v) for k, v in row.items()}) for row in rows.to_dict("records")])
    (said,) = paper_sizes.shown("F6", alone, "kid_effnet")
    assert said.data.startswith("Nothing is measured yet")


def test_samplers_are_compared_at_settings_that_all_were_asked(measured):
    rows = paper_sizes.by_sampler(measured, GPU)
    assert set(rows["steps"]) == {4, 8, 16} and set(rows["sampler"]) == set(SAMPLERS)
