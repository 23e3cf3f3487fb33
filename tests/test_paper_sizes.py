"""What the chapters show of Table 1's own sizes: what is there is drawn and asked, and nothing else is announced."""

from __future__ import annotations

import pytest

from ldm import profiles
from ldm.figures import paper_sizes
from ldm.networks import cost
from ldm.study import superres_grid
from ldm.study.findings import COUNTED, RESTORED
from ldm.study.recorded import SAMPLERS
from ldm.study.results import Store
from ldm.study.rows import Row
from ldm.tasks import superres_recipe

GPU = profiles.get("gpu")
LARGE = profiles.downstream(GPU)
SIZES = (64, 128)


def write(store: Store, study: str, c: int, metrics=COUNTED, *, task="pretrain", n=GPU.n, of=GPU, **fields) -> None:
    """The rows of a cell: quality grows with size, steps and length, so that rank correlations have something to
    say.
    """
    common = dict(
        study=study,
        profile=of.name,
        task=task,
        c=c,
        size=f"{c}",
        params=cost.unet_params(c, GPU.context),
        seed=0,
        n=n,
        gflops=cost.unet_gflops(c, GPU.latent_shape[0], GPU.tokens, GPU.context),
        cost=c * fields["steps"],
        nfe=fields["steps"],
        **{"level": GPU.level} | fields,
    )
    value = 1 + 1 / c + 1 / fields["steps"] + 1e4 / fields["images_seen"] + 0.01 * fields["guidance"]
    key = "-".join(map(str, (study, task, c, *fields.values())))
    store.write(
        key, [Row(metric=m, protocol="p", value=value, lo=value - 0.1, hi=value + 0.1, **common) for m in metrics]
    )


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
                write(
                    store,
                    "distillation",
                    c,
                    task="codi",
                    images_seen=GPU.length,
                    steps=steps,
                    guidance=g,
                    sampler="consistency",
                )
        n = superres_grid.pictures(LARGE)
        finetuned = dict(
            of=LARGE, metrics=RESTORED, task="superres", n=n, sampler="ddim", guidance=1.0, level="published"
        )
        for images in superres_recipe.lengths(LARGE)[1:]:
            write(store, "superres", c, images_seen=images, steps=superres_grid.USUAL, **finetuned)
        for steps in (4, 8, 16, 50):
            write(store, "superres", c, images_seen=LARGE.finetuned, steps=steps, **finetuned)
    return store


@pytest.mark.parametrize("name", paper_sizes.PARTS)
def test_where_nothing_is_measured_nothing_is_said(name, tmp_path):
    assert paper_sizes.shown(name, Store(tmp_path), COUNTED[0]) == []


@pytest.mark.parametrize("name", paper_sizes.PARTS)
def test_what_is_measured_is_named_and_drawn_and_asked(name, measured):
    said, chart, fold, *answers = paper_sizes.shown(name, measured, RESTORED[0] if name in ("F2", "F5") else COUNTED[0])
    assert "c = 64, 128, after" in said.data and "192" not in said.data
    drawn = [point["c"] for data in chart.to_dict()["datasets"].values() for point in data if "c" in point]
    assert set(drawn) == set(SIZES)
    assert "make gpu-study" in fold.data
    assert all(name in answer.data and "Not asked" not in answer.data for answer in answers), [a.data for a in answers]
