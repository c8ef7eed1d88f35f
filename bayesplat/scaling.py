"""From the user's units to the unit box of inputs and standardised outputs, and back."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from bayesplat._checks import warn
from bayesplat._typing import AnyArray

ROUNDING = 4
"""A spread of so few units in the last place is no spread."""

WHOLE = 2**24
"""Whole numbers below this are exact in any precision."""


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


def in_reach(
    x_new: Float[np.ndarray, "m d"],
    scaling: Scaling,
    still: Bool[np.ndarray, " d"],
    margin: float,
    names: tuple[str, ...],
    rows_of: str = "rows of `x_new`",
) -> Float[np.ndarray, "m d"]:
    """New inputs on the unit box; a warning where a fit knows nothing: further out than any splat's centre.

    `still` are the inputs that were constant in the fit, whose splats have centres up to `margin` outside the box.
    """
    x, low = np.asarray(scaling.to_box(x_new)), scaling.low[None, :]
    beyond = ((x < -margin) | (x > 1 + margin)) & ~still
    moved = (np.abs(x_new - low) > np.maximum(rounding(low), rounding(x_new, low))) & still
    those = ", ".join(name for name, one in zip(names, moved.any(0), strict=False) if one)
    odd = {
        "lie beyond the data: f returns to the trend there, and its bands are too narrow.": beyond,
        f"differ from all data in {those}, constant in the fit: nothing is known of f there.": moved,
    }
    for message, where in odd.items():
        if rows := int(where.any(1).sum()):
            warn(f"{rows} of {len(x)} {rows_of} {message}")
    return x


def fit_scaling(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], centred: bool = True) -> Scaling:
    """Scaling of observed data, NaN outputs left out; outputs are centred unless f is to be 0 without splats."""
    low, extent = x.min(0), np.ptp(x, 0)
    observed = y[~np.isnan(y)]
    mean = float(observed.mean()) if centred else 0.0
    return Scaling(low, np.where(constant(x), 1.0, extent), mean, spread(observed, mean))


def constant(x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " d"]:
    """Which inputs do not vary, up to rounding."""
    return np.ptp(x, 0) <= rounding(x)


def rounding(x: Float[np.ndarray, "n d"], at: Float[np.ndarray, "m d"] | None = None) -> Float[np.ndarray, " d"]:
    """Differences of each input that may be nothing but rounding of its values: a few units in their last place.

    Their last place is that of float32 where all have no more digits, as those of JAX's default precision. `at` gives
    numbers of the sizes to say it of, by default x itself.
    """
    size, whole = np.abs(x if at is None else at).max(0), (x == np.rint(x)).all(0) & (np.abs(x).max(0) < WHOLE)
    with np.errstate(over="ignore", invalid="ignore"):
        single = (x == x.astype(np.float32)).all(0) & ~whole
        return ROUNDING * np.where(single, np.spacing(size.astype(np.float32)).astype(float), np.spacing(size))


def spread(y: Float[np.ndarray, " n"], about: float) -> float:
    """Root mean square of y about a value; 1 where it is 0, up to rounding."""
    away = y - about
    largest = float(np.abs(away).max())
    # squares of the largest and the smallest numbers have no place among numbers
    unit = 1.0 if 1e-150 < largest < 1e150 or largest == 0 else largest
    size = unit * float(np.sqrt(np.mean((away / unit) ** 2)))
    return 1.0 if size <= ROUNDING * np.spacing(np.abs(y).max()) else size
