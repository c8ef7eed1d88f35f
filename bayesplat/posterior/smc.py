"""Sequential Monte Carlo from the prior to the posterior: independent runs, each with its estimate of the evidence.

A population of draws from the prior is weighted, resampled and moved as the likelihood's power rises from 0 to 1
(delmoral2006). The modes that it found keep their shares, which chains that sit in one mode each cannot tell; the mean
weights multiply to the evidence p(y). Draws move by the same teleports and interweaving as those of NUTS, and along
gradients by BlackJAX's Hamiltonian Monte Carlo.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.mcmc import hmc
from blackjax.smc.ess import ess_solver
from blackjax.smc.resampling import systematic
from blackjax.smc.solver import dichotomy
from jax.flatten_util import ravel_pytree
from jax.scipy.special import logsumexp
from jaxtyping import Float

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.model import Problem
from bayesplat.posterior.gibbs import gibbs
from bayesplat.posterior.nuts import mean_over_splats
from bayesplat.posterior.prior import prior_sites
from bayesplat.posterior.program import potential
from bayesplat.priors.sites import constrain, unconstrain, unflatten
from bayesplat.threads import run_all

BATCH = 50
"""Draws moved at a time: bounds memory."""

TARGET_ACCEPT = 0.8


class Settings(NamedTuple):
    """What defines a run besides its key."""

    draws: int = 500  # size of the population
    ess: float = 0.8  # share of effective draws that one rise of the power leaves
    sweeps: int = 2  # moves of every draw after each rise
    leapfrogs: int = 16  # gradients of one Hamiltonian move
    pool: int = 16  # candidates for the place of each splat in one teleport


class Runs(NamedTuple):
    """Populations at the posterior; leading axes (runs, draws)."""

    values: Sites  # of the model's sites
    log_p: np.ndarray  # (runs, draws) log joint density in unconstrained coordinates
    acceptance: np.ndarray  # (runs, draws) of the last Hamiltonian moves
    log_evidence: np.ndarray  # (runs,) log p(y), standardised
    rises: int  # most rises of the power in one run
    interrupted: bool


class Progress(NamedTuple):
    """Where the runs stand."""

    done: int  # per cent of the way, all runs together: the logarithm of the power counts, from 1e-6
    total: int
    power: float  # of the run that is furthest behind


class State(NamedTuple):
    """One population between two rises of the power."""

    z: Float[jax.Array, "s m"]  # unconstrained positions, as flat vectors
    log_likelihood: Float[jax.Array, " s"]
    power: Float[jax.Array, ""]
    log_evidence: Float[jax.Array, ""]
    step_size: Float[jax.Array, ""]
    acceptance: Float[jax.Array, " s"]
    key: Key


@eqx.filter_jit
def _start(problem: Problem, draws: int, key: Key) -> State:
    def one(key: Key) -> tuple[jax.Array, jax.Array]:
        values = prior_sites(problem, key)
        return ravel_pytree(unconstrain(problem.sites(), values))[0], jnp.asarray(problem.log_likelihood(values))

    first, key = jax.random.split(key)
    z, log_likelihood = jax.lax.map(one, jax.random.split(first, draws), batch_size=BATCH)
    zero = jnp.zeros(())
    return State(z, log_likelihood, zero, zero, jnp.asarray(0.2), jnp.ones(draws), key)


@eqx.filter_jit
def _rise(problem: Problem, settings: Settings, state: State) -> State:
    """Raise the power as far as the population bears, resample, and move every draw at the new power."""
    key, pick, move_key = jax.random.split(state.key, 3)
    left = 1 - state.power
    # what float64 cannot compute counts as the worst of what it can
    known = jnp.where(jnp.isnan(state.log_likelihood), jnp.nanmin(state.log_likelihood), state.log_likelihood)
    delta = jnp.clip(ess_solver(lambda given: given, known, settings.ess, left, dichotomy), 0.0, left)
    log_weights = delta * known
    rows = systematic(pick, jax.nn.softmax(log_weights), settings.draws)
    power = state.power + delta
    tempered = problem.tempered(power)
    z, mass = state.z[rows], _mass(tempered, state.z[rows])

    def move(inputs: tuple[jax.Array, Key]) -> tuple[jax.Array, jax.Array, jax.Array]:
        return _move(tempered, settings, *inputs, state.step_size, 1 / mass)

    keys = jax.random.split(move_key, settings.draws)
    z, log_likelihood, acceptance = jax.lax.map(move, (z, keys), batch_size=BATCH)
    gain = logsumexp(log_weights) - jnp.log(settings.draws)
    step_size = state.step_size * jnp.exp(acceptance.mean() - TARGET_ACCEPT)
    return State(z, log_likelihood, power, state.log_evidence + gain, step_size, acceptance, key)


def _mass(problem: Problem, z: jax.Array) -> jax.Array:
    """The mean squared gradient over the population, as NUTS learns it over time."""
    unflat = unflatten(problem.sites())
    gradient = jax.grad(lambda z: potential(problem, unflat(z)))
    square = jax.lax.map(lambda z: gradient(z) ** 2, z, batch_size=BATCH)
    return mean_over_splats(problem, jnp.nanmean(square, axis=0))


def _move(
    problem: Problem, settings: Settings, z: jax.Array, key: Key, step_size: jax.Array, inverse_mass: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sweeps of Gibbs moves and a Hamiltonian move; position, log likelihood, acceptance."""
    table, unflat, kernel = problem.sites(), unflatten(problem.sites()), hmc.build_kernel()

    def log_density(z: jax.Array) -> Float[AnyArray, ""]:
        return -potential(problem, unflat(z))

    def sweep(z: jax.Array, key: Key) -> tuple[Any, Any]:
        first, second, third, fourth = jax.random.split(key, 4)
        values, _ = gibbs(problem, constrain(table, unflat(z))[0], first, fourth, second, settings.pool)
        start = hmc.init(ravel_pytree(unconstrain(table, values))[0], log_density)
        # the library's annotations know only numbers where arrays do
        moved, info = kernel(third, start, log_density, step_size, inverse_mass, settings.leapfrogs)  # pyright: ignore
        return moved.position, info.acceptance_rate

    z, acceptance = jax.lax.scan(sweep, z, jax.random.split(key, settings.sweeps))
    return z, jnp.asarray(problem.log_likelihood(constrain(table, unflat(z))[0])), acceptance.mean()


