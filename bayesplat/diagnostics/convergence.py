"""Did the sampler converge? Judged on f, sigma and the log density, never on splats, whose labels may switch."""

from dataclasses import dataclass

import numpy as np

from bayesplat._lazy import pd, xr
from bayesplat.diagnostics.active import active_splats
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.evidence import Evidence, evidence
from bayesplat.diagnostics.loo import FEWEST
from bayesplat.diagnostics.pool import chain_weights
from bayesplat.tables import sliced
from bayesplat.threads import filtering

APART_REMEDY = {
    "crowded": "raise `n_splats`, since chains mix through spare splats",
    "nuts": "run longer (warmup, draws), or try method='smc', which weighs explanations, if it stays",
    "smc": "run more draws, or try a stronger prior",
}
"""What to do where chains disagree."""

CROWDED = 0.9
"""Share of splats at work above which there are hardly any to spare."""

RHAT_LIMIT = 1.01
"""vehtari2021."""

ESS_LIMIT = 400
"""vehtari2021: 100 per chain with four chains."""

BFMI_LIMIT = 0.3
DEPTH_SHARE = 0.1
"""Share of draws at the depth limit above which the report notes it, if effective draws are too few."""

APPROXIMATE = ("svi", "laplace")
"""Methods whose draws come from an approximation, which importance weights judge."""

KHAT_LIMIT = 0.7
"""vehtari2024: above it, importance weights say the approximation misses parts of the posterior."""

EVIDENCE_LIMIT = 0.5
"""Standard error of the log evidence, in nats, above which runs have hardly met the same posterior: with two of four
that count it is 0.58, and 1, the most it can be, where a single one does."""

DESIGN = 200
"""Most design points at which f is judged."""


