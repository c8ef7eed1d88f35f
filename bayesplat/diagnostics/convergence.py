"""Did the sampler converge? Judged on f, sigma and the log density, never on splats, whose labels may switch."""

from dataclasses import dataclass

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats

from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.pool import chain_weights

RHAT_LIMIT = 1.01
"""vehtari2021."""

ESS_LIMIT = 400
"""vehtari2021: 100 per chain with four chains."""

BFMI_LIMIT = 0.3
DEPTH_SHARE = 0.1
"""Share of draws at the depth limit above which the report notes it, if effective draws are too few."""

KHAT_LIMIT = 0.7
"""vehtari2024: above it, importance weights say the approximation misses parts of the posterior."""

DESIGN = 200
"""Most design points at which f is judged."""


@dataclass(frozen=True)
class Convergence:
    """Convergence statistics and one plain sentence for each failure."""

    method: str
    """"nuts" or "svi"."""
    table: pd.DataFrame
    """Rows f (worst point), sigma and log density; columns r_hat, ess_bulk, ess_tail."""
    divergences: int
    bfmi: float
    """Smallest over chains."""
    depth_share: float
    """Share of draws that reached the depth limit."""
    khat: float
    """Pareto k-hat of a variational approximation; NaN for NUTS."""
    failures: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def to_frame(self) -> pd.DataFrame:
        """The table of statistics."""
        return self.table

    def __str__(self) -> str:
        if self.method == "svi":
            head = [f"Convergence (svi): Pareto k-hat of the approximation {self.khat:.2f}"]
        else:
            shown = self.table.to_string(formatters={"r_hat": "{:.3f}".format}, float_format="{:.0f}".format)
            head = [
                f"Convergence (nuts): {self.divergences} divergent, BFMI {self.bfmi:.2f}, "
                f"{self.depth_share:.0%} of draws at the depth limit",
                shown,
            ]
        verdict = [f"! {sentence}" for sentence in self.failures] or ["Converged: nothing failed."]
        return "\n".join([*head, *verdict, *self.notes])

    __repr__ = __str__


def convergence(tree: xr.DataTree, method: str) -> Convergence:
    """Judge a fit from its DataTree."""
    if method == "svi":
        return _approximation(tree)
    judged = _judged(tree)
    r_hat, bulk, tail = az.rhat(judged), az.ess(judged, method="bulk"), az.ess(judged, method="tail")
    rows = {
        label: {
            # a point whose statistic is not a number must not hide behind the others
            "r_hat": float(r_hat[name].max(skipna=False)),
            "ess_bulk": float(bulk[name].min(skipna=False)),
            "ess_tail": float(tail[name].min(skipna=False)),
        }
        for label, name in (("f (worst point)", "f"), ("sigma", "sigma"), ("log density", "lp"))
    }
    table = pd.DataFrame(rows).T
    stats = group(tree, "sample_stats")
    divergences = int(stats["diverging"].sum())
    bfmi = float(np.min(_bfmi(stats["energy"].values)))
    depth = float(stats["reached_max_tree_depth"].mean())
    failures = _failures(table, divergences, bfmi, tree)
    notes = ()
    if depth > DEPTH_SHARE and float(np.min(table["ess_bulk"])) < ESS_LIMIT:
        notes = (
            f"Note: {depth:.0%} of draws used the longest trajectory allowed; a larger max_tree_depth gives more "
            "effective draws, each at a higher price.",
        )
    return Convergence("nuts", table, divergences, bfmi, depth, float("nan"), failures, notes)


def worst_r_hat(tree: xr.DataTree) -> float:
    """R-hat of f at its worst design point; NaN if it has none, as with a single chain."""
    return float(az.rhat(_judged(tree))["f"].max(skipna=False))


def _judged(tree: xr.DataTree) -> xr.Dataset:
    posterior = group(tree, "posterior")
    n = posterior.sizes["obs"]
    design = np.unique(np.linspace(0, n - 1, min(n, DESIGN)).astype(int))
    return posterior[["f", "sigma"]].isel(obs=design).assign(lp=group(tree, "sample_stats")["lp"])


def _bfmi(energy: np.ndarray) -> np.ndarray:
    """Energy change between draws over energy spread, per chain."""
    return np.square(np.diff(energy, axis=1)).mean(1) / np.maximum(energy.var(1), 1e-300)


def _failures(table: pd.DataFrame, divergences: int, bfmi: float, tree: xr.DataTree) -> tuple[str, ...]:
    failures, weights = [], chain_weights(tree)
    chains = weights.size
    if chains < 2:
        failures.append("Only one chain ran, so agreement between chains cannot be judged; run at least 4.")
    apart = [f"{label} ({r_hat:.3f})" for label, r_hat in table["r_hat"].items() if not float(r_hat) <= RHAT_LIMIT]  # pyright: ignore
    if apart and chains > 1:
        failures.append(
            f"Chains disagree: R-hat above {RHAT_LIMIT} for {', '.join(apart)}; run longer (warmup, draws), or try a "
            "stronger prior or more splats if it stays."
        )
    if "stacking" in tree.children:
        failures.append(
            "Chains keep to different explanations: predictions and scores mix them with the weights "
            f"{', '.join(f'{w:.2f}' for w in weights)} that predict left-out data best (stacking), and the draws in "
            "`data` are those of the chains, unweighted."
        )
    ess = table[["ess_bulk", "ess_tail"]].min(axis=1)
    thin = [f"{label} ({size:.0f})" for label, size in ess.items() if not (size >= ESS_LIMIT)]
    if thin:
        failures.append(f"Too few effective draws: ESS below {ESS_LIMIT} for {', '.join(thin)}; run more draws.")
    if divergences:
        failures.append(
            f"{divergences} divergent transition{'s' if divergences != 1 else ''}: parts of the posterior may be "
            "missed; raise target_accept (0.95) or use a prior with lighter tails."
        )
    if not (bfmi >= BFMI_LIMIT):
        failures.append(f"Energy mixes slowly (BFMI {bfmi:.2f} below {BFMI_LIMIT}); run longer or simplify the prior.")
    return tuple(failures)


def _approximation(tree: xr.DataTree) -> Convergence:
    stats = group(tree, "sample_stats")
    khat = pareto_khat((stats["lp"] - stats["log_q"]).values.ravel())
    failures = ()
    if not (khat <= KHAT_LIMIT):
        failures = (
            f"The variational approximation should not be trusted: its Pareto k-hat is {khat:.2f}, above {KHAT_LIMIT}; "
            "intervals may be too narrow; use method='nuts', or take the bands as a sketch.",
        )
    return Convergence("svi", pd.DataFrame(), 0, float("nan"), 0.0, khat, failures, ())


def pareto_khat(log_weights: np.ndarray) -> float:
    """Pareto shape of the largest importance weights; infinite where it cannot be estimated."""
    finite = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    _, khat = array_stats.psislw(-finite)  # the library takes minus the log weights
    return float(khat) if np.isfinite(khat) else float("inf")
