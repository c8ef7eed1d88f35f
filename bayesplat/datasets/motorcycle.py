"""The motorcycle data: a curve with a flat start, a sharp dip and noise that grows with time."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np

from bayesplat._typing import Float


class Dataset(NamedTuple):
    """Measured data with their names and source."""

    x: Float[np.ndarray, " n"]  # the input, in the units that x_name says
    y: Float[np.ndarray, " n"]  # the output, in the units that y_name says
    x_name: str
    y_name: str
    source: str  # who published the data; the full entry is in docs/references.bib


def motorcycle() -> Dataset:
    """Head acceleration of a dummy in simulated motorcycle crashes (133 readings, 94 distinct times).

    x: (133,) time after impact, in milliseconds. y: (133,) head acceleration, in g.
    Source: silverman1985.

    >>> data = motorcycle()
    >>> data.x.shape, data.y_name
    ((133,), 'head acceleration (g)')
    """
    with files("bayesplat.datasets").joinpath("mcycle.csv").open(encoding="utf-8") as lines:
        x, y = np.loadtxt(lines, delimiter=",", skiprows=1, unpack=True)
    return Dataset(x, y, "time after impact (ms)", "head acceleration (g)", "Silverman (1985)")
