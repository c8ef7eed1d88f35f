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
from numpyro.infer.autoguide import AutoContinuous, AutoGuide, AutoLowRankMultivariateNormal, AutoNormal

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.model import Problem
from bayesplat.posterior.approximation import Approximation, Progress, log_joint
from bayesplat.posterior.program import program
from bayesplat.priors.sites import unconstrain

GUIDES = ("auto", "normal", "lowrank")
"""Names that users may give."""

CHUNK = 250


class Settings(NamedTuple):
    """Budget of the optimisation."""

    guide: str = "lowrank"
    steps: int = 4000
    draws: int = 1000
    learning_rate: float = 0.01
    particles: int = 4


class _Fit(NamedTuple):
    """The library's objects of one optimisation; made anew inside every compiled piece, which costs nothing there."""

    guide: AutoGuide
    svi: SVI


def _fit(settings: Settings, start: Sites) -> _Fit:
    schedule = optax.cosine_decay_schedule(settings.learning_rate, settings.steps, 0.05)
    guide = _guide(settings, start)
    adam = optax.chain(optax.clip_by_global_norm(1e3), optax.adam(schedule))
    return _Fit(guide, SVI(program, guide, adam, Trace_ELBO(num_particles=settings.particles)))


def _guide(settings: Settings, start: Sites) -> AutoGuide:
    init = init_to_value(values=start)
    if settings.guide == "normal":
        return AutoNormal(program, init_loc_fn=init, init_scale=0.05)
    return AutoLowRankMultivariateNormal(program, init_loc_fn=init, init_scale=0.05)


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
    start: Sites,
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    journal: Journal = NO_JOURNAL,
) -> Approximation:
    """Fit a guide from `start` (values of the sites) and draw from it; Ctrl-C draws from where it stands.

    `journal` keeps the state after every chunk, from where a fit that was killed goes on bit for bit. Raises
    KeyboardInterrupt when interrupted before the first chunk.
    """
    begin, draw = jax.random.split(jax.random.fold_in(key, 0))
    state = _start(problem, settings, start, begin)
    state, done = journal.recall("svi", (state, 0)) or (state, 0)
    done, interrupted = int(done), False
    try:
        while done < settings.steps:
            state, losses = _advance(problem, settings, start, state)
            done += CHUNK
            journal.record("svi", (state, done))
            report(Progress(done, settings.steps, float(losses.mean())))
    except KeyboardInterrupt:
        interrupted = True
        if not done:
            raise KeyboardInterrupt("Interrupted before the fit had begun.") from None
    drawn = _draw(problem, settings, start, state, draw)
    values, log_p, log_q = jax.tree.map(lambda leaf: np.asarray(leaf)[None], drawn)
    return Approximation(values, log_p, log_q, interrupted)


def _weigh(
    problem: Problem, guide: AutoGuide, params: Sites, values: Sites
) -> tuple[Float[AnyArray, " s"], Float[AnyArray, " s"]]:
    positions = jax.vmap(lambda v: unconstrain(problem.sites(), v))(values)
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
    return log_joint(problem, positions), jnp.asarray(log_q)
