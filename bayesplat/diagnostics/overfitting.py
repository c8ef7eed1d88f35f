"""Does the fit follow the noise? Leave-one-out scores, the number of splats at work, calibration, suspicious splats."""

from dataclasses import dataclass
from typing import NamedTuple

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats
from scipy.special import logsumexp
from scipy.stats import kstest

from bayesplat.diagnostics.convert import group

ACTIVE = 0.05
"""A splat is active if its term's root mean square over the data exceeds this share of sd(y)."""

PIT_LEVEL = 0.01
"""Uniformity of the LOO-PIT is doubted below this p-value."""


class LeaveOneOut(NamedTuple):
    """Pareto-smoothed leave-one-out scores (vehtari2017, vehtari2024)."""

    elpd_i: np.ndarray  # (n,) log p(y_i | y_-i)
    khat: np.ndarray  # (n,) Pareto shape of the weights; NaN where they are degenerate
    good_k: float  # largest khat that can be trusted with this many draws
    pit: np.ndarray  # (n,) P(y_i' <= y_i | y_-i)

    @property
    def elpd(self) -> float:
        """Sum over data."""
        return float(self.elpd_i.sum())

    @property
    def se(self) -> float:
        """Standard error of the sum."""
        return float(np.sqrt(self.elpd_i.size * self.elpd_i.var()))

    @property
    def n_bad(self) -> int:
        """Number of data whose score cannot be trusted; degenerate weights (NaN) count as bad."""
        return int((~(self.khat <= self.good_k)).sum())


