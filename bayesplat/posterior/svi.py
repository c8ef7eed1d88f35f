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
from bayesplat.model import Problem
from bayesplat.posterior.program import potential, program
from bayesplat.priors.sites import unconstrain

GUIDES = ("normal", "lowrank", "laplace")
CHUNK = 250


class Settings(NamedTuple):
    """Budget of the optimisation."""

    guide: str = "lowrank"
    steps: int = 4000
    draws: int = 1000
    learning_rate: float = 0.01
    particles: int = 4


class Approximation(NamedTuple):
    """Draws from the fitted approximation, with the log weights that judge it."""

    values: Sites  # of the model's sites; leading axes (1, draws)
    log_p: np.ndarray  # (1, draws) log joint density of the model at each draw, unconstrained coordinates
    log_q: np.ndarray  # (1, draws) log density of the approximation there
    losses: np.ndarray  # (steps,) minus the evidence lower bound
    interrupted: bool


class Progress(NamedTuple):
    """Where the optimisation stands."""

    done: int
    total: int
    loss: float


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


def run_svi(
    problem: Problem,
    start: Sites,
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Approximation:
    """Fit the guide from `start` (values of the sites) and draw from it; Ctrl-C stops early and keeps the fit so far.

    `laplace` finds the maximum by the same optimiser and inverts the Hessian there.
    """
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.steps, 0.05)
    guide = _guide(settings, start)
    loss = Trace_ELBO(num_particles=1 if settings.guide == "laplace" else settings.particles)
    svi = SVI(program, guide, optax.chain(optax.clip_by_global_norm(1e3), optax.adam(schedule)), loss)

    @eqx.filter_jit
    def advance(problem: Problem, state: Any) -> tuple[Any, Float[AnyArray, " c"]]:
        return jax.lax.scan(lambda state, _: svi.stable_update(state, problem), state, length=CHUNK)

    begin, draw = jax.random.split(key)
    state, losses, interrupted = svi.init(begin, problem), [], False
    try:
        while len(losses) * CHUNK < settings.steps:
            state, chunk = advance(problem, state)
            losses.append(np.asarray(chunk))
            report(Progress(len(losses) * CHUNK, settings.steps, float(chunk[-50:].mean())))
    except KeyboardInterrupt:
        interrupted = True
    values = guide.sample_posterior(draw, svi.get_params(state), problem, sample_shape=(settings.draws,))
    values = {name: values[name] for name in problem.sites()}
    log_p, log_q = _weigh(problem, guide, svi.get_params(state), values)
    history = np.concatenate(losses) if losses else np.zeros(0)
    return Approximation(jax.tree.map(lambda a: np.asarray(a)[None], values), log_p, log_q, history, interrupted)


def _weigh(problem: Problem, guide: AutoGuide, params: Sites, values: Sites) -> tuple[np.ndarray, np.ndarray]:
    """Log densities (1, draws) of model and approximation at draws, in unconstrained coordinates."""
    positions = jax.vmap(lambda v: unconstrain(problem.sites(), v))(values)
    log_p = -jax.jit(jax.vmap(lambda z: potential(problem, z)))(positions)
    if isinstance(guide, AutoNormal):
        log_q = sum(
            norm.logpdf(z, params[f"{name}_auto_loc"], params[f"{name}_auto_scale"]).reshape(len(z), -1).sum(1)
            for name, z in positions.items()
        )
    else:
        assert isinstance(guide, AutoContinuous)
        # the library lays the sites out in the order of the program
        flat = [positions[name].reshape(len(positions[name]), -1) for name in problem.sites()]
        log_q = guide.get_posterior(params).log_prob(jnp.concatenate(flat, 1))
    return np.asarray(log_p)[None], np.asarray(log_q)[None]
