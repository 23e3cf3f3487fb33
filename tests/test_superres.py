"""Super-resolution: what the network sees, that it begins as the pretrained one, and how its cells are measured."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ldm import paths, profiles
from ldm.diffusion.solvers import ddim, plan
from ldm.figures import superres as figures
from ldm.networks import sizes, weights
from ldm.networks.structure import abstract, merge
from ldm.statistics import comparisons
from ldm.statistics import superres as asked
from ldm.study import findings, recorded, superres_grid
from ldm.study import photographs as gallery
from ldm.study import superres as superres_study
from ldm.study.results import Store
from ldm.study.run import at_hand, run
from ldm.tasks import models as models_tasks
from ldm.tasks import pairs as twins
from ldm.tasks import pretrain, superres, superres_recipe
from ldm.tasks.models import Model
from ldm.training.loop import TrainConfig

SMOKE = profiles.get("smoke")
NULL = np.zeros((SMOKE.tokens, SMOKE.context), np.float32)


class Halves:
    """A codec without weights: latents are means of pixels, so that tests need not wait for the real one."""

    def encode(self, images):
        n, h, w, _ = images.shape
        means = images.reshape(n, h // 4, 4, w // 4, 4, 3).mean((2, 4), dtype=np.float32) / 127.5 - 1
        return np.concatenate([means, means[..., :1]], -1)

    def decode(self, latents):
        return np.clip(np.rint((latents[..., :3] + 1) * 127.5), 0, 255).astype(np.uint8).repeat(4, 1).repeat(4, 2)


@pytest.fixture(scope="module")
def pretrained():
    return pretrain.load_pretrained(SMOKE, 8, SMOKE.length)[1]


@pytest.fixture(scope="module")
def latents() -> superres.LatentPairs:
    rng = np.random.default_rng(0)
    return superres.LatentPairs(*(rng.normal(size=(32, 8, 8, 4)).astype(np.float16) for _ in range(2)))


def test_pairs_are_a_function_of_the_index_and_named_by_all_that_makes_them():
    pairs = twins.scenes(SMOKE, "train", 4)
    high, low = pairs.high(range(4)), pairs.low(range(4))
    assert high.shape == (4, 64, 64, 3) and low.shape == (4, 16, 16, 3)
    assert twins.enlarged(low).shape == high.shape
    assert np.array_equal(pairs.low([2]), low[2:3])
    mild, both = (twins.scenes(SMOKE, "train", 4, strength) for strength in ("mild", "both"))
    others = [replace(pairs, seed=1), replace(pairs, sharpen=True), twins.scenes(SMOKE, "val", 4), mild, both]
    assert len({pairs.key, *(other.key for other in others)}) == 6
    gently = mild.low(range(4))
    assert np.array_equal(both.low(range(4))[::2], low[::2]) and np.array_equal(both.low([1, 3]), gently[1::2])
    assert (
        np.abs(twins.enlarged(gently).astype(int) - high).mean() < np.abs(twins.enlarged(low).astype(int) - high).mean()
    )
    assert not np.array_equal(others[0].low(range(4)), low) and np.array_equal(others[0].high(range(4)), high)
    assert not np.array_equal(others[1].high(range(4)), high)


@pytest.mark.slow
def test_before_finetuning_the_network_is_the_pretrained_one_whatever_it_sees(pretrained):
    structure, _ = abstract(lambda keys: pretrain.build_network(SMOKE, 8, keys))
    wide, like = abstract(lambda keys: superres.unet(SMOKE, 8, keys))
    params = superres.widened(pretrained, SMOKE.autoencoder.latents)
    assert {name: p.shape for name, p in params.items()} == {name: p.shape for name, p in like.items()}
    x, seen = np.random.default_rng(0).normal(size=(2, 2, 8, 8, 4)).astype(np.float32)
    rest = (jnp.array([10, 900]), jnp.ones((2, *NULL.shape), jnp.float32))
    answer = jax.jit(lambda s, p, x: merge(s, p)(x, *rest), static_argnums=0)
    was, now = answer(structure, pretrained, x), answer(wide, params, np.concatenate([x, 100 * seen], -1))
    assert np.allclose(was, now, atol=1e-5) and np.abs(was).max() > 0.1


@pytest.mark.slow
def test_finetuning_starts_there_learns_to_look_and_leaves_a_model_a_length(pretrained, latents, tmp_path):
    config, logs = TrainConfig(images=16, batch=8, learning_rate=1e-3, warmup_images=1), []
    superres.finetune(
        SMOKE,
        8,
        data=latents,
        null=NULL,
        config=config,
        lengths=(16, 1000),
        root=tmp_path,
        start=pretrained,
        on_log=logs.append,
    )
    path = models_tasks.model_path(SMOKE, 8, 16, 0, tmp_path, "superres")
    kept = weights.load(path, half_to_float32=True)
    assert weights.metadata(path)["images"] == 16 and len(list(path.parent.glob("*.safetensors"))) == 1
    first = kept["conv_in.weight"]
    assert np.abs(first[:, :, 4:]).max() > 1e-5
    assert np.abs(first[:, :, :4] - pretrained["conv_in.weight"]).max() < 0.01  # two steps from where it was
    assert np.isfinite(logs[-1]["loss"])


@pytest.mark.usefixtures("any_types")  # there is no network
def test_on_several_devices_a_process_brings_its_rows_of_the_same_batch(latents, monkeypatch):
    asked = {}
    monkeypatch.setattr(superres, "unet", lambda *_: None)
    monkeypatch.setattr(superres, "split", lambda _: (None, {}))
    monkeypatch.setattr(
        superres, "fit", lambda loss, params, batches, config, **rest: asked.update(rest, batch=batches(3))
    )
    lay = SimpleNamespace(rows=lambda size: np.array([1, 5]))
    config = TrainConfig(images=16, batch=8)
    superres.finetune(SMOKE, 8, data=latents, null=NULL, kind="superres-scratch", config=config, lengths=(), layout=lay)
    whole = latents.batch(0, 3, 8, NULL)
    assert asked["layout"] is lay and whole["context"].shape == (8, *NULL.shape)
    for name, x in whole.items():
        np.testing.assert_array_equal(asked["batch"][name], x[[1, 5]])


def test_a_regression_is_asked_once_and_whatever_the_noise():
    schedule, predict = superres.objective(SMOKE, "superres-regression")
    table = ddim(schedule, 1)
    assert (predict, int(table.n)) == ("x0", 1)
    assert [float(column[0]) for column in (table.t, table.x, table.x0, table.z)] == [0, 0, 1, 0]
    assert superres.objective(SMOKE, "superres")[1] == superres.objective(SMOKE, "superres-scratch")[1] == SMOKE.predict


@pytest.mark.slow
def test_a_restored_picture_depends_on_what_is_seen_and_not_on_its_batch(pretrained):
    structure, _ = abstract(lambda keys: superres.unet(SMOKE, 8, keys))
    params = superres.widened(pretrained, 4)
    params["conv_in.weight"] = params["conv_in.weight"].at[:, :, 4:].set(0.1)
    restorer = superres.Restorer(profile=SMOKE, structure=structure, params=params, codec=Halves(), null=NULL)
    low = np.random.default_rng(0).integers(0, 256, (18, 8, 8, 3), dtype=np.uint8)
    table = plan("ddim", 2)
    all_of_them = np.concatenate(list(restorer.images(low, table)))
    assert all_of_them.shape == (18, 32, 32, 3)
    part = np.concatenate(list(restorer.images(low[16:], table, first=16)))
    assert np.abs(part.astype(int) - all_of_them[16:]).max() <= 1
    other = np.concatenate(list(restorer.images(255 - low[16:], table, first=16)))
    assert np.abs(other.astype(int) - part).mean() > 2


@pytest.fixture(scope="module")
def evaluator():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(superres_study, "REFERENCE", 96)
        yield superres_study.SuperResolutionEvaluator(SMOKE)


@pytest.mark.slow
def test_cells_leave_rows_that_tell_a_good_picture_from_a_bad_one(evaluator, tmp_path, monkeypatch):
    bicubic = superres_grid.Restoration(profile="smoke", kind="bicubic", n=16)
    rows = run([bicubic], store=Store(tmp_path), evaluator=evaluator).set_index("metric")
    assert set(rows["task"]) == {"bicubic"} and rows["c"].isna().all() and set(rows["n"]) == {16}
    true, low = evaluator._pictures(16, "published")
    perfect = evaluator.score(true, true).estimates
    assert perfect["lpips_effnet"][0].value == pytest.approx(0, abs=1e-6) and perfect["ssim"][0].value == pytest.approx(
        1
    )
    for name in ("lpips_effnet", "fd_effnet", "kid_effnet"):
        assert perfect[name][0].value < rows.loc[name, "lo"]
    for name in ("ssim", "psnr"):
        assert perfect[name][0].value > rows.loc[name, "hi"]
    assert set(Store(tmp_path).influences(rows.reset_index(), "ssim")) == set(rows["key"])

    model = superres_grid.Restoration(profile="smoke", c=8, images=8_000, steps=4, n=16)
    monkeypatch.setattr(evaluator, "_digest", lambda model: "made up")
    monkeypatch.setattr(evaluator, "file", lambda model: tmp_path)
    monkeypatch.setattr(evaluator, "restored", lambda cell: true)
    both = run([bicubic, model], store=Store(tmp_path), evaluator=evaluator)
    made = both[both["task"] == "superres"].iloc[0]
    per_step = sizes.norm_cost(SMOKE.network, 8, size=16, tokens=SMOKE.tokens, context=SMOKE.context)
    assert made["cost"] == pytest.approx(4 * per_step) and made["nfe"] == 4 and made["train_steps"] == 250
    gain = comparisons.gains(both, "ssim", Store(tmp_path).influences(both, "ssim"), over="bicubic").iloc[0]
    assert gain["better"] == pytest.approx(1 - rows.loc["ssim", "value"]) and gain["lo"] > 0
    with pytest.raises(ValueError, match="0 rows are of task 'superres-scratch'"):
        comparisons.gains(both, "ssim", {}, over="superres-scratch")
    table = figures.gains_table(both, ["ssim", "lpips_effnet"], Store(tmp_path).influences, over="bicubic")
    assert list(table["way"]) == ["c = 8, 4 steps"] and all(
        table[name].str.startswith("**+").all() for name in ("ssim", "lpips_effnet")
    )

    there = recorded.restored_by_steps(Store(tmp_path), SMOKE)
    assert there.empty and "no row holds" in findings.asked(asked.f5, there, Store(tmp_path), findings.RESTORED)[1]
    long = replace(model, images=SMOKE.finetuned)
    run([long, replace(long, sampler="ddpm")], store=Store(tmp_path), evaluator=evaluator)
    assert set(recorded.restored_by_steps(Store(tmp_path), SMOKE)["key"]) == {evaluator.key(long)}


def test_cells_are_at_hand_where_they_are_recorded_or_their_model_is_here(evaluator, tmp_path, monkeypatch):
    bicubic = superres_grid.Restoration(profile="smoke", kind="bicubic", n=16)
    models = superres_grid.steps_grid(SMOKE, (8, 16), (4,), ("published",))
    monkeypatch.setattr(evaluator, "file", lambda model: None)
    monkeypatch.setattr(evaluator, "_digest", lambda model: f"in the register {model.c}")
    with pytest.raises(ValueError, match="There is no trained model of c = 8 after 32,000"):
        at_hand([bicubic, *models], store=Store(tmp_path), evaluator=evaluator)
    assert at_hand([bicubic], store=Store(tmp_path), evaluator=evaluator) == [bicubic]
    monkeypatch.setattr(evaluator, "file", lambda model: tmp_path if model.c == 16 else None)
    assert at_hand([bicubic, *models], store=Store(tmp_path), evaluator=evaluator) == [bicubic, models[1]]
    monkeypatch.setattr(evaluator, "restored", lambda cell: evaluator._pictures(16, "published")[0])
    monkeypatch.setattr(evaluator, "evaluate", lambda cell: pytest.fail("checked first"))
    with pytest.raises(ValueError, match="There is no trained model of c = 8"):
        run(models[::-1], store=Store(tmp_path), evaluator=evaluator)
    monkeypatch.undo()
    monkeypatch.setattr(evaluator, "_digest", lambda model: f"in the register {model.c}")
    monkeypatch.setattr(evaluator, "restored", lambda cell: evaluator._pictures(16, "published")[0])
    monkeypatch.setattr(evaluator, "file", lambda model: tmp_path)
    run(models[:1], store=Store(tmp_path), evaluator=evaluator)
    monkeypatch.setattr(evaluator, "file", lambda model: tmp_path if model.c == 16 else None)
    assert at_hand([bicubic, *models], store=Store(tmp_path), evaluator=evaluator) == [bicubic, *models]


def test_grids_hold_the_papers_settings():
    cells = superres_grid.steps_grid(SMOKE, (8, 16))
    assert len(cells) == 2 * 2 * len(superres_grid.STEPS) and {cell.n for cell in cells} == {16}
    assert {cell.steps for cell in superres_grid.finetuning_grid(SMOKE, (8,), superres_recipe.lengths(SMOKE))} == {50}
    kinds = [cell.kind for cell in superres_grid.baselines_grid(SMOKE, 8)]
    of_a_strength = ["bicubic", "superres-regression", "superres-scratch", "superres"]
    assert kinds == ["true", "autoencoder", *of_a_strength, *of_a_strength]


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"kind": "magic"}, "kind = 'magic': expected one of superres"),
        ({"strength": "harsh"}, "strength = 'harsh': expected one of published, mild"),
        ({"c": 12}, "c = 12: expected a size of profile smoke"),
        ({"images": 5}, "images = 5: expected a length of finetuning"),
        ({"steps": 0}, "steps = 0: expected an integer from 1"),
        ({"sampler": "lms"}, "sampler = 'lms'"),
        ({"n": 3}, "n = 3: expected 16"),
        ({"kind": "true"}, "c = 8, images = 8000, steps = 4: 'true' has no network"),
        ({"kind": "bicubic", "c": 0, "images": 0}, "c = 0, images = 0, steps = 4: 'bicubic' has no network"),
        ({"kind": "true", "c": 0, "images": 0, "steps": 0, "strength": "mild"}, "strength = 'mild': of 'true' nothing"),
        ({"kind": "superres-regression"}, "steps = 4: superres-regression restores at once"),
    ],
)
def test_a_wrong_cell_is_refused_before_anything_runs(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        superres_grid.Restoration(**({"profile": "smoke", "c": 8, "images": 8_000, "steps": 4, "n": 16} | change))


def test_a_model_that_is_not_there_is_named_with_the_command_that_makes_it():
    with pytest.raises(ValueError, match="superres-unet-short-smoke-c8-1k-s9.*python -m ldm superres"):
        superres.load_finetuned(SMOKE, 8, 1000, seed=9)


def test_a_finetuned_model_is_loaded_by_seed_and_kind_with_the_networks_that_the_evaluator_holds(
    evaluator, pretrained, tmp_path, monkeypatch
):
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    frozen = evaluator.frozen
    monkeypatch.setattr(pretrain, "frozen_networks", lambda profile: pytest.fail("they were loaded again"))
    path = models_tasks.model_path(SMOKE, 8, 1_000, 3, tmp_path, "superres-scratch")
    models_tasks.save(path, superres.widened(pretrained, 4), SMOKE, 8, 1_000, 3)
    loaded = evaluator.load(Model(8, 1_000, 3, "superres-scratch"))
    assert loaded.kind == "superres-scratch" and loaded.codec is frozen[0]
    expected = weights.load(path, half_to_float32=True)
    np.testing.assert_array_equal(loaded.params["conv_in.weight"], expected["conv_in.weight"])


def test_a_folder_of_photographs_gives_pairs_and_a_model_that_its_file_alone_tells(tmp_path, pretrained):
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(folder / "a.jpg")
    pairs = twins.photographs(SMOKE, folder, 4)
    assert pairs.high(range(4)).shape == (4, 64, 64, 3) and pairs.low(range(4)).shape == (4, 16, 16, 3)
    assert not np.array_equal(pairs.high([1])[0], pairs.data.item(1)[0])  # sharpened
    assert twins.folder_of(pairs, folder).name == f"photographs-{pairs.key[:6]}"
    assert models_tasks.lengths_until(9_000, superres_recipe.lengths(SMOKE)) == (8_000, 9_000)
    assert models_tasks.lengths_until(32_000, superres_recipe.lengths(SMOKE)) == superres_recipe.lengths(SMOKE)

    path = models_tasks.model_path(SMOKE, 8, 1_000, 0, tmp_path, "superres-scratch")
    models_tasks.save(path, superres.widened(pretrained, 4), SMOKE, 8, 1_000, 0)
    restorer = superres.restorer(SMOKE, 16, 32_000, file=path)
    assert restorer.kind == "superres-scratch" and restorer.params["conv_in.weight"].shape == (3, 3, 8, 8)


@pytest.mark.slow
def test_photographs_are_judged_as_scenes_are(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(3):
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        small.resize((120, 90), Image.Resampling.BICUBIC).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(superres_study, "REFERENCE", 96)
    bicubic = gallery.PhotographEvaluator.restored
    true = lambda evaluator, cell: evaluator._pictures(cell.n, cell.strength)[0]
    restored = lambda evaluator, cell: (bicubic if cell.kind == "bicubic" else true)(evaluator, cell)
    monkeypatch.setattr(gallery.PhotographEvaluator, "restored", restored)
    monkeypatch.setattr(superres_study.SuperResolutionEvaluator, "key", lambda evaluator, cell: f"{cell.kind}-key")
    monkeypatch.setattr(superres_study.SuperResolutionEvaluator, "file", lambda evaluator, model: tmp_path)
    table = gallery.measure_photographs(SMOKE, tmp_path, 8, n=16, store=Store(tmp_path)).set_index("metric")
    assert set(table.index) == set(gallery.JUDGED) and set(table["n"]) == {16}
    assert table.loc["lpips_effnet", "restored"] == pytest.approx(0, abs=1e-6) and table.loc["ssim", "lo"] > 0
    assert Store(tmp_path).rows()["protocol"].str.contains("val crops of photographs").all()
    own = tmp_path / "superres-regression-mine.safetensors"
    monkeypatch.setattr(superres, "described", lambda file: ("superres-regression", 16))
    gallery.measure_photographs(SMOKE, tmp_path, 8, model=own, n=16, store=Store(tmp_path))
    row = Store(tmp_path).rows(task="superres-regression").iloc[0]
    assert (row["c"], row["steps"]) == (16, 1)  # the file says its width and kind, and a regression has one step
    with pytest.raises(ValueError, match="no PNG, JPEG or WebP file"):
        gallery.measure_photographs(SMOKE, tmp_path / "runs", 8, n=16, store=Store(tmp_path))
