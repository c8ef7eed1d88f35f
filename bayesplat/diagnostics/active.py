"""Splats at work: those whose terms matter to f on the data."""

import numpy as np
from jaxtyping import Int

from bayesplat._lazy import xr
from bayesplat.diagnostics.convert import outputs
from bayesplat.diagnostics.pool import pooled
from bayesplat.scaling import spread

ACTIVE = 0.05
"""A splat is active if its term's root mean square over the data exceeds this share of sd(y)."""


def active_splats(tree: "xr.DataTree") -> float:
    """Expected number of splats whose term matters to f on the data."""
    return float(active_counts(tree, pooled(tree, "posterior")).mean())


def active_counts(tree: "xr.DataTree", draws: "xr.Dataset") -> Int[np.ndarray, " s"]:
    """Number of such splats in every draw, be it of the posterior or of the prior."""
    return (draws["contribution"] > least_active(tree)).sum("splat").values


def least_active(tree: "xr.DataTree") -> float:
    """Size of a splat's term, in the units of y, above which it is active."""
    y = outputs(tree)
    return ACTIVE * spread(y, y.mean())
