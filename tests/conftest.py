"""JAX as the tests want it (on the CPU, eight devices, strict types), the marks, and what many tests share."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.environment import AT_ONCE, one_device

ROOT = Path(__file__).parents[1]
os.environ["JAX_PLATFORMS"] = "cpu"
for library in ("OPENBLAS", "OMP"):  # for the workers of -n: of two threads, the one that waits burns a whole core
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8 {AT_ONCE}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))  # a second run compiles nothing
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import hypothesis  # noqa: E402  (the environment has to stand before the first import of JAX)
import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

# The same examples every time, and no limit on a busy machine's time.
hypothesis.settings.register_profile("ldm", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ldm")

# Files whose tests take optimiser steps: optax raises a float to an int32 power in Adam.
STANDARD = (
    "test_train.py",
    "test_scene_networks.py",
    "test_study.py",
    "test_reconstruction.py",
    "test_superres.py",
    "test_distill.py",
    "test_dreambooth.py",
    "test_parallel.py",
    "test_gradients.py",
    "test_guards.py",
    "test_together.py",
    "test_hurried.py",
)

# A test that asks for one of these, or lies in this folder, is marked so; `slow` alone is written by hand.
MARKED = {
    "smoke_study": "study",
    "tour": "study",
    "small_book": "study",
    "chromium": "browser",
    "undisturbed": "slow",
    "sky": "slow",
}
REFERENCES = ROOT / "tests/references"


@pytest.hookimpl(tryfirst=True)  # before those that -m does not ask for are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in MARKED.keys() & set(item.fixturenames):
            item.add_marker(MARKED[fixture])
        if REFERENCES in item.path.parents:
            item.add_marker("references")
    # The study takes longest, and half of the time it waits for itself: it begins first, and others fill the gaps.
    items.sort(key=lambda item: item.get_closest_marker("study") is None)


@pytest.fixture(autouse=True)
def strict_types(request):
    """Mixing dtypes by accident is the usual way to double the memory or to lose the precision.

    Rank promotion stays allowed: (b, 1, 1, c) against (b, h, w, c) is how the networks broadcast.
    """
    kind = "standard" if request.path.name in STANDARD else "strict"
    with jax.numpy_dtype_promotion(kind):
        yield


@pytest.fixture
def any_types():
    """What is of a wrong type reaches the library's own check, where `make check` has annotations checked."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def compiles_once():
    """Check that a jitted function has been compiled exactly once, however often it was called.

    `compiles_once(sample)` at the end of a sweep fails when a swept value was a static argument. A
    function that lives longer than the test starts from zero: `compiles_once.reset(sample)`.
    """

    def check(jitted) -> None:
        count = jitted._cache_size()
        assert count == 1, f"{jitted.__name__} was compiled {count} times, not once"

    check.reset = lambda jitted: jitted.clear_cache()
    return check


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """(name, function that fills a folder) -> the folder, filled by whichever worker of the run wants it first."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        path, done = shared / name, shared / f"{name}.done"
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                make(path)
                done.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def tour(made_once) -> Path:
    """The small notebook of tests/data, executed."""
    from tests.tour import execute

    return made_once("tour", execute) / "tour.ipynb"


@pytest.fixture(scope="session")
def small_book(made_once, tour) -> Path:
    """The pages of a book of that one notebook."""
    from tests.tour import make_book

    return made_once("small-book", lambda root: make_book(root, tour)) / "build/_build/html"


@pytest.fixture(scope="session")
def smoke_study() -> Path:
    """build/smoke after `make study PROFILE=smoke`: executed notebooks and the book made of them.

    The workers of a test run share it; where nothing has changed since, it is there in a second.
    """
    (ROOT / "build").mkdir(exist_ok=True)
    with open(ROOT / "build/.smoke-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "study", "PROFILE=smoke"], cwd=ROOT, env=one_device(), capture_output=True, text=True
        )
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-5000:]
    assert "_build/html/index.html" in made.stdout
    return ROOT / "build/smoke"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium: named by the variable CHROMIUM, on the path, or playwright's own; without one, tests that
    need it are left out, unless LDM_DEMAND_BROWSER is set.
    """
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "book"))
    from pdf import chromium as found

    path = found()
    if not path:
        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
    if not Path(path).is_file():
        end = pytest.fail if os.environ.get("LDM_DEMAND_BROWSER") else pytest.skip
        end("no Chromium found: .venv/bin/playwright install chromium, or set CHROMIUM")
    return path


@pytest.fixture(scope="module")
def browser(chromium):
    """That Chromium, started; for a file of tests only, since while it runs no other event loop can."""
    from playwright.sync_api import sync_playwright

    from tests.pages import FLAGS

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()
