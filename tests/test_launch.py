"""launch/: SkyPilot and Snakemake read their files as we mean them. Nothing here starts a machine or a job."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ldm import __main__ as cli

ROOT = Path(__file__).parents[1]
TASKS = sorted((ROOT / "launch").glob("*.yaml"))
PROFILES = sorted((ROOT / "launch/profiles").iterdir())


@pytest.fixture
def sky(monkeypatch, tmp_path):
    """SkyPilot, which takes seconds to import and keeps a state at home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return pytest.importorskip("sky")


def task(path: Path, sky):
    """The task as SkyPilot's parser and schema see it, with the variables that a person has to give."""
    config = yaml.safe_load(path.read_text())
    given = {name: "gs://somewhere" for name, value in config["envs"].items() if value is None}
    return sky.Task.from_yaml_config(config, env_overrides=given)


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_a_task_asks_for_a_tpu_and_keeps_its_results_in_the_bucket(path, sky):
    found = task(path, sky)
    (resources,) = found.resources
    assert "tpu" in next(iter(resources.accelerators)) and resources.use_spot
    assert list(found.storage_mounts) == ["/bucket"] and found.setup.split() == ["launch/prepare", "/bucket"]
    for name, value in found.envs.items():
        assert f"${name}" in path.read_text().replace("{", "").replace("}", ""), (
            f"{name} = {value} is asked for in vain"
        )


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")
def test_every_option_of_a_task_is_one_that_the_command_knows(path, sky, monkeypatch, capsys):
    words = shlex.split(task(path, sky).run)
    assert words[:3] == [".venv/bin/python", "-m", "ldm"]
    monkeypatch.setattr(sys, "argv", ["ldm", words[3], "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().out
    for word in words[4:]:
        assert not word.startswith("--") or word in said, f"{path.name}: {words[3]} knows no {word}"


@pytest.mark.filterwarnings("ignore")
def test_a_task_without_its_bucket_is_refused(sky):
    with pytest.raises(ValueError, match="BUCKET"):
        sky.Task.from_yaml_config(yaml.safe_load(TASKS[0].read_text()))


@pytest.mark.slow
@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_snakemake_plans_the_whole_study_with_each_profile(path, tmp_path):
    command = [sys.executable, "-m", "snakemake", "--profile", str(path), "--config", "profile=never-built", "-n"]
    if path.name == "kubernetes":
        command += ["--default-storage-prefix", str(ROOT)]  # the volume, which is not here
    made = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    assert "This was a dry-run" in made.stdout + made.stderr
    assert "book" in made.stdout
