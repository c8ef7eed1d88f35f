"""Does the fit follow the noise? Leave-one-out scores, the number of splats at work, calibration, suspicious splats."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from bayesplat import symptoms
from bayesplat._lazy import pd, xr
from bayesplat.diagnostics.active import ACTIVE, active_splats
from bayesplat.diagnostics.convert import group, outputs
from bayesplat.diagnostics.loo import LeaveOneOut, leave_one_out
from bayesplat.diagnostics.pool import pooled
from bayesplat.diagnostics.sensitivity import LIMIT, notes, sensitivity
from bayesplat.likelihoods import FLOOR, NOISE_FREE
from bayesplat.scaling import spread

PIT_LEVEL = 0.01
"""Uniformity of the LOO-PIT is doubted below this p-value."""

AT_FLOOR = f"The noise is at its floor, {FLOOR:.0e} sds of y: the data look free of noise, and bands cannot be judged."
"""Said in place of what the LOO-PIT finds, which the floor alone decides then."""

SENSITIVITY = {
    "v": f"prior on amplitudes: above {LIMIT} it shapes the answer",
    "A": "prior on lengths: the same",
    "b": "repulsion between splats, if any: the same",
    "likelihood": "below it, the data say little",
}
"""What the rows of power-scaling sensitivity mean."""


@dataclass(frozen=True)
class Overfitting:
    """Overfitting statistics and one plain sentence for each sign of it."""

    table: "pd.DataFrame"
    loo: LeaveOneOut
    signs: tuple[str, ...]
    sensitivity: "pd.DataFrame"
    """How f and sigma depend on each block of the prior and on the likelihood: see `sensitivity`."""
    notes: tuple[str, ...]
    """On which blocks of the prior the answer depends, with advice; no fault by itself."""

    @property
    def ok(self) -> bool:
        """Whether there is no sign of overfitting."""
        return not self.signs

    def to_frame(self) -> "pd.DataFrame":
        """The table of statistics."""
        return self.table

    def __str__(self) -> str:
        width = max(map(len, self.table.index))
        lines = [f"  {label:<{width}}  {row.value:>9.4g}  {row.meaning}" for label, row in self.table.iterrows()]
        verdict = [f"! {sign}" for sign in self.signs] or ["No sign of overfitting."]
        return "\n".join(["Overfitting", *lines, *verdict, *self.notes])

    __repr__ = __str__


def overfitting(tree: "xr.DataTree") -> Overfitting:
    """Judge a fit from its DataTree."""
    from scipy.stats import kstest

    loo, posterior = leave_one_out(tree), pooled(tree, "posterior")
    n, k = posterior.sizes["obs"], posterior.sizes["splat"]
    log_likelihood = pooled(tree, "log_likelihood")["y"].values
    in_sample = float(np.sum(logsumexp(log_likelihood, axis=0) - np.log(len(log_likelihood))))
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
    moved = sensitivity(tree)
    rows += [
        (f"sensitivity of f to {block}", float(moved.loc[block, "f"]), meaning)  # pyright: ignore[reportArgumentType]
        for block, meaning in SENSITIVITY.items()
    ]
    table = pd.DataFrame(rows, columns=["quantity", "value", "meaning"]).set_index("quantity")
    y = outputs(tree)
    size = spread(y, y.mean() if posterior.sizes.get("trend_term") else 0.0)  # in units of which the floor is
    constant = group(tree, "constant_data")
    error = float(np.median(constant["y_err"])) if "y_err" in constant else 0.0
    noise_free = max(float(np.median(posterior["sigma"])), error) < NOISE_FREE * size
    alike = 0.0 if noise_free else symptoms.likeness(loo.pit, constant["x"].values.reshape(n, -1))
    signs = _signs(loo, p_loo, 1.0 if noise_free else pit_p, expected, alike, n, k)
    return Overfitting(table, loo, signs, moved, (*notes(moved), *([AT_FLOOR] if noise_free else [])))


def _signs(
    loo: LeaveOneOut, p_loo: float, pit_p: float, expected: dict[str, float], alike: float, n: int, k: int
) -> tuple[str, ...]:
    signs = []
    if p_loo > 0.3 * n and loo.n_bad < n / 2:  # of terms that cannot be trusted it would be no number of parameters
        signs.append(
            f"The fit uses {p_loo:.0f} effective parameters for {n} data; use fewer splats or a stronger prior."
        )
    if loo.n_bad:
        signs.append(
            f"{loo.n_bad} of {n} leave-one-out terms cannot be trusted (Pareto k); those data fix parts of the fit "
            "alone: look at them, and compare models by held-out data."
        )
    if not pit_p >= PIT_LEVEL:  # not a number is no pass
        signs.append(f"Predictions are miscalibrated (LOO-PIT p = {pit_p:.2g}): {_shape(loo.pit)}.")
    if alike > 0:
        signs.append(
            f"Predictions err alike at neighbouring data (correlation {alike:.2f}): f misses structure, or the noise "
            "is correlated; use more splats, or shorter `lengths`."
        )
    if expected["spikes"] > 0.5:
        signs.append(
            f"About {expected['spikes']:.1f} splats rest on a single datum each; use a prior with fewer active splats, "
            "longer typical lengths, or, if those data are outliers and the noise is not Student-t yet, StudentT()."
        )
    if expected["cancelling"] > 0.5:
        signs.append(
            f"About {expected['cancelling']:.1f} pairs of splats cancel in one place; wrap the prior in Repulsive(), "
            "or raise its `strength`."
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
        return "bands are too narrow; try noise='varying', StudentT(), or both"
    return "bands are too wide in places; try noise='varying', unless it is"
