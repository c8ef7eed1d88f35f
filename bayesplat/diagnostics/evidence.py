"""The evidence p(y) as the runs of a sequential Monte Carlo sampler estimate it, and the weights that follow."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from bayesplat._lazy import xr
from bayesplat.diagnostics.convert import group


class Evidence(NamedTuple):
    """Log p(y), y in its own units, with a standard error: comparable between models of the same data."""

    log: float
    error: float

    @property
    def doubt(self) -> str:
        """The standard error in words; a single run has none."""
        return (
            "of a single run, without a standard error" if np.isnan(self.error) else f"standard error {self.error:.2f}"
        )

    def __str__(self) -> str:
        return f"log evidence {self.log:.2f} ({self.doubt})"


def with_evidence(tree: "xr.DataTree", log_evidence: Float[np.ndarray, " runs"]) -> "xr.DataTree":
    """The tree with log p(y) of every run in a group `evidence`, and the run's weight, which is its share of it."""
    chains = group(tree, "posterior")["chain"]
    columns = {"log_evidence": ("chain", log_evidence), "weight": ("chain", softmax(log_evidence))}
    whole = tree.copy()
    whole["evidence"] = xr.DataTree(xr.Dataset(columns, {"chain": chains}))
    return whole


def evidence(tree: "xr.DataTree") -> Evidence:
    """The log of the mean over runs, each of which is consistent for p(y); NaN error for a single run."""
    log_z = group(tree, "evidence")["log_evidence"].values
    runs, log_mean = log_z.size, float(np.logaddexp.reduce(log_z)) - np.log(log_z.size)
    relative = np.exp(log_z - log_mean)
    return Evidence(float(log_mean), float(relative.std(ddof=1) / np.sqrt(runs)) if runs > 1 else float("nan"))