@eqx.filter_jit
def _finish(problem: Problem, z: jax.Array) -> tuple[Sites, Float[AnyArray, " s"]]:
    def one(z: jax.Array) -> tuple[Sites, Float[AnyArray, ""]]:
        position = unflatten(problem.sites())(z)
        return constrain(problem.sites(), position)[0], -potential(problem, position)

    return jax.lax.map(one, z, batch_size=BATCH)


def run_smc(
    problem: Problem,
    runs: int,
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    journal: Journal = NO_JOURNAL,
) -> Runs:
    """Independent runs from the prior to the posterior; an interrupt (Ctrl-C) keeps the runs that are done.

    `journal` keeps the population after every rise, from where a run that was killed goes on bit for bit.
    Raises KeyboardInterrupt when interrupted before the first run is done.
    """
    keys = jax.random.split(key, runs)
    powers, done, rises = [0.0] * runs, {}, [0] * runs

    def run(r: int, stop: threading.Event) -> None:
        state = _start(problem, settings.draws, keys[r])
        state, rises[r] = journal.recall(f"smc-{r}", (state, 0)) or (state, 0)
        powers[r] = float(state.power)
        while powers[r] < 1 and not stop.is_set():
            state = _rise(problem, settings, state)
            powers[r], rises[r] = float(state.power), rises[r] + 1
            journal.record(f"smc-{r}", (state, rises[r]))
        if powers[r] >= 1:
            done[r] = jax.tree.map(np.asarray, (*_finish(problem, state.z), state.acceptance, state.log_evidence))

    interrupted = run_all(run, runs, lambda: report(_progress(powers)))
    if not done:
        raise KeyboardInterrupt("Interrupted before a run had reached the posterior.")
    values, log_p, acceptance, log_evidence = jax.tree.map(
        lambda *each: np.stack(each), *(done[r] for r in sorted(done))
    )
    return Runs(values, log_p, acceptance, log_evidence, int(max(rises)), interrupted)


def _progress(powers: list[float]) -> Progress:
    share = [1 + np.log10(max(power, 1e-6)) / 6 for power in powers]
    return Progress(round(100 * float(np.mean(share))), 100, min(powers))
