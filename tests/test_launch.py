"""launch/: SkyPilot and Snakemake read their files as we mean them. Nothing here starts a machine or a job."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ldm import __main__ as cli
from ldm.files import hold

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


@pytest.mark.slow
def test_a_folder_whose_name_holds_a_space_is_no_hindrance(tmp_path):
    environment = tmp_path / "a b" / "ö"
    environment.parent.mkdir()
    environment.symlink_to(sys.prefix, target_is_directory=True)
    python = str(environment / "bin/python")
    command = [python, "-m", "snakemake", "--profile", str(ROOT / "launch/profiles/local"), "-np", "--quiet", "host"]
    made = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    lines = [shlex.split(line) for line in made.stdout.splitlines() if "a b" in line]
    assert lines and all(python in words for words in lines), lines


def test_the_address_of_the_book_can_be_opened_where_a_folder_has_a_space(tmp_path):
    root = tmp_path / "a b" / "ö"
    root.mkdir(parents=True)
    (root / "Makefile").write_text((ROOT / "Makefile").read_text().replace("$(PY) -m snakemake", "true"))
    asked = ["make", "-o", "/", "study", f"PY={sys.executable}", "ENV=Makefile"]
    said = subprocess.run(asked, cwd=root, capture_output=True, text=True).stdout
    assert f"file://{tmp_path}/a%20b/%C3%B6/build/laptop-eps/_build/html/index.html" in said


def test_a_second_study_of_one_profile_is_refused_while_the_first_one_runs(tmp_path):
    command = [sys.executable, "-m", "snakemake", "--profile", str(ROOT / "launch/profiles/local"), "--config"]
    with hold(ROOT / "build/never-built/study.lock"):
        made = subprocess.run([*command, "profile=never-built"], cwd=ROOT, capture_output=True, text=True)
    shutil.rmtree(ROOT / "build/never-built")
    assert made.returncode and "study.lock is held by another process" in made.stderr
    assert "ldm notebook" not in made.stderr


def test_the_study_needs_no_home(tmp_path):
    planned = (ROOT / "Makefile").read_text().replace("-m snakemake", "-m snakemake --dry-run")
    (tmp_path / "Makefile").write_text(planned)
    asked = ["make", "-f", str(tmp_path / "Makefile"), "study", "PROFILE=never-built", f"PY={sys.executable}"]
    made = subprocess.run(
        [*asked, "ENV=Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/proc/no"},
    )
    assert made.returncode == 0 and "This was a dry-run" in made.stdout + made.stderr, made.stderr[-2000:]


@pytest.mark.parametrize("path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.stem)
def test_compiled_programs_are_kept_for_the_same_processor_and_versions_alone(path):
    steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
    kept = [step["with"] for step in steps if step.get("uses", "").startswith("actions/cache@")]
    for cache in kept:
        if ".jax_cache" in cache["path"]:
            for name in (cache["key"], *cache.get("restore-keys", "").splitlines()):
                assert "steps.processor.outputs.flags" in name and "'constraints.txt'" in name
    (run,) = [step["run"] for step in steps if step.get("id") == "processor"] or ["true"]
    process = subprocess.run(["bash", "-ec", run], env={"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": "/dev/stdout"})
    assert process.returncode == 0
