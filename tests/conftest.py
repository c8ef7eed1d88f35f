"""Fixtures shared by all tests."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Keep together, on one worker, what shares fixtures or compiled code: a file, or all that calls the command."""
    for item in items:
        path = item.path.relative_to(HERE)
        commands = path.parts[0] in ("cli", "test_readme.py")
        item.add_marker(pytest.mark.xdist_group("commands" if commands else path.as_posix()))


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
