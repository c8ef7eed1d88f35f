"""Laplace's method: a Gaussian at the mode above each start, as wide as the curvature there (tierney1986)."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float
from scipy.optimize import OptimizeResult, minimize

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.model import Problem
from bayesplat.posterior.approximation import Approximation, Progress, log_joint
from bayesplat.posterior.program import potential
from bayesplat.priors.sites import constrain, unconstrain, unflatten

DIFFERENCE = 1e-4
"""Half the distance of the two gradients behind a column of the Hessian: errors about 1e-8 of it."""


class Settings(NamedTuple):
    """Budget of the search for each mode, and draws from the Gaussian there."""

    steps: int = 4000
    draws: int = 1000


class Gaussian(NamedTuple):
    """A mode in unconstrained coordinates, and the Gaussian there along its principal axes."""

    mode: Float[np.ndarray, " m"]
    sd: Float[np.ndarray, " m"]  # along each axis
    axes: Float[np.ndarray, "m m"]  # columns


@eqx.filter_jit
def _position(problem: Problem, values: Sites) -> Float[AnyArray, " m"]:
    return ravel_pytree(unconstrain(problem.sites(), values))[0]


@eqx.filter_jit
def _energy(problem: Problem, z: Float[AnyArray, " m"]) -> tuple[Float[AnyArray, ""], Float[AnyArray, " m"]]:
    """Energy and its gradient: all that is compiled of the search and of the Hessian."""
    unflat = unflatten(problem.sites())
    return jax.value_and_grad(lambda z: potential(problem, unflat(z)))(z)


@eqx.filter_jit
def _weigh(problem: Problem, z: Float[AnyArray, "s m"]) -> tuple[Sites, Float[AnyArray, " s"]]:
    positions = jax.vmap(unflatten(problem.sites()))(jnp.asarray(z))
    return jax.vmap(lambda z: constrain(problem.sites(), z)[0])(positions), log_joint(problem, positions)


def run_laplace(
    problem: Problem,
    starts: list[Sites],
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    journal: Journal = NO_JOURNAL,
) -> Approximation:
    """Descend from each start (values of the sites) to a mode, and draw from the Gaussian there.

    Ctrl-C keeps the Gaussians so far; `journal` keeps each of them. Raises KeyboardInterrupt when interrupted before
    the first.
    """
    found: list[Gaussian] = []

    def show(steps: int, energy: float) -> None:
        report(Progress(len(found) * settings.steps + steps, len(starts) * settings.steps, energy))

    interrupted = False
    try:
        for c, start in enumerate(starts):
            one = journal.recall(f"mode-{c}", Gaussian(*[np.zeros(1)] * 3))
            if one is None:
                one = _fit(problem, np.asarray(_position(problem, start)), settings.steps, show)
                journal.record(f"mode-{c}", one)
            found.append(one)
    except KeyboardInterrupt:
        interrupted = True
        if not found:
            raise KeyboardInterrupt("Interrupted before the first mode was found.") from None
    parts = [_draws(problem, one, settings.draws, jax.random.fold_in(key, c)) for c, one in enumerate(found)]
    values, log_p, log_q = jax.tree.map(lambda *each: np.stack(each), *parts)
    return Approximation(values, log_p, log_q, interrupted)


def _fit(problem: Problem, start: Float[np.ndarray, " m"], steps: int, show: Callable[[int, float], None]) -> Gaussian:
    """The mode that limited-memory BFGS finds from `start` (liu1989), with the curvature there."""

    def energy(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _energy(problem, z)
        return float(value), np.asarray(gradient)

    count = itertools.count(1)

    def step(intermediate_result: OptimizeResult) -> None:
        show(next(count), float(intermediate_result.fun))

    budget = {"maxiter": steps, "maxfun": 10 * steps, "maxcor": 20, "ftol": 1e-13, "gtol": 1e-6}
    found = minimize(energy, start, method="L-BFGS-B", jac=True, callback=step, options=budget)
    show(steps, float(found.fun))
    offsets = DIFFERENCE * np.eye(start.size)
    hessian = np.stack([energy(found.x + h)[1] - energy(found.x - h)[1] for h in offsets]) / (2 * DIFFERENCE)
    curvatures, axes = np.linalg.eigh(0.5 * (hessian + hessian.T))
    # not a minimum in every direction, or a flat one: hold these at variance 1, that of most priors
    return Gaussian(found.x, 1 / np.sqrt(np.maximum(curvatures, 1.0)), axes)


def _draws(problem: Problem, one: Gaussian, draws: int, key: Key) -> tuple[Sites, np.ndarray, np.ndarray]:
    """Draws from the Gaussian, with log densities of model and Gaussian there."""
    unit = np.asarray(jax.random.normal(key, (draws, one.mode.size)))
    values, log_p = _weigh(problem, one.mode + (unit * one.sd) @ one.axes.T)
    log_q = -0.5 * np.sum(unit**2 + np.log(2 * np.pi), 1) - np.log(one.sd).sum()
    return jax.tree.map(np.asarray, values), np.asarray(log_p), log_q
