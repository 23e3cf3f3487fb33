"""Distillation on data whose flow is known: students end where the teacher's steps end, and start as their teacher."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ldm import paths, profiles
from ldm.data.latents import LatentSet
from ldm.diffusion.solvers import ddim
from ldm.metrics import Estimate
from ldm.networks.initial import KeySource
from ldm.networks.structure import abstract, split
from ldm.networks.time_embedding import LCM_FREQUENCY, TimeEmbedding, guidance_embedding
from ldm.study import distillation
from ldm.study.scene_metrics import Measurement
from ldm.tasks import pretrain
from ldm.tasks.distillation import methods, student
from ldm.tasks.distillation.codi import codi_loss
from ldm.tasks.distillation.flow import level_grid
from ldm.tasks.distillation.guided import guidance_loss, halving_loss
from ldm.tasks.distillation.lcm import lcm_loss
from ldm.training.checkpoint import TrainCheckpoints
from ldm.training.guards import Diverged
from ldm.training.loop import TrainConfig, fit
from ldm.training.parallel import layout
from tests.toy import SD, walk

VARIANCE = np.array([0.3, 2.0])
NULL = jnp.zeros((1, 2))
SCALES = (1.0, 3.0)
ALPHA, SIGMA = SD.alpha[:, None], SD.sigma[:, None]
GAIN = ALPHA * VARIANCE / (ALPHA**2 * VARIANCE + SIGMA**2)  # of the mean of x0 given x, (1000, 2)


class Affine(nnx.Module):
    """v = gain[t] x + shift[t] w m, m the caption's context and w the scale: all that Gaussian data need.

    Data of the caption m are N(m, VARIANCE), those of the empty one N(0, VARIANCE); under guidance w the teacher's
    are then N(w m, VARIANCE), and their flow is known.
    """

    def __init__(self, gain: np.ndarray, shift: np.ndarray):
        self.gain, self.shift = (nnx.Param(jnp.asarray(a, jnp.float32)) for a in (gain, shift))

    def __call__(self, x, t, context, w=None):
        m = context if w is None else w[:, None, None] * context
        at = t.astype(jnp.int32)
        return (self.gain[...][at] * x[:, 0, 0] + self.shift[...][at] * m[:, 0])[:, None, None]


def of_x0(gain, shift) -> Affine:
    """The network whose x0 is gain x + shift m."""
    return Affine((ALPHA - gain) / SIGMA, -shift / SIGMA)


STRUCTURE, TEACHER = split(of_x0(GAIN, 1 - ALPHA * GAIN))


def batches(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    m = rng.standard_normal((64, 2))
    x = m + np.sqrt(VARIANCE) * rng.standard_normal((64, 2))
    return {"latents": x[:, None, None].astype(np.float32), "context": m[:, None].astype(np.float32)}


def train(loss, teacher=TEACHER, batches=batches):
    """From the teacher's weights to a student's."""
    config = TrainConfig(images=64 * 1500, batch=64, learning_rate=0.05, warmup_images=64, decay_images=64 * 300)
    return fit(loss, TEACHER, batches, config, teacher=teacher, log_steps=500).ema


def x0_at(params, t: int, x: np.ndarray, m: np.ndarray) -> np.ndarray:
    gain, shift = (np.asarray(params[name])[t] for name in ("gain", "shift"))
    return SD.alpha[t] * x - SD.sigma[t] * (gain * x + shift * m)


def start() -> tuple[np.ndarray, np.ndarray]:
    """Noise, and w m."""
    return np.random.default_rng(1).standard_normal((2, 1000, 2)) * [[[1.0]], [[2.0]]]


def by_steps(n: int) -> np.ndarray:
    """Where n DDIM steps of the guided teacher lead."""
    x, m = start()
    *_, end = walk(ddim(SD, n), lambda x, t: x0_at(TEACHER, t, x, m), x, "x0")
    return end


def by_flow() -> np.ndarray:
    """Where infinitely many do: standard scores do not change along the flow."""
    x, m = start()
    scores = (x - SD.alpha[-1] * m) / np.sqrt(SD.alpha[-1] ** 2 * VARIANCE + SD.sigma[-1] ** 2)
    return m + np.sqrt(VARIANCE) * scores


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square(a - b).mean()))


@cache
def in_one_step(method: str, segments: int) -> np.ndarray:
    """Where a student ends that has been trained by a method."""
    make = {"codi": partial(codi_loss, data=0.0), "lcm": lcm_loss}[method]
    loss = make(STRUCTURE, STRUCTURE, SD, "v", null=NULL, scales=SCALES, segments=segments)
    return x0_at(train(loss), 999, *start())


@pytest.mark.parametrize("n", [1, 4, 7, 40, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 20, 32, 1000))])
def test_the_grid_is_the_samplers_and_ends_clean(n):
    level = level_grid(SD, "v")(jnp.arange(n + 1), n)
    np.testing.assert_array_equal(level.t[:-1], SD.times(n))
    np.testing.assert_allclose(np.ravel(level.alpha)[:-1], SD.alpha[SD.times(n)], rtol=1e-6)
    x = jnp.ones((n + 1, 1, 1, 2))
    np.testing.assert_array_equal(level.x0(x, 7 * x)[-1], x[-1])


@pytest.mark.parametrize("name", ["laptop-eps", "laptop-v", "laptop-flow"])
@pytest.mark.parametrize("kind", ["codi", "lcm", "guided-4"])
def test_students_are_drawn_at_the_times_that_they_were_taught_whatever_their_teachers_are(name, kind):
    """Stable Diffusion's own times begin below the last one, which a student has to start from."""
    profile = profiles.get(name)
    taught = level_grid(profile.schedule, profile.predict)(jnp.arange(4), 4).t
    [cell] = distillation.distillation_grid(profile, [kind], [profile.family[0]], [4], [2.0])
    np.testing.assert_array_equal(profile.plan(cell.sampler, cell.steps).t[: cell.steps], taught)
    [on] = distillation.distillation_grid(profile, ["continued"], [profile.family[0]], [4], [2.0])
    assert on.sampler == "ddim"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["codi", "lcm"])
