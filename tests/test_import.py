"""Importing the package changes nothing, takes no device, and loads nothing slow before it is needed."""

import subprocess
import sys

SLOW = (
    *("arviz", "arviz_plots", "arviz_stats", "blackjax", "matplotlib"),
    *("pandas", "scipy.signal", "scipy.stats", "sklearn", "xarray"),
)

CODE = f"""
import logging, sys, warnings
import jax, numpyro
settings, handlers, filters = dict(jax.config.values), list(logging.root.handlers), list(warnings.filters)
platforms = jax._src.xla_bridge._backends
assert not platforms
import bayesplat
assert dict(jax.config.values) == settings, "settings of JAX changed"
assert logging.root.handlers == handlers and not logging.getLogger("bayesplat").handlers, "handlers were added"
assert [f for f in warnings.filters if "bayesplat" in str(f)] == [], "filters of warnings were added"
assert not jax._src.xla_bridge._backends, "a device was taken"
loaded = [name for name in {SLOW!r} if name in sys.modules]
assert not loaded, loaded
"""

ARRAYS = """
import sys
import numpy as np
from bayesplat.tables import as_data
as_data(np.zeros((3, 2)), np.zeros(3))
loaded = [name for name in ("pandas", "polars", "xarray") if name in sys.modules]
assert not loaded, loaded
"""


COMMAND = f"""
import sys
from bayesplat.cli.app import main
loaded = [name for name in {SLOW!r} if name in sys.modules]
assert not loaded, loaded
"""


def test_an_import_has_no_side_effects():
    result = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_arrays_need_no_library_of_tables():
    result = subprocess.run([sys.executable, "-c", ARRAYS], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_command_loads_nothing_slow_before_it_knows_what_to_do():
    """Help, completion and a mistyped option wait for it."""
    result = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
