"""K-fold cross-validation: exact held-out scores, where leave-one-out by importance sampling cannot be trusted."""

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bayesplat._checks import expect, fraction, integer, require
from bayesplat._lazy import pd
from bayesplat.progress import display
from bayesplat.regression import SplatModel
from bayesplat.results import Posterior
from bayesplat.tables import Table, as_data
from bayesplat.wording import percent


@dataclass(frozen=True)
class KFold:
    """Held-out scores of every datum, from models that did not see its fold."""

    log_density: Float[np.ndarray, " n"]
    """Log p(y_i | data of the other folds), per unit of y; NaN where y is missing or the fold was not run."""
    covered: Bool[np.ndarray, " n"]
    """Whether the interval of a new observation holds y_i; False where y_i was not scored, as its NaN density says."""
    fold: Int[np.ndarray, " n"]
    """Fold of every datum, from 0."""
    prob: float
    """Probability of the intervals."""
    failures: dict[int, tuple[str, ...]]
    """What `convergence()` said of the folds in which something failed."""
    seconds: float

    @property
    def elpd(self) -> float:
        """Sum of the log densities: comparable with `elpd_loo`."""
        return float(self._scored.sum())

    @property
    def se(self) -> float:
        """Standard error of the sum."""
        return float(np.sqrt(self._scored.size * self._scored.var()))

    @property
    def nlpd(self) -> float:
        """Mean negative log density of a datum: lower is better."""
        return -float(self._scored.mean())

    @property
    def coverage(self) -> float:
        """Share of data inside their intervals."""
        return float(self.covered[~np.isnan(self.log_density)].mean())

    @property
    def _scored(self) -> Float[np.ndarray, " m"]:
        return self.log_density[~np.isnan(self.log_density)]

    def to_frame(self) -> "pd.DataFrame":
        """One row per datum: fold, log_density, covered; the last two missing where it was not scored."""
        covered = pd.Series(self.covered, dtype="boolean").mask(np.isnan(self.log_density))
        return pd.DataFrame({"fold": self.fold, "log_density": self.log_density, "covered": covered})

    def __str__(self) -> str:
        folds, done = (np.unique(fold).size for fold in (self.fold, self.fold[~np.isnan(self.log_density)]))
        lines = [
            f"{folds}-fold cross-validation{f', {done} folds done,' if done < folds else ''} of {self._scored.size} "
            f"data in {self.seconds:.0f} s",
            f"  log predictive density  {self.elpd:.1f} (standard error {self.se:.1f}), {-self.nlpd:.3f} per datum",
            f"  {percent(self.prob)} intervals cover  {self.coverage:.3f}",
        ]
        if self.failures:
            first = next(iter(self.failures))
            lines.append(
                f"! {len(self.failures)} of {done} folds did not converge (fold {first}: {self.failures[first][0]})"
            )
        return "\n".join(lines)

    __repr__ = __str__


def kfold(
    model: SplatModel,
    x: object,
    y: object,
    folds: int | object = 10,
    prob: float = 0.9,
    seed: int = 0,
    progress: bool | None = None,
    y_err: object = None,
    **sampling: Any,
) -> KFold:
    """Fit the model once without each fold and score the data left out.

    `folds` is their number (drawn at random by `seed`, as equal in size as can be) or a label for every datum, such as
    the site or the day it comes from: then whole sites are left out. `y_err` (n,) or a number: known sds of the
    measurements of y. `progress` is that of `SplatModel.fit`, and `sampling` goes to `SplatModel.sample`. Ctrl-C keeps
    the folds that are done. Raises BayesplatError for folds that are fewer than two, do not match the data or have no
    y, and for a `checkpoint`.
    """
    expect(model, SplatModel, "`model` to be a SplatModel")
    fraction("prob", prob)
    require("checkpoint" not in sampling, "Expected no `checkpoint`: folds would share one folder; leave it out.")
    data = as_data(x, y, y_err)
    observed = ~np.isnan(data.y)
    fold = _labels(folds, observed, integer("seed", seed))
    log_density, covered = np.full(fold.size, np.nan), np.zeros(fold.size, bool)
    failures, began, count = {}, time.perf_counter(), int(fold.max()) + 1
    with display("kfold", progress) as show:
        for i in range(count):
            show(i, count, f"fold {i + 1} of {count}")
            held, used = observed & (fold == i), observed & (fold != i)
            try:
                post = refit(model, data.rows(used), seed, sampling)
                scores, below = (of(data.rows(held)) for of in (post.predictor.log_density, post.predictor.cdf))
                report = post.convergence()
            except KeyboardInterrupt:
                break
            log_density[held], covered[held] = scores, np.abs(below - 0.5) <= prob / 2
            failures |= {} if report.ok else {i: report.failures}
    require(not np.isnan(log_density).all(), "Interrupted before the first fold was done; nothing to report.")
    return KFold(log_density, covered, fold, prob, failures, time.perf_counter() - began)


def refit(model: SplatModel, table: Table, seed: int, sampling: dict[str, Any]) -> Posterior:
    """The posterior given some of the data, without progress or warnings of its own.

    Raises KeyboardInterrupt if it was cut short.
    """
    x, y, y_err = table
    # they would say the same once for every refit
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        post = model.sample(x, y, seed=seed, progress=False, y_err=y_err, **sampling)
    if post.info["interrupted"]:
        raise KeyboardInterrupt("Interrupted: these draws are too few.")
    return post


def _labels(folds: int | object, observed: Bool[np.ndarray, " n"], seed: int) -> Int[np.ndarray, " n"]:
    """Fold of every datum, numbered from 0."""
    if isinstance(folds, int | np.integer):
        require(
            2 <= int(folds) <= int(observed.sum()),
            f"Expected `folds` between 2 and the number of observed data ({observed.sum()}), got {folds}.",
        )
        fold = np.zeros(observed.size, int)
        fold[observed] = np.random.default_rng(seed % 2**64).permutation(int(observed.sum())) % folds
        return fold
    labels = np.asarray(folds)
    expected = f"Expected `folds` to be an integer or one label for each of {observed.size} data"
    require(labels.ndim > 0, f"{expected}, got {folds}.")
    require(not pd.isna(labels).any(), "Expected a label for every datum in `folds`, got missing ones; name them.")
    require(labels.shape == observed.shape, f"{expected}, got shape {labels.shape}.")
    fold, names = pd.factorize(labels, sort=True)  # of several kinds, too
    require(len(names) >= 2, f"Expected at least two different labels in `folds`, got {len(names)}.")
    require(
        np.unique(fold[observed]).size == len(names),
        "Expected observed data in every fold of `folds`, got a label whose y are all missing; merge it into another.",
    )
    return fold
