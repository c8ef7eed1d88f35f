"""Splat regression: the class that users start from, and the only place that sees both flow and posterior."""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import jax
import numpy as np

from bayesplat import io
from bayesplat._checks import fraction, integer, one_of, positive_int, require, warn
from bayesplat._typing import Key, Sites
from bayesplat.bound import Bound, bind_table, unit_outputs
from bayesplat.checkpoint import NO_JOURNAL, Journal, opened
from bayesplat.devices import inference, require_eager
from bayesplat.diagnostics.convert import load_reports, to_datatree
from bayesplat.diagnostics.evidence import with_evidence
from bayesplat.diagnostics.stacking import stacked
from bayesplat.flow import run as flow
from bayesplat.flow.chain_start import chain_start
from bayesplat.flow.descent import state_like
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.result import PointFit, point_fit
from bayesplat.posterior import svi
from bayesplat.posterior.choice import choose_depth
from bayesplat.posterior.draws import Draw, complete_all, prior_draws
from bayesplat.posterior.term import SplatTerm
from bayesplat.progress import display
from bayesplat.results import Posterior, PriorPredictive, load_posterior
from bayesplat.sampling import METHODS, Budget, affordable, starts_of
from bayesplat.specification import Specification
from bayesplat.tables import identical
from bayesplat.threads import meanwhile

PRIOR_DRAWS = 512
"""Draws behind the `prior` and `prior_predictive` groups of a posterior."""
NO_START = 2**32 - 1
"""Folded into the seed's key for draws: starts of the flow go by 0, 1, ..., and chains share no key of theirs."""


