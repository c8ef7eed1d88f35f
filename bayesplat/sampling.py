"""Draws by every method, from one table of methods: what `SplatModel.sample` chooses from."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bayesplat._checks import require, warn
from bayesplat._typing import Key, Sites
from bayesplat.checkpoint import Journal
from bayesplat.devices import inference
from bayesplat.diagnostics.convert import nuts_stats
from bayesplat.model import Problem
from bayesplat.posterior import nuts, svi
from bayesplat.posterior.approximation import Approximation, Progress
from bayesplat.posterior.choice import MOST_CURVATURES, choose, choose_guide, takes_hours
from bayesplat.progress import display


class Budget(NamedTuple):
    """What the user says of how to sample; each method takes what concerns it."""

    chains: int
    warmup: int
    draws: int
    guide: str
    target_accept: float
    max_tree_depth: int


class Drawn(NamedTuple):
    """Draws of the model's sites and how they were made; leading axes (chains, draws)."""

    values: Sites
    stats: Sites  # of the group `sample_stats`
    how: dict[str, Any]
    log_evidence: Float[np.ndarray, " chains"] | None = None  # standardised; only SMC estimates it


def affordable(method: str, problem: Problem) -> str:
    """The method asked for, or the one that the size affords; a warning where it takes hours."""
    n, k = problem.x.shape[0], problem.spec.n_splats
    if method == "auto":
        return choose(n, k)
    if method == "laplace":
        size = coordinates(problem)
        asked = f"Expected at most {MOST_CURVATURES} coordinates for method='laplace', got {size}; use method='svi'."
        require(size <= MOST_CURVATURES, asked)
    if takes_hours(method, n, k):
        message = (
            f"{method.upper()} with {k} splats for {n} data may take hours; method='svi' or fewer splats would be "
            "faster."
        )
        warn(message)
    return method


def coordinates(problem: Problem) -> int:
    """How many numbers the sites of a problem hold."""
    with inference():
        return sum(int(np.prod(prior.shape())) for prior in problem.sites().values())


def by_nuts(
    problem: Problem, starts: list[Sites], key: Key, budget: Budget, progress: bool | None, journal: Journal
) -> Drawn:
    """One chain from each start."""
    settings = nuts.Settings(budget.warmup, budget.draws, budget.target_accept, budget.max_tree_depth)
    run_key, *keys = jax.random.split(key, 1 + len(starts))
    positions = [nuts.disperse(problem, start, k) for start, k in zip(starts, keys, strict=True)]
    with display("nuts", progress) as show:

        def report(p: nuts.Progress) -> None:
            show(p.done, p.total, f"{p.divergences} divergent" if p.done else "compiling")

        chains = nuts.run_nuts(problem, positions, run_key, settings, report, journal)
    kept = len(chains.stats["diverging"])
    how = {**settings._asdict(), "chains": kept, "chain_method": "threads", "interrupted": chains.interrupted}
    return Drawn(chains.values, nuts_stats(chains.stats, settings.max_tree_depth), how)


def by_svi(
    problem: Problem, starts: list[Sites], key: Key, budget: Budget, progress: bool | None, journal: Journal
) -> Drawn:
    """One Gaussian fitted from the first start; all draws make one chain."""
    guide = choose_guide(coordinates(problem)) if budget.guide == "auto" else budget.guide
    settings = svi.Settings(guide, draws=budget.chains * budget.draws)
    run = partial(svi.run_svi, problem, starts[0], key, settings, journal=journal)
    return _approximated("svi", run, settings, progress)


def by_laplace(
    problem: Problem, starts: list[Sites], key: Key, budget: Budget, progress: bool | None, journal: Journal
) -> Drawn:
    """A Gaussian at the mode above each start, each a chain of its own."""
    # SciPy's optimisers take 0.4 s to import, which only those who use them should pay
    from bayesplat.posterior import laplace

    settings = laplace.Settings(draws=budget.draws)
    run = partial(laplace.run_laplace, problem, starts, key, settings, journal=journal)
    return _approximated("laplace", run, settings, progress)


def _approximated(method: str, run: Callable[..., Approximation], settings: Any, progress: bool | None) -> Drawn:
    with display(method, progress) as show:

        def report(p: Progress) -> None:
            show(p.done, p.total, f"{p.loss:.1f} nats")

        found = run(report=report)
    how = {**settings._asdict(), "interrupted": found.interrupted}
    return Drawn(found.values, {"lp": found.log_p, "log_q": found.log_q}, how)


def by_smc(
    problem: Problem, starts: list[Sites], key: Key, budget: Budget, progress: bool | None, journal: Journal
) -> Drawn:
    """One population for each chain, all from the prior: starts do not matter."""
    # BlackJAX takes 0.7 s to import, which only those who use it should pay
    from bayesplat.posterior import smc

    settings = smc.Settings(budget.draws)
    with display("smc", progress) as show:

        def report(p: smc.Progress) -> None:
            show(p.done, p.total, f"power of the likelihood {p.power:.2g}" if p.power else "compiling")

        runs = smc.run_smc(problem, budget.chains, key, settings, report, journal)
    how = {**settings._asdict(), "chains": len(runs.log_evidence), "rises": runs.rises, "interrupted": runs.interrupted}
    stats: Sites = {"lp": runs.log_p, "acceptance_rate": runs.acceptance}
    return Drawn(runs.values, stats, how, runs.log_evidence)


METHODS: dict[str, Callable[[Problem, list[Sites], Key, Budget, bool | None, Journal], Drawn]] = {
    "nuts": by_nuts,
    "smc": by_smc,
    "svi": by_svi,
    "laplace": by_laplace,
}


def starts_of(method: str, chains: int) -> int:
    """How many runs of the flow a method begins with: one for each chain, none, or several of which the best counts."""
    return {"smc": 0, "svi": 4}.get(method, chains)
