"""From the user's units to the unit box of inputs and standardised outputs, and back."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from bayesplat._typing import AnyArray

ROUNDING = 4
"""A spread of so few units in the last place is no spread."""


class Scaling(NamedTuple):
    """Affine maps of inputs to the unit box and of the output to mean 0, sd 1; without a trend, to size 1 about 0."""

    low: np.ndarray  # (d,) lowest value of each input
    extent: np.ndarray  # (d,) range of each input; 1 where an input is constant
    mean: float  # mean of the observed outputs; 0 without a trend
    sd: float  # root mean square of the observed outputs about it; 1 where that is 0

    def to_box(self, x: Float[AnyArray, "*n d"]) -> Float[AnyArray, "*n d"]:
        """Inputs on the unit box."""
        return (x - self.low) / self.extent

    def to_standard(self, y: Float[AnyArray, " n"]) -> Float[AnyArray, " n"]:
        """Outputs in units of their size, about the mean."""
        return (y - self.mean) / self.sd


def fit_scaling(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], centred: bool = True) -> Scaling:
    """Scaling of observed data, NaN outputs left out; outputs are centred unless f is to be 0 without splats."""
    low, extent = x.min(0), np.ptp(x, 0)
    observed = y[~np.isnan(y)]
    mean = float(observed.mean()) if centred else 0.0
    return Scaling(low, np.where(constant(x), 1.0, extent), mean, spread(observed, mean))


def constant(x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " d"]:
    """Which inputs do not vary, up to rounding."""
    return np.ptp(x, 0) <= rounding(x)


def rounding(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """Differences of each input that may be nothing but rounding of its values: a few units in their last place."""
    return ROUNDING * np.spacing(np.abs(x).max(0))


def spread(y: Float[np.ndarray, " n"], about: float) -> float:
    """Root mean square of y about a value; 1 where it is 0, up to rounding."""
    size = float(np.sqrt(np.mean((y - about) ** 2)))
    return 1.0 if size <= ROUNDING * np.spacing(np.abs(y).max()) else size
