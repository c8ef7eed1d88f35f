"""Comparison of posteriors on the same data by leave-one-out scores: which prior predicts best, and is it noise?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from bayesplat._checks import require
from bayesplat._lazy import pd
from bayesplat.diagnostics.active import active_splats
from bayesplat.diagnostics.convergence import APPROXIMATE, KHAT_LIMIT
from bayesplat.diagnostics.overfitting import overfitting
from bayesplat.diagnostics.stacking import stacking_weights
from bayesplat.posterior.predict import Prediction
from bayesplat.predictor import Predictor, mixture
from bayesplat.results import Posterior
from bayesplat.tables import identical

UNTRUSTED = 0.1
"""Share of untrusted LOO terms above which a first place means nothing (docs/priors.md)."""


@dataclass(frozen=True)
class Comparison:
    """Models ranked by LOO, and a sentence on whether the ranking means anything."""

    table: "pd.DataFrame"
    """One row per model, best first: elpd_loo, se, elpd_diff, dse (of the difference to the best), p_loo, active
    splats, bad_k, weight (stacking), seconds; elpd_test and se_test where test data were given; log_evidence where all
    were sampled by SMC."""
    verdict: str
    posteriors: Mapping[str, Posterior]
    """What was compared, in the order of the table."""

    def predict(self, x_new: object, prob: float = 0.9, kind: str = "function", y_err: object = None) -> Prediction:
        """Predictions of all models together, mixed by their stacking weights, as `Posterior.predict` gives them.

        Of all mixtures this one has the highest score of data left out, no lower than the best model's (yao2018); its
        bands hold the doubt about the model, too. Leave out models that the verdict sets aside: their scores flatter.
        """
        return self.predictor.predict(x_new, prob, kind, y_err)

    def log_predictive_density(self, x_new: object, y_new: object, y_err: object = None) -> Float[np.ndarray, " m"]:
        """Log density of new data under the mixture, per unit of y. NaN where y_new is missing."""
        return self.predictor.log_predictive_density(x_new, y_new, y_err)

    @cached_property
    def predictor(self) -> Predictor:
        """What those predictions are made from: of every model as many draws as its weight gives it."""
        return mixture([post.predictor for post in self.posteriors.values()], self.table["weight"].to_numpy())

    def to_frame(self) -> "pd.DataFrame":
        """The table."""
        return self.table

    def __str__(self) -> str:
        style: dict[str, Any] = {"weight": "{:.2f}".format, "bad_k": "{:.0f}".format, "seconds": "{:.0f}".format}
        shown = self.table.to_string(formatters=style, float_format="{:.1f}".format)  # pyright: ignore
        return f"{shown}\n{self.verdict}"

    __repr__ = __str__


def compare(
    posteriors: Mapping[str, Posterior], x_test: object = None, y_test: object = None, y_err_test: object = None
) -> Comparison:
    """Rank posteriors by expected log predictive density of new data (higher is better).

    With test data, their log predictive density (sum over rows) is shown beside; the ranking stays that of LOO.
    `y_err_test` holds known sds of their measurements. Raises BayesplatError for fewer than two posteriors, posteriors
    of different data, or test inputs without outputs.
    """
    require(
        isinstance(posteriors, Mapping) and all(isinstance(post, Posterior) for post in posteriors.values()),
        "Expected a dict of name to Posterior, such as {'ridge': post_a, 'horseshoe': post_b}.",
    )
    require(len(posteriors) >= 2, f"Expected at least two posteriors to compare, got {len(posteriors)}.")
    require((x_test is None) == (y_test is None), "Expected `x_test` and `y_test` together, got only one of them.")
    _require_same_data(posteriors)
    reports = {name: overfitting(post.data) for name, post in posteriors.items()}
    names = sorted(posteriors, key=lambda name: -np.nan_to_num(reports[name].loo.elpd, nan=-np.inf))
    elpd = np.stack([reports[name].loo.elpd_i for name in names])
    difference = elpd - elpd[0]
    table = pd.DataFrame(
        {
            "elpd_loo": elpd.sum(1),
            "se": [reports[name].loo.se for name in names],
            "elpd_diff": difference.sum(1),
            "dse": np.sqrt(elpd.shape[1] * difference.var(1)),
            "p_loo": [reports[name].table.loc["effective parameters p_loo", "value"] for name in names],
            "active": [active_splats(posteriors[name].data) for name in names],
            "bad_k": [reports[name].loo.n_bad for name in names],
            "weight": stacking_weights(elpd),
            "seconds": [posteriors[name].info["seconds"] for name in names],
        },
        index=pd.Index(names, name="model"),
    )
    if all("evidence" in post.data.children for post in posteriors.values()):
        table["log_evidence"] = [posteriors[name].log_evidence.log for name in names]
    if x_test is not None:
        scores = np.stack([posteriors[name].log_predictive_density(x_test, y_test, y_err_test) for name in names])
        scores = scores[:, ~np.isnan(scores).any(0)]
        table["elpd_test"], table["se_test"] = scores.sum(1), np.sqrt(scores.shape[1] * scores.var(1))
    return Comparison(
        table, _verdict(table, elpd.shape[1]) + _sketches(posteriors), {name: posteriors[name] for name in names}
    )


def _require_same_data(posteriors: Mapping[str, Posterior]) -> None:
    first_name, first = next(iter(posteriors.items()))
    for name, post in posteriors.items():
        ours, theirs = first.table, post.table
        for variable in ("y", "x", "y_err"):
            require(
                identical([getattr(ours, variable)], [getattr(theirs, variable)]),
                f"Expected posteriors of the same data, got different `{variable}` in {first_name!r} and {name!r}; "
                "fit both to the same rows in the same order.",
            )


def _sketches(posteriors: Mapping[str, Posterior]) -> str:
    """What else to say of approximations that should not be trusted: nor should their scores."""
    approximate = [name for name, post in posteriors.items() if post.info["method"] in APPROXIMATE]
    poor = [repr(name) for name in approximate if not posteriors[name].convergence().khat <= KHAT_LIMIT]
    if not poor:
        return ""
    return (
        f" {', '.join(poor)} {'is an approximation' if len(poor) == 1 else 'are approximations'} that should not be "
        "trusted (see convergence()), and neither should the scores: sample by NUTS, or score by kfold."
    )


def _verdict(table: "pd.DataFrame", n: int) -> str:
    names = np.array([repr(str(name)) for name in table.index])
    best, gaps = names[0], table.iloc[1:]
    bad = int(table["bad_k"].iloc[0])
    if not table[["elpd_diff", "dse"]].to_numpy()[1:].any():
        return f"{', '.join(names)} have the same scores, datum by datum: are they the same fit?"
    if bad > UNTRUSTED * n:
        return (
            f"{best} scores highest, but {bad} of its {n} LOO terms cannot be trusted (bad_k), and they flatter: score "
            "it by reloo or kfold, or set it aside."
        )
    clear = (-gaps["elpd_diff"] >= 4) & (-gaps["elpd_diff"] >= 2 * gaps["dse"])  # which no NaN is
    close = names[1:][~clear]
    doubt = names[table["bad_k"] > 0]
    if not close.size:
        sentence = f"{best} predicts best, by more than the noise in these scores."
    else:
        sentence = (
            f"{best} scores highest, but its lead over {', '.join(close)} is within the noise of these scores "
            "(under 4 nats or 2 standard errors)."
        )
    if doubt.size:
        sentence += (
            f" Scores of {', '.join(doubt)} rest on data whose LOO term cannot be trusted (bad_k); reloo scores them "
            "by exact refits."
        )
    return sentence
