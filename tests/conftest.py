"""Fixtures shared by all tests."""

import jax
import jax.numpy as jnp
import pytest


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