def test_a_consistent_student_ends_where_its_teachers_steps_end(method):
    """And these end the nearer to the flow's end the more they are (DDIM is of order 1)."""
    ends = {n: in_one_step(method, n) for n in (4, 12)}
    alone = off(by_steps(1), by_flow())
    for n, end in ends.items():
        assert off(end, by_steps(n)) < 0.03 * alone
    assert off(ends[12], by_flow()) < 0.5 * off(ends[4], by_flow()) < 0.25 * alone


@pytest.mark.slow
def test_codis_second_term_pulls_towards_the_mean_as_far_as_calculated():
    """Without guidance each place's optimum weighs the next place's answer, by 1 / sigma^2, with the mean of the
    data.
    """
    n = 4
    times = SD.times(n)
    alpha, sigma, k = SD.alpha[times], SD.sigma[times], GAIN[times]

    def optimum(data: float) -> np.ndarray:
        gain = np.ones(2)
        for i in reversed(range(n)):
            a2, s2 = (alpha[i + 1], sigma[i + 1]) if i + 1 < n else (1.0, 0.0)
            onwards = a2 * k[i] + s2 / sigma[i] * (1 - alpha[i] * k[i])  # the teacher's step
            gain = (gain * onwards / sigma[i] ** 2 + data * k[i]) / (1 / sigma[i] ** 2 + data)
        return gain

    loss = codi_loss(STRUCTURE, STRUCTURE, SD, "v", null=NULL, scales=(1.0, 1.0), segments=n, data=1.0)
    found = SD.alpha[999] - SD.sigma[999] * np.asarray(train(loss)["gain"])[999]
    np.testing.assert_allclose(found, optimum(1.0), rtol=0.1)
    assert (found < 0.7 * optimum(0.0)).all() and (found > 1.3 * k[0]).all()


@pytest.mark.slow
def test_halving_twice_makes_one_step_of_four():
    """The first stage's answer is `TEACHER` told the scale: that its loss is least there is the next test."""
    params, loss = TEACHER, halving_loss(STRUCTURE, SD, "v", scales=SCALES)
    for steps in (2, 1):
        params = train(loss, params, lambda step, n=steps: batches(step) | {"steps": np.int32(n)})
    alone = off(by_steps(1), by_flow())
    assert off(x0_at(params, 999, *start()), by_steps(4)) < 0.03 * alone


@pytest.mark.slow
def test_the_losses_are_zero_where_there_is_nothing_to_learn():
    """One step of the grid: its end is the teacher's own estimate, whatever the averaged student would say of it."""
    args = (TEACHER, batches(0), jax.random.key(0), TEACHER, jax.tree.map(lambda p: 7 * p, TEACHER))
    common = {"null": NULL, "scales": SCALES}
    for loss in (
        codi_loss(STRUCTURE, STRUCTURE, SD, "v", segments=1, data=0.0, **common),
        lcm_loss(STRUCTURE, STRUCTURE, SD, "v", segments=1, **common),
        guidance_loss(STRUCTURE, STRUCTURE, SD, "v", **common),
    ):
        assert float(loss(*args)[0]) < 1e-6
        away = (jax.tree.map(lambda p: p + 1, TEACHER), *args[1:])
        assert float(loss(*away)[0]) > 0.1


