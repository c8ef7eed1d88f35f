"""From the user's units to the unit box of inputs and standardised outputs, and back."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bayesplat._typing import AnyArray


class Scaling(NamedTuple):
    """Affine maps of inputs to the unit box and of the output to mean 0, sd 1."""

    low: np.ndarray  # (d,) lowest value of each input
    extent: np.ndarray  # (d,) range of each input; 1 where an input is constant
    mean: float  # mean of the observed outputs
    sd: float  # sd of the observed outputs; 1 where they are constant

    def to_box(self, x: Float[AnyArray, "*n d"]) -> Float[AnyArray, "*n d"]:
        """Inputs on the unit box."""
        return (x - self.low) / self.extent

    def to_standard(self, y: Float[AnyArray, " n"]) -> Float[AnyArray, " n"]:
        """Outputs with mean 0 and sd 1."""
        return (y - self.mean) / self.sd


def fit_scaling(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Scaling:
    """Scaling of observed data: NaN outputs are left out."""
    low, extent = x.min(0), np.ptp(x, 0)
    observed = y[~np.isnan(y)]
    sd = float(observed.std())
    # a spread below rounding of the values themselves is no spread
    constant = extent <= 1e-12 * np.maximum(np.abs(low), np.abs(low + extent))
    flat = sd <= 1e-12 * float(np.abs(observed).max())
    return Scaling(low, np.where(constant, 1.0, extent), float(observed.mean()), 1.0 if flat else sd)
