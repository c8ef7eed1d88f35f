"""What the page says in numbers: reports, splats at work, noise and coverage, each computed once."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bayesplat.diagnostics.active import active_counts
from bayesplat.diagnostics.convergence import APPROXIMATE, Convergence
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.overfitting import Overfitting
from bayesplat.diagnostics.pool import pooled
from bayesplat.likelihoods import StudentT
from bayesplat.results import Posterior
from bayesplat.tables import sliced
from bayesplat.wording import beside, count, interval, number

PROB = 0.9
"""Probability of the intervals and bands of the page."""

TAILS = ((1 - PROB) / 2, (1 + PROB) / 2)

ROWS = 1000
"""Most data, from as many slices, at which noise and coverage are judged."""


class Findings(NamedTuple):
    """A posterior and what was found of it."""

    post: Posterior
    convergence: Convergence
    overfitting: Overfitting
    active: np.ndarray  # (s,) splats at work in every draw
    noise: np.ndarray  # (draws,) noise sd if it is constant; (rows,) its posterior mean at the data if it varies
    covered: float  # share of the judged data inside the band for observations
    judged: int  # number of data judged

    @property
    def n(self) -> int:
        """Number of data."""
        return group(self.post.data, "posterior").sizes["obs"]

    @property
    def chains(self) -> int:
        """Number of chains."""
        return group(self.post.data, "posterior").sizes["chain"]

    @property
    def draws(self) -> int:
        """Draws of one chain."""
        return group(self.post.data, "posterior").sizes["draw"]

    @property
    def unit(self) -> str:
        """What the output's name ends with in brackets that stand apart, with a space before it; else nothing."""
        found = re.search(r"\s\(([^()]+)\)\s*$", self.post.names[-1])
        return f" {found[1]}" if found else ""

    @property
    def varying(self) -> bool:
        """Whether the noise varies with the inputs."""
        return self.post.spec.likelihood.noise == "varying"


def find(post: Posterior) -> Findings:
    """Compute everything that the page says in numbers."""
    table = post.table.rows(sliced(post.table.y.size, ROWS))
    x, *_ = table
    inside = np.abs(post.predictor.cdf(table) - 0.5) <= PROB / 2
    active = active_counts(post.data, pooled(post.data, "posterior"))
    return Findings(post, post.convergence(), post.overfitting(), active, _noise(post, x), float(inside.mean()), len(x))


def _noise(post: Posterior, x: Float[np.ndarray, "m d"]) -> np.ndarray:
    likelihood = post.spec.likelihood
    varying = likelihood.noise == "varying"
    scale = post.predict(x, PROB, "noise").mean if varying else pooled(post.data, "posterior")["sigma"].values
    return np.sqrt(np.asarray(likelihood.variance(np.asarray(scale))))


def noise_fact(found: Findings) -> tuple[str, str]:
    """The noise sd, and what is said of it."""
    kind = " of Student-t noise" if isinstance(found.post.spec.likelihood, StudentT) else ""
    kind += "" if found.post.table.y_err is None else " beside the known errors"
    if found.varying:
        low, high = number(float(found.noise.min())), number(float(found.noise.max()))
        return f"{low} to {high}{found.unit}", f"is the range over the data of the posterior mean of the sd{kind}."
    middle = number(float(np.median(found.noise)))
    return f"{middle}{found.unit}", f"is the posterior median of the sd{kind}, 90% interval {interval_of(found.noise)}."


def active_fact(found: Findings) -> tuple[str, str]:
    """The number of splats at work."""
    low, high = np.quantile(found.active, TAILS)
    head = f"{found.active.mean():.1f} of {found.post.spec.n_splats}"
    return head, f"matter to f on average over the draws, 90% interval {low:.0f} to {high:.0f}."


def coverage_fact(found: Findings) -> tuple[str, str]:
    """The in-sample coverage, said to be that."""
    of = f"the {found.n} data" if found.judged == found.n else f"{found.judged} of the {found.n} data, spread over all,"
    words = (
        f"of {of} lie in the 90% band for new observations. This is in-sample and so flatters: the model has seen "
        "these data. The LOO-PIT judges calibration on data left out."
    )
    return f"{found.covered:.0%}", words


def loo_fact(found: Findings) -> tuple[str, str]:
    """The leave-one-out score."""
    loo = found.overfitting.loo
    trusted = "" if loo.n_bad == 0 else f" {loo.n_bad} of its {found.n} terms cannot be trusted."
    words = f"is the log density of each datum predicted from all the others, summed, with its standard error.{trusted}"
    return f"{beside(loo.elpd, loo.se)} ± {number(loo.se, 2)}", words


def interval_of(values: np.ndarray) -> str:
    """The equal-tailed interval of a sample."""
    low, high = np.quantile(values, TAILS)
    return interval(float(low), float(high))


def convergence_verdict(found: Findings) -> str:
    """One sentence on convergence."""
    report = found.convergence
    if not report.ok:
        return f"Do not rely on these draws yet: {count(len(report.failures), 'check')} of convergence failed."
    if report.method in APPROXIMATE:
        return f"The approximation passes its check: its Pareto k-hat is {report.khat:.2f}."
    return "The sampler converged: no check failed."


def overfitting_verdict(found: Findings) -> str:
    """One sentence on overfitting."""
    signs = found.overfitting.signs
    if not signs:
        early = "" if found.convergence.ok else " in these draws; look again once no check of convergence fails"
        return f"There is no sign of overfitting{early}."
    return f"The fit may follow the noise or be miscalibrated: {count(len(signs), 'sign')} of it."
