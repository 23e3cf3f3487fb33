"""JAX as the tests want it: on the CPU, eight devices, strict types, and compilations counted."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from tests.environment import QUICK, one_device

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8 {QUICK}"
CACHE = Path(__file__).parent.parent / ".jax_cache"  # a second run compiles nothing
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")

import hypothesis  # noqa: E402  (the environment has to stand before the first import of JAX)
import jax  # noqa: E402
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
)


@pytest.fixture(autouse=True)
def strict_types(request):
    """Mixing dtypes by accident is the usual way to double the memory or to lose the precision.

    Rank promotion stays allowed: (b, 1, 1, c) against (b, h, w, c) is how the networks broadcast.
    """
    kind = "standard" if request.path.name in STANDARD else "strict"
    with jax.numpy_dtype_promotion(kind):
        yield


@pytest.fixture(scope="session")
def smoke_study() -> Path:
    """build/smoke after `make study PROFILE=smoke`: executed notebooks and the book made of them.

    The workers of a test run share it; where nothing has changed since, it is there in a second.
    """
    root = Path(__file__).parents[1]
    (root / "build").mkdir(exist_ok=True)
    with open(root / "build/.smoke-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = subprocess.run(
            ["make", "study", "PROFILE=smoke"], cwd=root, env=one_device(), capture_output=True, text=True
        )
    assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-5000:]
    assert "_build/html/index.html" in made.stdout
    return root / "build/smoke"


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