@dataclass(frozen=True)
class Convergence:
    """Convergence statistics and one plain sentence for each failure."""

    method: str
    """"nuts", "smc", "svi" or "laplace"."""
    table: "pd.DataFrame"
    """Rows f (worst point), sigma and log density; columns r_hat, ess_bulk, ess_tail."""
    failures: tuple[str, ...]
    notes: tuple[str, ...] = ()
    divergences: int = 0
    bfmi: float = float("nan")
    """Smallest over chains; NaN but for NUTS."""
    depth_share: float = 0.0
    """Share of draws that reached the depth limit."""
    teleported: float = float("nan")
    """Share of teleports that were accepted; NaN but for NUTS."""
    khat: float = float("nan")
    """Pareto k-hat of an approximation, the largest over chains; NaN for samplers."""
    log_evidence: Evidence | None = None
    """What SMC found of log p(y)."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    def to_frame(self) -> "pd.DataFrame":
        """The table of statistics."""
        return self.table

    def __str__(self) -> str:
        if self.method in APPROXIMATE:
            judged = f"Pareto k-hat of the approximation {self.khat:.2f}"
        elif self.method == "smc":
            judged = str(self.log_evidence)
        else:
            depth = f"{self.depth_share:.0%} of draws at the depth limit"
            moved = f"{self.teleported:.0%} of teleports accepted"
            judged = f"{self.divergences} divergent, BFMI {self.bfmi:.2f}, {depth}, {moved}"
        head = [f"Convergence ({self.method}): {judged}"]
        if not self.table.empty:
            head.append(self.table.to_string(formatters={"r_hat": "{:.3f}".format}, float_format="{:.0f}".format))
        verdict = [f"! {sentence}" for sentence in self.failures] or ["Converged: nothing failed."]
        return "\n".join([*head, *verdict, *self.notes])

    __repr__ = __str__


def convergence(tree: "xr.DataTree", method: str) -> Convergence:
    """Judge a fit from its DataTree."""
    if method in APPROXIMATE:
        return _approximation(tree, method)
    table = _table(tree)
    if method == "smc":
        found = evidence(tree)
        return Convergence("smc", table, (*_disagreement(table, tree, "smc"), *_uncertain(found)), log_evidence=found)
    stats = group(tree, "sample_stats")
    divergences = int(stats["diverging"].sum())
    bfmi = float(np.min(_bfmi(stats["energy"].values)))
    depth = float(stats["reached_max_tree_depth"].mean())
    failures = (*_disagreement(table, tree, "nuts"), *_stumbles(divergences, bfmi))
    notes = ()
    if depth > DEPTH_SHARE and float(np.min(table["ess_bulk"])) < ESS_LIMIT:
        notes = (
            f"Note: {depth:.0%} of draws used the longest trajectory allowed; a larger max_tree_depth gives more "
            "effective draws, each at a higher price.",
        )
    teleported = float(stats["teleported"].mean())
    return Convergence("nuts", table, failures, notes, divergences, bfmi, depth, teleported)


def _table(tree: "xr.DataTree") -> "pd.DataFrame":
    draws = judged(tree)
    apart = r_hat(draws)
    bulk, tail = (effective_draws(draws, kind) for kind in ("bulk", "tail"))
    rows = {
        label: {
            # a point whose statistic is not a number must not hide behind the others
            "r_hat": float(apart[name].max(skipna=False)),
            "ess_bulk": float(bulk[name].min(skipna=False)),
            "ess_tail": float(tail[name].min(skipna=False)),
        }
        for label, name in (("f (worst point)", "f"), ("sigma", "sigma"), ("log density", "lp"))
    }
    return pd.DataFrame(rows).T


def worst_r_hat(tree: "xr.DataTree") -> float:
    """R-hat of f at its worst design point; NaN if it has none, as with a single chain."""
    return float(r_hat(judged(tree))["f"].max(skipna=False))


def r_hat(draws: "xr.Dataset") -> "xr.Dataset":
    """Rank-normalised split R-hat of every variable (vehtari2021).

    1 where f is the same in all draws of all chains, as where no splat reaches and there is no trend.
    """
    from arviz_stats.sampling_diagnostics import rhat

    with np.errstate(divide="ignore", invalid="ignore"):  # of what never changes
        found = rhat(draws)
    if draws.sizes["chain"] > 1:
        low, high = (of(("chain", "draw"), skipna=False) for of in (draws["f"].min, draws["f"].max))
        found["f"] = found["f"].where(low != high, 1.0)
    return found


def effective_draws(draws: "xr.Dataset", kind: str = "bulk") -> "xr.Dataset":
    """Effective number of draws of every variable, in the "bulk" or in the "tail" (vehtari2021)."""
    from arviz_stats.sampling_diagnostics import ess

    with filtering:
        return ess(draws, method=kind)


def judged(tree: "xr.DataTree") -> "xr.Dataset":
    """What convergence is judged on: draws of f at some design points, sigma and the log density `lp`."""
    posterior = group(tree, "posterior")
    n = posterior.sizes["obs"]
    design = sliced(n, DESIGN)
    return posterior[["f", "sigma"]].isel(obs=design).assign(lp=group(tree, "sample_stats")["lp"])


def _bfmi(energy: np.ndarray) -> np.ndarray:
    """Energy change between draws over energy spread, per chain."""
    return np.square(np.diff(energy, axis=1)).mean(1) / np.maximum(energy.var(1), 1e-300)


def _disagreement(table: "pd.DataFrame", tree: "xr.DataTree", method: str) -> tuple[str, ...]:
    failures, chains = [], chain_weights(tree).size
    if chains < 2:
        failures.append("Only one chain ran, so agreement between chains cannot be judged; run at least 4.")
    apart = [f"{label} ({r_hat:.3f})" for label, r_hat in table["r_hat"].items() if not float(r_hat) <= RHAT_LIMIT]  # pyright: ignore
    if apart and chains > 1:
        remedy = _apart_remedy(tree, method)
        failures.append(f"Chains disagree: R-hat above {RHAT_LIMIT} for {', '.join(apart)}; {remedy}.")
    failures.extend(_mixed(tree))
    ess = table[["ess_bulk", "ess_tail"]].min(axis=1)
    thin = [f"{label} ({size:.0f})" for label, size in ess.items() if not (size >= ESS_LIMIT)]
    if thin:
        failures.append(f"Too few effective draws: ESS below {ESS_LIMIT} for {', '.join(thin)}; run more draws.")
    return tuple(failures)


def _apart_remedy(tree: "xr.DataTree", method: str) -> str:
    active, k = active_splats(tree), group(tree, "posterior").sizes["splat"]
    if method == "nuts" and active > CROWDED * k:
        return f"{active:.0f} of {k} splats are at work, so {APART_REMEDY['crowded']}"
    return APART_REMEDY[method]


def _mixed(tree: "xr.DataTree") -> tuple[str, ...]:
    if "stacking" not in tree.children:
        return ()
    return (
        "Chains keep to different explanations: predictions and scores mix them with the weights "
        f"{', '.join(f'{w:.2f}' for w in chain_weights(tree))} that predict left-out data best (stacking), and the "
        "draws in `data` are those of the chains, unweighted.",
    )


def _stumbles(divergences: int, bfmi: float) -> tuple[str, ...]:
    failures = []
    if divergences:
        failures.append(
            f"{divergences} divergent transition{'s' if divergences != 1 else ''}: parts of the posterior may be "
            "missed; raise target_accept (0.95) or use a prior with lighter tails."
        )
    if not (bfmi >= BFMI_LIMIT):
        failures.append(f"Energy mixes slowly (BFMI {bfmi:.2f} below {BFMI_LIMIT}); run longer or simplify the prior.")
    return tuple(failures)


def _uncertain(found: Evidence) -> tuple[str, ...]:
    if not found.error > EVIDENCE_LIMIT:
        return ()
    return (
        f"Runs disagree about the evidence: the standard error of its log is {found.error:.2f} nats, above "
        f"{EVIDENCE_LIMIT}; run more draws (a larger population).",
    )


def _approximation(tree: "xr.DataTree", method: str) -> Convergence:
    stats = group(tree, "sample_stats")
    khat = max(pareto_khat(each) for each in (stats["lp"] - stats["log_q"]).values)
    failures = []
    if not (khat <= KHAT_LIMIT):
        what = "variational" if method == "svi" else "Laplace"
        failures.append(
            f"The {what} approximation should not be trusted: its Pareto k-hat is {khat:.2f}, above {KHAT_LIMIT}; "
            "intervals may be too narrow; use method='nuts', or take the bands as a sketch."
        )
    return Convergence(method, pd.DataFrame(), (*failures, *_mixed(tree)), khat=khat)


def pareto_khat(log_weights: np.ndarray) -> float:
    """Pareto shape of the largest importance weights; infinite where it cannot be estimated, as from few draws."""
    from arviz_stats.base.array import array_stats

    if log_weights.size < FEWEST:
        return float("inf")
    finite = np.where(np.isfinite(log_weights), log_weights, -np.inf)
    _, khat = array_stats.psislw(-finite)  # the library takes minus the log weights
    return float(khat) if np.isfinite(khat) else float("inf")