@dataclass(frozen=True)
class SplatModel(Specification):
    """A splat regression: y = trend + sum_i a_i height_i(x) + noise (daniels2025splat).

    Start here: `SplatModel().fit(x, y)` for a point fit, `.sample(x, y)` for the posterior. All arguments have
    defaults; `print(model)` shows every one of them.
    """

    def fit(
        self,
        x: object,
        y: object,
        seed: int = 0,
        starts: int = 4,
        start: PointFit | None = None,
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        y_err: object = None,
    ) -> PointFit:
        """Point fit by the Wasserstein-Fisher-Rao flow: the best of several starts.

        x: (n, d) or (n,), arrays or frames, in any units; y: (n,), NaN = missing; y_err: (n,) or a number, the known sd
        of each measurement, in the units of y: the noise is what scatters beside it. Ctrl-C returns the best so far;
        `start` goes on from an earlier fit of the same data and model, and never ends above it. `checkpoint` is a
        folder to keep the work in, for `resume` or the same call to go on from. `progress` draws a line, by default on
        a terminal or in a notebook with ipywidgets. Raises BayesplatError for data that cannot be fitted.
        """
        require_eager("fit")
        bound = bind_table(self, x, y, y_err)
        if start is not None:
            _same_problem(start, bound)
        asked = {"seed": integer("seed", seed), "starts": positive_int("starts", starts)}
        given = [] if start is None else [run.state for run in start.runs]
        with _journal(checkpoint, bound, "fit", asked, given) as journal:
            return _flow(bound, progress, journal, given, **asked)

    def sample(
        self,
        x: object,
        y: object,
        method: str = "nuts",
        chains: int = 4,
        warmup: int = 500,
        draws: int = 500,
        seed: int = 0,
        start: PointFit | None = None,
        guide: str = "auto",
        target_accept: float = 0.9,
        max_tree_depth: int | None = None,
        progress: bool | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        y_err: object = None,
    ) -> Posterior:
        """Draws from the posterior, in one of four ways; x, y, y_err and progress as for `fit`.

        `method="nuts"`: a chain from each of several runs of the flow; `start` takes those of an earlier `fit` of the
        same data, by a model that may have another prior on amplitudes. Trajectories have at most 2^max_tree_depth - 1
        gradients; by default the depth is 6 for one input and 8 for more, where that ends within about an hour. "smc":
        `chains` independent populations of `draws`, from the prior to the posterior, without warm-up: takes at least as
        long, weighs explanations where chains keep to one, and estimates the evidence.
        "svi": a Gaussian fitted by gradients, with correlations or without (`guide`: "lowrank", "normal" or "auto", by
        size), whose `chains * draws` draws make one chain. "laplace": a Gaussian at the mode nearest to each fit.
        "auto": NUTS where it ends within about an hour, n k (k + 150) up to 2.1e8, and "svi" beyond.
        Ctrl-C keeps the draws there are. `checkpoint` is a folder to keep the work in as it goes: `resume`, or the same
        call, goes on from there after the process was killed, to the same draws. Raises BayesplatError for data or
        settings that cannot be used, and for a folder that cannot be used or holds another run.
        """
        require_eager("sample")
        one_of("method", method, (*METHODS, "auto"))
        one_of("guide", guide, svi.GUIDES)
        chains, warmup = positive_int("chains", chains), positive_int("warmup", warmup)
        draws = positive_int("draws", draws, least=4)  # of which halves of chains can be compared
        seed, target_accept = integer("seed", seed), fraction("target_accept", target_accept)
        deepest = None if max_tree_depth is None else positive_int("max_tree_depth", max_tree_depth)
        began = time.perf_counter()
        bound = bind_table(self, x, y, y_err)
        n, d = bound.problem.x.shape
        depth = deepest or choose_depth(n, self.n_splats, d)
        budget = Budget(chains, warmup, draws, guide, target_accept, depth)
        if start is not None:
            _same_problem(start, bound, free=("prior",))
        method = affordable(method, bound.problem)
        count = starts_of(method, chains)
        if start is not None and method != "svi":  # which begins at the best start alone
            _apart(start, count)
        asked = {"method": method, "seed": seed, **budget._asdict()}
        with inference(bound.device):
            # before there is a folder: whoever resumes a run that was killed does not have the fit
            given = [] if start is None else _of_fit(bound, start, count)
            key, prior_key, complete_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), NO_START), 3)
            with (
                _journal(checkpoint, bound, "sample", asked, given) as journal,
                meanwhile(lambda: _aside(bound, prior_key)) as aside,
            ):
                starts = _starts(bound, given, count, seed, progress, journal) if count else []
                drawn = METHODS[method](bound.problem, starts, key, budget, progress, journal)
            prior = aside.result()
            posterior = complete_all(bound.problem, drawn.values, complete_key)
        rows = bound.rows
        x_used, y_used, errors = bound.data.rows(rows)
        tree = to_datatree(
            self,
            bound.scaling,
            posterior,
            prior,
            drawn.stats,
            x_used,
            y_used,
            rows,
            bound.data.names,
            bound.field,
            errors,
        )
        if drawn.log_evidence is None:
            tree = stacked(tree)
        else:
            tree = with_evidence(tree, drawn.log_evidence - rows.size * np.log(bound.scaling.sd))
        seconds = journal.seconds + time.perf_counter() - began
        info = {"method": method, "seed": seed, "seconds": seconds, **drawn.how, **bound.environment}
        return Posterior(self, bound.scaling, bound.data.names, tree, info)

    def numpyro(self, x: object, y: object = None, y_err: object = None) -> SplatTerm:
        """The splats as a part of a NumPyro program of your own, with priors on the scales of x and y.

        Inside a program `term()` observes y with amplitudes integrated out, and `term(offset)` with something else
        beside them; `term.function()` samples f for a likelihood of your own, in units of sd 1 about 0 without y.
        `y_err` as for `fit`. Raises BayesplatError for data that cannot be used.
        """
        require(y is not None or y_err is None, "Expected `y_err` together with `y`, got it alone.")
        if y is not None:
            bound = bind_table(self, x, y, y_err)
            return SplatTerm(bound.problem, bound.scaling, ~np.isnan(bound.data.y))
        bound = bind_table(self, x, unit_outputs(x), quiet=True)
        return SplatTerm(bound.problem, bound.scaling._replace(mean=0.0, sd=1.0), None)

    def prior_predictive(self, x: object, draws: int = 100, seed: int = 0, y: object = None) -> PriorPredictive:
        """What the prior expects at inputs x before any data: look at it before fitting.

        Without y, outputs are in sds of y about its mean; with y, in y's units. Range and spacing of x set the prior on
        lengths, as in a fit: give it the inputs of the data.
        """
        bound = bind_table(self, x, unit_outputs(x) if y is None else y, quiet=True)
        with inference():
            draw = prior_draws(bound.problem, positive_int("draws", draws), jax.random.key(integer("seed", seed)))
        mean, sd = (0.0, 1.0) if y is None else (bound.scaling.mean, bound.scaling.sd)
        sigma = sd * draw.values["sigma"][0]
        names = (*bound.data.names[:-1], "y (sds)" if y is None else bound.data.names[-1])
        x_used = bound.data.x[bound.rows]
        f, y_new = (mean + sd * np.asarray(part[0]) for part in (draw.f, draw.replicate))
        lengths = bound.scaling.extent * np.linalg.norm(np.asarray(draw.A[0]), axis=-1)
        return PriorPredictive(
            x_used, f, y_new, np.asarray(sigma), lengths, sd * np.asarray(draw.contribution[0]), names
        )


