"""Stochastic variational inference: a Gaussian in unconstrained coordinates, fitted by NumPyro (kucukelbir2017)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.stats import norm
from jaxtyping import Float
from numpyro.infer import SVI, Trace_ELBO, init_to_value
from numpyro.infer.autoguide import (
    AutoContinuous,
    AutoGuide,
    AutoLaplaceApproximation,
    AutoLowRankMultivariateNormal,
    AutoNormal,
)

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.model import Problem
from bayesplat.posterior.program import potential, program
from bayesplat.priors.sites import unconstrain

GUIDES = ("auto", "normal", "lowrank")
"""Names that users may give; "laplace" is a method of its own."""

CHUNK = 250

BATCH = 64
"""Draws weighed at a time: bounds memory."""


class Settings(NamedTuple):
    """Budget of the optimisation."""

    guide: str = "lowrank"
    steps: int = 4000
    draws: int = 1000
    learning_rate: float = 0.01
    particles: int = 4


class Approximation(NamedTuple):
    """Draws from the fitted approximations, with the log weights that judge it."""

    values: Sites  # of the model's sites; leading axes (starts, draws)
    log_p: np.ndarray  # (starts, draws) log joint density of the model at each draw, unconstrained coordinates
    log_q: np.ndarray  # (starts, draws) log density of the approximation there
    losses: np.ndarray  # (starts, steps) minus the evidence lower bound; NaN for steps not taken
    interrupted: bool


class Progress(NamedTuple):
    """Where the optimisation stands."""

    done: int
    total: int
    loss: float


class _Fit(NamedTuple):
    """The library's objects of one optimisation; made anew inside every compiled piece, which costs nothing there."""

    guide: AutoGuide
    svi: SVI


def _fit(settings: Settings, start: Sites) -> _Fit:
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.steps, 0.05)
    guide = _guide(settings, start)
    loss = Trace_ELBO(num_particles=1 if settings.guide == "laplace" else settings.particles)
    return _Fit(guide, SVI(program, guide, optax.chain(optax.clip_by_global_norm(1e3), optax.adam(schedule)), loss))


def _guide(settings: Settings, start: Sites) -> AutoGuide:
    init = init_to_value(values=start)
    if settings.guide == "normal":
        return AutoNormal(program, init_loc_fn=init, init_scale=0.05)
    if settings.guide == "lowrank":
        return AutoLowRankMultivariateNormal(program, init_loc_fn=init, init_scale=0.05)
    # a point that is not a maximum in every direction has no inverse Hessian: hold flat directions at variance 1
    return AutoLaplaceApproximation(program, init_loc_fn=init, hessian_fn=_positive_hessian)


def _positive_hessian(f: Callable[[AnyArray], AnyArray], at: Float[AnyArray, " m"]) -> Float[AnyArray, "m m"]:
    values, vectors = jnp.linalg.eigh(jax.hessian(f)(at))
    return (vectors * jnp.maximum(values, 1.0)) @ vectors.T


@eqx.filter_jit
def _start(problem: Problem, settings: Settings, start: Sites, key: Key) -> Any:
    return _fit(settings, start).svi.init(key, problem)


@eqx.filter_jit
def _advance(problem: Problem, settings: Settings, start: Sites, state: Any) -> tuple[Any, Float[AnyArray, " c"]]:
    svi = _fit(settings, start).svi
    # the guide learns the sites' shapes from it; XLA drops its arithmetic
    svi.init(jax.random.key(0), problem)
    return jax.lax.scan(lambda state, _: svi.stable_update(state, problem), state, length=CHUNK)


@eqx.filter_jit
def _draw(
    problem: Problem, settings: Settings, start: Sites, state: Any, key: Key
) -> tuple[Sites, Float[AnyArray, " s"], Float[AnyArray, " s"]]:
    """Draws from the guide, with log densities of model and guide there, in unconstrained coordinates."""
    guide, svi = _fit(settings, start)
    svi.init(jax.random.key(0), problem)
    params = svi.get_params(state)
    drawn = guide.sample_posterior(key, params, problem, sample_shape=(settings.draws,))
    values = {name: drawn[name] for name in problem.sites()}
    return values, *_weigh(problem, guide, params, values)


def run_svi(
    problem: Problem,
    starts: list[Sites],
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    journal: Journal = NO_JOURNAL,
) -> Approximation:
    """Fit one guide from each start (values of the sites) and draw from it; Ctrl-C keeps the fits so far.

    `journal` keeps the state after every chunk, from where a fit that was killed goes on bit for bit.
    `laplace` finds the maximum by the same optimiser and inverts the Hessian there.
    """
    parts, interrupted, total = [], False, settings.steps * len(starts)
    for c, start in enumerate(starts):
        begin, draw = jax.random.split(jax.random.fold_in(key, c))
        state = _start(problem, settings, start, begin)
        state, kept = journal.recall(f"svi-{c}", (state, 0)) or (state, np.zeros((0, CHUNK)))
        losses = list(kept)
        try:
            while len(losses) * CHUNK < settings.steps:
                state, chunk = _advance(problem, settings, start, state)
                losses.append(np.asarray(chunk))
                journal.record(f"svi-{c}", (state, np.stack(losses)))
                done = c * settings.steps + len(losses) * CHUNK
                report(Progress(done, total, float(chunk[-50:].mean())))
        except KeyboardInterrupt:
            interrupted = True
            if parts:
                break  # a fit on its way must not count like those that are done
            if not losses:
                raise KeyboardInterrupt("Interrupted before the fit had begun.") from None
        losses = np.concatenate([*losses, np.full(settings.steps, np.nan)])[: settings.steps]
        parts.append((*_draw(problem, settings, start, state, draw), losses))
        if interrupted:
            break
    values, log_p, log_q, losses = jax.tree.map(lambda *each: np.stack(each), *parts)
    return Approximation(values, log_p, log_q, losses, interrupted)


def _weigh(
    problem: Problem, guide: AutoGuide, params: Sites, values: Sites
) -> tuple[Float[AnyArray, " s"], Float[AnyArray, " s"]]:
    positions = jax.vmap(lambda v: unconstrain(problem.sites(), v))(values)
    log_p = -jax.lax.map(lambda z: potential(problem, z), positions, batch_size=BATCH)
    if isinstance(guide, AutoNormal):
        log_q = sum(
            norm.logpdf(z, params[f"{name}_auto_loc"], params[f"{name}_auto_scale"]).reshape(len(z), -1).sum(1)
            for name, z in positions.items()
        )
    else:
        assert isinstance(guide, AutoContinuous)
        # the library lays the sites out in the order of the program, which is that of their names
        flat = [positions[name].reshape(len(positions[name]), -1) for name in sorted(positions)]
        log_q = guide.get_posterior(params).log_prob(jnp.concatenate(flat, 1))
    return log_p, jnp.asarray(log_q)
