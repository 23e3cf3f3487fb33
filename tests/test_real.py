"""What real scenes score: nearly everything is right, and the autoencoder costs what it costs, not more."""

from __future__ import annotations

from ldm import profiles
from ldm.study.real import DECODED, TRUE, RealEvaluator, real_grid
from ldm.study.results import Store
from ldm.study.run import run

SMOKE = profiles.get("smoke")


def test_real_scenes_are_judged_as_drawn_ones_are_by_what_captions_say(tmp_path):
    cells = [cell for cell in real_grid(SMOKE, 64) if cell.level in ("all", "nothing")]
    rows = run(cells, evaluator=RealEvaluator(SMOKE), store=Store(tmp_path)).set_index(["task", "level", "metric"])
    values = rows["value"]
    assert values[TRUE, "all", "subject"] > 0.9
    assert "subject" not in values[TRUE, "nothing"]  # no caption asked for one
    assert values[DECODED, "all", "fd_scene"] == values[DECODED, "nothing", "fd_scene"]  # the same pictures
    assert values[DECODED, "all", "kid_effnet_decoded"] < values[TRUE, "all", "kid_effnet_decoded"]