def load(path: str | os.PathLike[str]) -> Posterior:
    """Read a posterior from the file that `Posterior.save` wrote; the training data are not needed.

    Raises BayesplatError, naming the file, if it is missing, damaged, foreign or of a newer format.
    """
    return load_posterior(path, SplatModel)


def _same_problem(fit: PointFit, bound: Bound, free: tuple[str, ...] = ()) -> None:
    """Refuse what is no fit, a fit of other data, or of a model that differs in more than what is free."""
    expected = f"Expected `start` to be a PointFit, from SplatModel.fit, got {type(fit).__name__}."
    require(isinstance(fit, PointFit), expected)
    old, new = (fit.x, fit.y, fit.y_err), (bound.data.x, bound.data.y, bound.data.y_err)
    require(identical(old, new), "Expected `start` to be a fit of the same data; call fit with this x and y.")
    spec = bound.problem.spec
    for name in (field.name for field in fields(spec) if field.name not in free):
        ours, theirs = getattr(spec, name), getattr(fit.spec, name)
        message = (
            f"Expected `start` to be a fit with the same `{name}`, {ours!r}, got {theirs!r}; fit this model first."
        )
        require(ours == theirs, message)


def _apart(fit: PointFit, chains: int) -> None:
    """A warning where several chains have to begin at one start of the fit."""
    starts = len(fit.runs)
    if starts < chains:
        message = (
            f"{chains} chains begin at {starts} start{'s' if starts > 1 else ''} of the fit: what it missed may stay "
            f"hidden, and the chains agree all the same; fit with `starts={chains}`."
        )
        warn(message)


def _journal(
    folder: str | os.PathLike[str] | None, bound: Bound, task: str, asked: dict[str, Any], start: list[Any]
) -> AbstractContextManager[Journal]:
    if folder is None:
        return nullcontext(NO_JOURNAL)
    spec = io.spec_to_json(bound.problem.spec)
    data = bound.data
    known = {} if data.y_err is None else {"y_err": True}
    settings = {"task": task, "model": spec, "names": list(data.names), **asked, **known}
    return opened(folder, settings, (data.x, data.y, data.y_err), bound.environment, start)


def _flow(
    bound: Bound,
    progress: bool | None,
    journal: Journal,
    given: list[flow.State],
    *,
    seed: int,
    starts: int,
) -> PointFit:
    device = bound.device
    with inference(device), display("flow", progress) as show:
        energy = neg_log_evidence(bound.problem)
        resume = given or journal.begun_with(state_like(energy))

        def report(p: flow.Progress) -> None:
            show(p.done, p.total, "compiling" if np.isinf(p.energy) else f"energy {p.energy:.1f} nats")

        runs = flow.run_flow(energy, jax.random.key(seed), starts, flow.Settings(), report, resume, journal)
        return point_fit(bound.problem.spec, energy, runs, bound.scaling, bound.data, str(device))


def _aside(bound: Bound, key: Key) -> Draw:
    """What a sample needs besides its chains, done while they compile: draws from the prior, libraries of reports."""
    drawn = prior_draws(bound.problem, PRIOR_DRAWS, key)
    load_reports()
    return drawn


def _starts(
    bound: Bound, given: list[Sites], count: int, seed: int, progress: bool | None, journal: Journal
) -> list[Sites]:
    """Site values of one start per chain: those given, or kept, or those of the flow."""
    like = dict.fromkeys(bound.problem.sites(), 0)
    with inference():
        kept = given or journal.begun_with(like) or journal.recall("starts", [like] * count)
    if not kept:
        kept = _flown(bound, count, seed, progress, journal)
        journal.record("starts", kept)
    return kept


def _flown(bound: Bound, count: int, seed: int, progress: bool | None, journal: Journal) -> list[Sites]:
    fit = _flow(bound, progress, journal, [], seed=seed, starts=count)
    if fit.interrupted:
        # whoever interrupts wants no chains; and those of unfinished starts would not be those of a run that goes on
        way_on = "" if journal.folder is None else f"; bayesplat.resume({str(journal.folder)!r}) goes on"
        raise KeyboardInterrupt(f"Interrupted before the chains: there are no draws to keep{way_on}.")
    return _of_fit(bound, fit, count)


def _of_fit(bound: Bound, fit: PointFit, count: int) -> list[Sites]:
    """One start per chain, from different runs of the flow as far as there are."""
    with inference(bound.device):
        energy = neg_log_evidence(bound.problem)
        return [chain_start(bound.problem, energy, fit.runs[c % len(fit.runs)]) for c in range(count)]
