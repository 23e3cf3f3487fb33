"""Schedulers of folders: drawn as diffusers draws them, or by DDIM with a word; written as they were read."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial

import diffusers
import numpy as np
import pytest
from diffusers import DDIMScheduler

from ldm.__main__ import main
from ldm.diffusion import solvers
from ldm.diffusion.sampler import image_keys, initial_noise
from ldm.interop.stable_diffusion.pipeline import read_pipeline, write_pipeline
from ldm.interop.stable_diffusion.scheduler import read_noise, write_noise
from tests.references.stable_diffusion import draw, pipeline, scheduler

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # of torch inside diffusers
STEPS, GUIDANCE = 6, 3.0
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return pipeline(tmp_path_factory.mktemp("vocabulary"), "sd1", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, made):
    path = tmp_path_factory.mktemp("drawn") / "theirs"
    made.save_pretrained(path)
    return path


NOISE = (
    "beta_schedule",
    "beta_start",
    "beta_end",
    "num_train_timesteps",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
    "rescale_betas_zero_snr",
    "trained_betas",
    "thresholding",
)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"beta_schedule": "linear"},
        {"prediction_type": "sample"},
        {"timestep_spacing": "linspace"},
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    ],
)
def test_noise_is_what_the_scheduler_says(tmp_path, fields):
    theirs = scheduler(**fields)
    theirs.save_pretrained(tmp_path / "theirs")
    noise = read_noise(tmp_path / "theirs")
    np.testing.assert_allclose(noise.schedule.alpha**2, theirs.alphas_cumprod.numpy(), rtol=1e-5, atol=1e-7)
    theirs.set_timesteps(10)
    np.testing.assert_array_equal(noise.schedule.times(10, noise.spacing), theirs.timesteps.numpy())
    write_noise(tmp_path / "ours", noise)
    again = DDIMScheduler.from_pretrained(tmp_path / "ours").config
    assert {name: again[name] for name in NOISE} == {name: theirs.config[name] for name in NOISE}


def named(kind: str, **fields):
    return getattr(diffusers, kind)(**SD | fields)


DRAWN = {
    "DDIM to the first level": partial(
        named, "DDIMScheduler", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    ),
    "DDIM on trailing times": partial(named, "DDIMScheduler", clip_sample=False, timestep_spacing="trailing"),
    "DDIM, clipped": partial(named, "DDIMScheduler", clip_sample=True, clip_sample_range=0.7, steps_offset=1),
    "Euler": partial(named, "EulerDiscreteScheduler", timestep_spacing="leading", steps_offset=1),
    "Euler to the first level": partial(
        named, "EulerDiscreteScheduler", timestep_spacing="leading", final_sigmas_type="sigma_min"
    ),
    "Euler of v": partial(named, "EulerDiscreteScheduler", timestep_spacing="leading", prediction_type="v_prediction"),
    "Heun": partial(named, "HeunDiscreteScheduler", timestep_spacing="leading", steps_offset=1),
    "Heun, clipped": partial(
        named, "HeunDiscreteScheduler", timestep_spacing="leading", clip_sample=True, clip_sample_range=0.7
    ),
    "2M": partial(named, "DPMSolverMultistepScheduler"),
    "2M, leading": partial(named, "DPMSolverMultistepScheduler", timestep_spacing="leading", steps_offset=1),
    "2M of x0": partial(named, "DPMSolverMultistepScheduler", prediction_type="sample", timestep_spacing="trailing"),
    "2M to the first level": partial(named, "DPMSolverMultistepScheduler", final_sigmas_type="sigma_min"),
    "2S": partial(named, "DPMSolverSinglestepScheduler"),
}


ALIKE = ("DDIM to the first level", "Euler", "Euler to the first level")  # hardly to be told from plain DDIM


@pytest.mark.parametrize("name", DRAWN)
def test_the_folders_own_scheduler_draws_the_picture(tmp_path, made, folder, name):
    made.scheduler, whole = DRAWN[name](), read_pipeline(folder)
    made.scheduler.save_pretrained(tmp_path / "scheduler")
    ours = replace(whole, noise=read_noise(tmp_path / "scheduler"))
    assert ours.noise.instead is None
    noise = np.asarray(initial_noise(image_keys(7, range(1)), (16, 16, 4)))
    expected = draw(made, ["a cat"], noise, STEPS, GUIDANCE)
    drawn, plain = (model.images(["a cat"], model.plan(STEPS), GUIDANCE, seed=7) / 255 for model in (ours, whole))
    assert expected.std() > 0.05
    assert np.abs(drawn - expected).mean() < 0.6 / 255  # half of it by rounding
    assert name in ALIKE or np.abs(plain - expected).mean() > 1.2 / 255


@pytest.mark.parametrize("fields", [{"set_alpha_to_one": False}, {"final_sigmas_type": "sigma_min"}])
def test_the_last_step_ends_where_the_file_says(tmp_path, fields):
    kind = "DDIMScheduler" if "set_alpha_to_one" in fields else "EulerDiscreteScheduler"
    named(kind, timestep_spacing="leading", steps_offset=1, **fields).save_pretrained(tmp_path)
    noise = read_noise(tmp_path)
    assert noise.plan(5).x[4] == pytest.approx(noise.schedule.sigma[0] / noise.schedule.sigma[1])
    assert replace(noise, whole=True).plan(5).x[4] == 0


def test_ancestral_steps_are_those_of_ddpm(tmp_path):
    named("DDPMScheduler", steps_offset=1).save_pretrained(tmp_path)
    noise = read_noise(tmp_path)
    assert noise.instead is None and noise.held == (1.0, 0.0)
    np.testing.assert_array_equal(noise.plan(9).z, solvers.ddpm(noise.schedule, 9, spacing="leading").z)


OTHERS = {
    "PNDMScheduler": ({"skip_prk_steps": True}, "for which there is no table"),
    "UniPCMultistepScheduler": ({}, "for which there is no table"),
    "LCMScheduler": ({}, "for which there is no table"),
    "DPMSolverMultistepScheduler": ({"use_karras_sigmas": True}, "with use_karras_sigmas = True, for which"),
    "EulerDiscreteScheduler": ({"use_exponential_sigmas": True}, "with use_exponential_sigmas = True, for which"),
    "DPMSolverSinglestepScheduler": ({"solver_order": 3}, "with solver_order = 3, for which there is no table"),
    "DDPMScheduler": ({"variance_type": "fixed_large"}, "with variance_type = 'fixed_large', for which"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_where_there_is_no_table_ddim_is_used_and_the_user_is_told(tmp_path, kind):
    fields, why = OTHERS[kind]
    named(kind, **fields).save_pretrained(tmp_path)
    noise = read_noise(tmp_path)
    assert noise.instead.startswith(f"The folder names {kind}, {why}")
    assert noise.instead.endswith("; DDIM is used instead.") and "\n" not in noise.instead
    theirs = DDIMScheduler.from_pretrained(tmp_path)
    theirs.set_timesteps(5)
    np.testing.assert_array_equal(noise.plan(5).t[:5], theirs.timesteps.numpy())


def test_the_command_says_which_scheduler_is_used_instead(tmp_path, made, monkeypatch, capsys):
    made.scheduler = named("PNDMScheduler", skip_prk_steps=True, steps_offset=1)
    made.save_pretrained(tmp_path / "theirs")
    words = [tmp_path / "theirs", "a cat", "--steps", 2, "--out", tmp_path / "cat.png"]
    monkeypatch.setattr(sys, "argv", ["ldm", "draw", *map(str, words)])
    main()
    assert capsys.readouterr().err.splitlines() == [
        "The folder names PNDMScheduler, for which there is no table; DDIM is used instead."
    ]


KEPT = [*DRAWN.values(), *(partial(named, kind, **fields) for kind, (fields, _) in OTHERS.items())]


@pytest.mark.parametrize("theirs", KEPT, ids=lambda theirs: theirs.args[0])
def test_a_schedulers_file_is_written_as_it_was_read(tmp_path, theirs):
    theirs().save_pretrained(tmp_path / "theirs")
    noise = read_noise(tmp_path / "theirs")
    write_noise(tmp_path / "ours", noise)
    name = "scheduler_config.json"
    assert (tmp_path / "ours" / name).read_text() == (tmp_path / "theirs" / name).read_text()
    write_noise(tmp_path / "changed", replace(noise, end=0.011, offset=3))
    before, after = (json.loads((tmp_path / part / name).read_text()) for part in ("theirs", "changed"))
    assert after == before | {"beta_end": 0.011, "steps_offset": 3}


def test_a_pipeline_keeps_its_scheduler(tmp_path, folder):
    whole = read_pipeline(folder)
    whole = replace(whole, noise=replace(whole.noise, scheduler="EulerDiscreteScheduler", file={}))
    write_pipeline(tmp_path / "ours", whole)
    again = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path / "ours")
    assert isinstance(again.scheduler, diffusers.EulerDiscreteScheduler)
    assert read_pipeline(tmp_path / "ours").noise.plan(3).t.tolist() == whole.noise.plan(3).t.tolist()


def test_a_long_schedule_takes_many_steps(tmp_path):
    named("DDIMScheduler", num_train_timesteps=4000, clip_sample=False).save_pretrained(tmp_path)
    assert read_noise(tmp_path).plan(1500).n == 1500


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"trained_betas": [0.001] * 1000}, r"trained_betas = \[0.001, .*\.\.\.\] is not supported; expected"),
        ({"thresholding": True}, "thresholding = True is not supported"),
        ({"beta_schedule": "squaredcos_cap_v2"}, "beta_schedule of DDIMScheduler = 'squaredcos_cap_v2': expected one"),
        ({"timestep_spacing": "karras"}, "timestep_spacing of DDIMScheduler = 'karras': expected one of"),
        ({"num_train_timesteps": None}, "length = None: expected a whole number"),
        ({"steps_offset": -1}, "offset = -1: expected a whole number of at least 0"),
        ({"beta_start": None}, "start = None: expected a share of noise"),
        ({"clip_sample": True, "clip_sample_range": -1}, "clip = -1.0: expected a positive number"),
    ],
)
def test_noise_that_is_not_ours_is_refused_in_one_short_sentence(tmp_path, fields, sentence):
    scheduler().save_pretrained(tmp_path)
    path = tmp_path / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(ValueError, match=sentence) as refused:
        read_noise(tmp_path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300 + len(str(path))