def test_a_prediction_that_breaks_the_boundary_is_refused():
    with pytest.raises(ValueError, match="predict = 'x0': expected v, eps or flow"):
        level_grid(SD, "x0")
    with pytest.raises(ValueError, match="method = 'turbo': expected one of codi, lcm, guided, continued"):
        methods.kinds("turbo")


# --- the task -----------------------------------------------------------------------------------


def test_a_student_starts_as_its_teacher_whatever_it_is_told():
    """The projection of the scale is all that a student has more, and it is 0."""
    smoke = profiles.get("smoke")
    extra = set(student.network(smoke, "lcm", 8)[1]) - set(student.network(smoke, "continued", 8)[1])
    assert extra == {"time_embedding.cond_proj.weight"}
    embedding = TimeEmbedding(8, 32, 16, keys=KeySource(jax.random.key(0)))
    t, w = jnp.arange(5) * 200.0, jnp.linspace(1, 3, 5)
    np.testing.assert_array_equal(embedding(t, w), embedding(t))
    embedding.cond_proj.weight = nnx.Param(jnp.ones((16, 8)))
    assert np.abs(embedding(t, w) - embedding(t)).max() > 0.1


def test_scales_that_are_near_are_told_nearly_alike():
    """By LCM's published sinusoids a twentieth of a unit is four fifths as far as the next whole number."""

    def apart(a: float, b: float, frequency: float) -> float:
        one, other = guidance_embedding(jnp.array([a, b]), student.WIDTH, frequency)
        return float(jnp.linalg.norm(one - other))

    slow = profiles.get("laptop-eps").guidance_frequency
    near = {f: apart(3.0, 3.05, f) / apart(3.0, 2.0, f) for f in (LCM_FREQUENCY, slow)}
    assert near.pop(LCM_FREQUENCY) > 0.7 and near.popitem()[1] < 0.2


class Small(nnx.Module):
    """Enough of a network for the task: the scale comes in as it does into the UNet."""

    def __init__(self, guidance: int, keys: KeySource):
        self.time_embedding = TimeEmbedding(4, 4, guidance, keys=keys)

    def __call__(self, x, t, context, w=None):
        return x * self.time_embedding(t, w)[:, None, None] + context.mean((1, 2))[:, None, None, None]


@pytest.fixture
def small(monkeypatch):
    """The task with a small network in the UNet's place, and its arguments."""
    build = lambda kind: partial(Small, 0 if kind == "continued" else student.WIDTH)
    monkeypatch.setattr(student, "network", lambda profile, kind, c: abstract(build(kind)))
    monkeypatch.setattr(pretrain, "load_pretrained", lambda *_: split(build("continued")(KeySource(jax.random.key(0)))))
    rng = np.random.default_rng(0)
    data = LatentSet(rng.standard_normal((80, 2, 2, 4), np.float32), rng.standard_normal((80, 3, 2), np.float32))
    return profiles.get("laptop-v"), {"images": 1000, "data": data, "null": np.zeros((3, 2), np.float32)}


@pytest.mark.slow
def test_all_kinds_of_a_method_are_trained_kept_and_not_trained_twice(small, tmp_path, monkeypatch):
    profile, task = small
    monkeypatch.setattr(methods, "HALVINGS", (2, 1))
    names = [path.name for path in student.distill(profile, "guided", 8, root=tmp_path, **task)]
    assert names == [f"{kind}-v-c8-1k-s0.safetensors" for kind in ("guided", "guided-2", "guided-1")]
    monkeypatch.setattr(student, "fit", lambda *_, **__: pytest.fail("a finished student was trained again"))
    student.distill(profile, "guided", 8, root=tmp_path, **task)
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    params = student.load_student(profile, 8, 1000, 0, "guided-1")[1]
    assert np.abs(params["time_embedding.cond_proj.weight"]).max() > 0
    with pytest.raises(ValueError, match="codi-v-c8-1k-s0.safetensors; train it with `python -m ldm distill codi"):
        student.load_student(profile, 8, 1000, 0, "codi")


