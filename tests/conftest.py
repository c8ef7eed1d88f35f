"""Fixtures shared by all tests, and which of them share a worker."""

import os
import tempfile

import jax
import jax.numpy as jnp
import pytest
from xdist.scheduler import LoadScopeScheduling

from bayesplat import devices

LONG = ("tests/test_regression.py", "commands", "tests/test_examples.py", "tests/posterior/test_teleport.py")
"""Groups of tests that take longest: they come first, so that no worker is left alone with one at the end."""


SHARING = {
    "tests/diagnostics/test_arviz.py": "tests/test_regression.py",
    "tests/endurance/test_kill.py": "tests/test_regression.py",
}
"""Files whose models have the shapes of another file's, and run where those are compiled."""


def group(nodeid):
    """What shares fixtures or compiled code: a file, or all that calls the command."""
    file = nodeid.split("::")[0]
    file = SHARING.get(file, file)
    return "commands" if "tests/cli/" in file or file == "tests/test_readme.py" else file


def pytest_configure(config):
    """Compiled programs are shared by all workers, and by the commands that tests run, for the length of one run."""
    if hasattr(config, "workerinput") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.TemporaryDirectory(prefix="bayesplat-tests-")
    config.add_cleanup(folder.cleanup)
    os.environ |= {"JAX_COMPILATION_CACHE_DIR": folder.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    jax.config.update("jax_compilation_cache_dir", folder.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def pytest_collection_modifyitems(items):
    """Begin with the long groups."""
    items.sort(key=lambda item: LONG.index(group(item.nodeid)) if group(item.nodeid) in LONG else len(LONG))


def pytest_xdist_make_scheduler(config, log):
    """Hand out whole groups, in the order of collection."""

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.fixture(autouse=True, scope="module")
def room():
    """Begin each file with memory maps to spare: a worker that ran out of them would die in the middle of it."""
    devices.make_room()


@pytest.fixture
def x64():
    """Run the test in float64; the package never changes this setting for its user."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Run the test once in each precision."""
    with jax.enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param)
