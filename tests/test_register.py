"""The register of models: what is entered, and that a training done again counts as the first one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ldm import paths, profiles
from ldm.networks import weights
from ldm.tasks import models, register

SMOKE = profiles.get("smoke")


def test_a_training_done_again_goes_by_the_digest_of_the_first_and_is_known_without_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "WEIGHTS", tmp_path / "weights")
    model = SMOKE, 8, 1_000, 3
    assert not register.is_known(*model)
    path = models.model_path(*model, root=paths.RUNS)
    weights.save_half(path, {"w": np.ones(3, np.float32)})
    original = register.digest_of(path)
    register.note_models(SMOKE)
    register.record_models(SMOKE)
    path.unlink()
    assert register.is_known(*model) and register.model_digest(*model) == original

    (path.parent / "models.json").unlink()  # a machine that forgets
    weights.save_half(path, {"w": np.full(3, 1.001, np.float32)})
    again = register.digest_of(path)
    register.note_models(SMOKE)
    assert again != original == register.original_digest(SMOKE, again) == register.model_digest(*model)
    register.record_models(SMOKE)
    assert register.registered(SMOKE) == {path.name: original}


def test_a_model_whose_numbers_meant_something_else_is_refused(tmp_path, monkeypatch):
    """No shape tells what a network predicts, or how fast the sinusoids of its guidance scale turned."""
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    profile, params = profiles.get("smoke"), {"weight": np.ones(3, np.float32)}
    path = models.model_path(profile, 8, 1_000, root=tmp_path, kind="codi")
    models.save(path, params, profile, 8, 1_000, 0)
    load = lambda: models.load(params, profile, 8, 1_000, kind="codi")
    np.testing.assert_array_equal(load()["weight"], params["weight"])
    for name, other in (("predict", "v"), ("guidance_frequency", 10.0)):
        models.save(path, params, replace(profile, **{name: other}), 8, 1_000, 0)
        with pytest.raises(ValueError, match=f"{path.name} was trained with {name} = {other!r}, and profile smoke has"):
            load()
    weights.save_half(path, params)  # of before files said so
    assert load().keys() == params.keys()