@dataclass(frozen=True)
class Overfitting:
    """Overfitting statistics and one plain sentence for each sign of it."""

    table: pd.DataFrame
    loo: LeaveOneOut
    signs: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no sign of overfitting."""
        return not self.signs

    def to_frame(self) -> pd.DataFrame:
        """The table of statistics."""
        return self.table

    def __str__(self) -> str:
        width = max(map(len, self.table.index))
        lines = [f"  {label:<{width}}  {row.value:>9.4g}  {row.meaning}" for label, row in self.table.iterrows()]
        verdict = [f"! {sign}" for sign in self.signs] or ["No sign of overfitting."]
        return "\n".join(["Overfitting", *lines, *verdict])

    __repr__ = __str__


def leave_one_out(tree: xr.DataTree) -> LeaveOneOut:
    """Scores from the integrated predictive: weights proportional to 1 / p(y_i | y_-i, theta)."""
    scores = group(tree, "loo_predictive")
    log_density = _draws_last(scores["y"])
    draws = log_density.shape[1]
    # ArviZ flags only k > good_k, which lets NaN through; the count above treats NaN as bad
    reff = _relative_efficiency(scores["y"])
    log_weights, khat = array_stats.psislw(log_density, r_eff=reff)  # pyright: ignore[reportArgumentType]
    log_weights = log_weights - logsumexp(log_weights, axis=1, keepdims=True)
    elpd_i = logsumexp(log_weights + log_density, axis=1)
    pit = np.sum(np.exp(log_weights) * _draws_last(scores["pit"]), axis=1)
    return LeaveOneOut(elpd_i, np.asarray(khat), min(1 - 1 / np.log10(draws), 0.7), np.clip(pit, 0.0, 1.0))


def _draws_last(array: xr.DataArray) -> np.ndarray:
    return array.stack(sample=("chain", "draw")).transpose("obs", "sample").values


def _relative_efficiency(log_density: xr.DataArray) -> float:
    """Effective over actual draws, averaged over data; 1 for independent draws (a single variational chain)."""
    chains, draws = log_density.sizes["chain"], log_density.sizes["draw"]
    if chains == 1:
        return 1.0
    ess = az.ess(xr.Dataset({"y": np.exp(log_density - log_density.max())}), method="mean")["y"]
    return float(np.clip(np.nanmean(ess) / (chains * draws), 1e-3, 1.0))


def active_splats(tree: xr.DataTree) -> float:
    """Expected number of splats whose term matters to f on the data."""
    sd = float(group(tree, "observed_data")["y"].std()) or 1.0
    return float((group(tree, "posterior")["contribution"] > ACTIVE * sd).sum("splat").mean())


def overfitting(tree: xr.DataTree) -> Overfitting:
    """Judge a fit from its DataTree."""
    loo, posterior = leave_one_out(tree), group(tree, "posterior")
    n, k = posterior.sizes["obs"], posterior.sizes["splat"]
    log_likelihood = _draws_last(group(tree, "log_likelihood")["y"])
    in_sample = float(np.sum(logsumexp(log_likelihood, axis=1) - np.log(log_likelihood.shape[1])))
    p_loo = in_sample - loo.elpd
    pit_p = float(kstest(loo.pit, "uniform").pvalue)
    expected = {name: float(posterior[name].mean()) for name in ("spikes", "cancelling", "drifting")}
    rows = [
        ("LOO score per datum", loo.elpd / n, "log predictive density of each datum from all the others"),
        ("in-sample score per datum", in_sample / n, "the same with the datum included: its gap to LOO is overfit"),
        ("effective parameters p_loo", p_loo, f"of {n} data"),
        ("active splats", active_splats(tree), f"of {k}: term above {ACTIVE:.0%} of sd(y)"),
        ("untrusted LOO terms", loo.n_bad, f"Pareto k above {loo.good_k:.2f} or not a number"),
        ("LOO-PIT uniformity p", pit_p, "small: predictive bands too narrow, too wide or shifted"),
        ("spikes on one datum", expected["spikes"], "expected number of splats resting on a single datum"),
        ("cancelling pairs", expected["cancelling"], "expected number of +v/-v pairs in one place"),
        ("drifting splats", expected["drifting"], "expected number of splats that reach no datum (harmless if few)"),
    ]
    table = pd.DataFrame(rows, columns=["quantity", "value", "meaning"]).set_index("quantity")
    return Overfitting(table, loo, _signs(loo, p_loo, pit_p, expected, n, k))


def _signs(loo: LeaveOneOut, p_loo: float, pit_p: float, expected: dict[str, float], n: int, k: int) -> tuple[str, ...]:
    signs = []
    if p_loo > 0.3 * n:
        signs.append(
            f"The fit uses {p_loo:.0f} effective parameters for {n} data; use fewer splats or a stronger prior."
        )
    if loo.n_bad:
        signs.append(
            f"{loo.n_bad} of {n} leave-one-out terms cannot be trusted (Pareto k); those data fix parts of the fit "
            "alone: look at them, and compare models by held-out data."
        )
    if pit_p < PIT_LEVEL:
        signs.append(f"Predictions are miscalibrated (LOO-PIT p = {pit_p:.2g}): {_shape(loo.pit)}.")
    if expected["spikes"] > 0.5:
        signs.append(
            f"About {expected['spikes']:.1f} splats rest on a single datum each; use a prior with fewer active splats, "
            "longer typical lengths, or Student-t noise if those data are outliers."
        )
    if expected["cancelling"] > 0.5:
        signs.append(
            f"About {expected['cancelling']:.1f} pairs of splats cancel in one place; wrap the prior in Repulsive()."
        )
    if expected["drifting"] > 0.5 * k:
        signs.append(f"About {expected['drifting']:.1f} of {k} splats reach no datum; use fewer splats.")
    return tuple(signs)


def _shape(pit: np.ndarray) -> str:
    """What a histogram of the LOO-PIT says."""
    outer = float(np.mean((pit < 0.1) | (pit > 0.9)))
    shift = float(pit.mean()) - 0.5
    if abs(shift) > 0.06:
        return f"data lie {'above' if shift > 0 else 'below'} the predictions on average; the trend may be too simple"
    if outer > 0.2:
        return "bands are too narrow; try noise='varying' or StudentT()"
    return "bands are too wide in places; try noise='varying'"