def test_on_two_devices_a_student_learns_the_same(small, tmp_path, monkeypatch):
    profile, task = small

    def loss(params, batch, key, teacher, averaged):
        apart = sum(jnp.square(params[name] - 2 * teacher[name] + 0.1 * averaged[name]).mean() for name in teacher)
        return apart * jnp.square(batch["latents"]).mean(), {}

    monkeypatch.setattr(student, "student_loss", lambda *_: loss)
    losses = []
    for name, lay in (("one", None), ("two", layout(2, 2))):
        student.distill(
            profile, "lcm", 8, root=tmp_path / name, layout=lay, on_log=lambda log: losses.append(log["loss"]), **task
        )
    assert len(losses) == 2 and losses[0] == pytest.approx(losses[1], rel=1e-5)


class Fading:
    """Data that become one picture after 30 steps."""

    def batch(self, seed: int, step: int, size: int, part: slice) -> dict[str, np.ndarray]:
        x = np.random.default_rng(step).standard_normal((size, 2, 2, 4), np.float32)
        return {"latents": x * np.float32(1 if step < 30 else 0.01)}


def test_a_student_that_collapses_is_stopped_and_its_last_good_checkpoint_stays(small, tmp_path, monkeypatch):
    profile, task = small
    loss = lambda params, batch, key, teacher, averaged: (
        sum(jnp.square(p).sum() for p in params.values()),
        {"spread": batch["latents"].std()},
    )
    monkeypatch.setattr(student, "student_loss", lambda *_: loss)
    monkeypatch.setattr("ldm.training.loop.SAVE_SECONDS", 0)
    with pytest.raises(Diverged, match="lcm: the estimates' spread is 0.00989 of the data's after 2,560 images"):
        student.distill(profile, "lcm", 8, root=tmp_path, **task | {"images": 4000, "data": Fading()})
    assert TrainCheckpoints(tmp_path / profile.weights / "train-lcm-v-c8-4k-s0").latest_step == 20
    assert not list(tmp_path.rglob("lcm-v-c8-4k-s0.safetensors"))


# --- the study ----------------------------------------------------------------------------------

CELL = dict(
    study="distillation",
    profile="smoke",
    c=8,
    images=profiles.get("smoke").length,
    steps=4,
    guidance=1.5,
    n=16,
    sampler="ddim",
    kind="guided-8",
    seen=32_000,
)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "turbo"}, "kind = 'turbo': expected one of codi, lcm, guided, guided-32"),
        ({"guidance": 4.0}, "guidance = 4.0: students of profile smoke know 1 to 3"),
        ({"steps": 0}, "steps = 0: expected an integer from 1"),
    ],
)
def test_a_wrong_cell_of_a_student_is_refused(change, sentence):
    assert distillation.Distilled(**CELL | {"kind": "continued", "guidance": 4.0})  # pretrained on: any scale will do
    with pytest.raises(ValueError, match=sentence):
        distillation.Distilled(**CELL | change)


def test_a_student_of_stage_2_makes_its_own_steps_and_the_others_the_grids():
    cells = distillation.distillation_grid(profiles.get("smoke"), ("lcm", "guided-8"), (8, 16), (1, 4), (1.5,))
    assert [(cell.kind, cell.c, cell.steps) for cell in cells] == [
        ("lcm", 8, 1),
        ("lcm", 8, 4),
        ("lcm", 16, 1),
        ("lcm", 16, 4),
        ("guided-8", 8, 8),
        ("guided-8", 16, 8),
    ]
    assert [cell.sampler for cell in cells[-2:]] == ["ddim-trailing"] * 2 and cells[0].sampler == "consistency"


def test_a_students_rows_say_what_its_distillation_saw_and_that_it_is_asked_once_a_step():
    evaluator = distillation.DistillationEvaluator(profiles.get("smoke"))
    score = Measurement(estimates={"subject": (Estimate(0.5, 0.4, 0.6, 16), "synthetic")})
    rows = {
        kind: evaluator.rows(distillation.Distilled(**CELL | {"kind": kind}), score, 1.0)[0]
        for kind in ("guided-8", "lcm", "continued")
    }
    assert [row.task for row in rows.values()] == list(rows)
    assert [row.nfe for row in rows.values()] == [4, 4, 8]
    assert [row.images_seen for row in rows.values()] == [4 * 32_000, 32_000, 32_000]  # stage 1, then 32, 16, 8
    assert len({row.cost for row in rows.values()}) == 1
    with pytest.raises(
        ValueError, match="no trained model of c = 8 after 48,000 images .*distill guided --profile smoke"
    ):
        evaluator.key(distillation.Distilled(**CELL | {"seen": 48_000}))
