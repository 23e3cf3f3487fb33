"""The register of models: what is entered, and that a training done again counts as the first one."""

from __future__ import annotations

import numpy as np

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
