"""Draws of all sites from the prior; where splats repel each other, moves make independent ones do so."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem
from bayesplat.posterior.interweave import interweave
from bayesplat.posterior.teleport import candidates, log_apart
from bayesplat.priors import Repulsive
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import constrain, draw, log_density, unconstrain
from bayesplat.specification import geometry_sites

SWEEPS, POOL = 30, 8
"""Rounds of moves from independent splats to those that repel each other, and candidates for each place."""

STEPS = (1.0, 0.5, 0.25, 0.1)
"""Sizes of the steps that shared logarithms take in one round."""


def prior_sites(problem: Problem, key: Key) -> Sites:
    """One draw of every site from the prior, its repulsion included."""
    first, second = jax.random.split(key)
    return repelled(problem, draw(problem.sites(), first), second)


def repelled(problem: Problem, values: Sites, key: Key) -> Sites:
    """Turn independent sites into a draw under a repulsive prior, by the sampler's moves without the data.

    Repulsion holds the lengths of many splats at once, so what they share moves with them (steps) and without
    (interweaving): either alone is slow.
    """
    if not isinstance(problem.spec.prior, Repulsive):
        return values

    def sweep(values: Sites, key: Key) -> tuple[Sites, None]:
        first, second, third = jax.random.split(key, 3)
        values = _teleport(problem, _walk(problem, values, first), second)
        return interweave(problem, values, third, POOL), None

    return jax.lax.scan(sweep, values, jax.random.split(key, SWEEPS))[0]


def _teleport(problem: Problem, values: Sites, key: Key) -> Sites:
    """Every splat redrawn once by what repulsion says of the candidates for its place."""

    def move(values: Sites, inputs: tuple[Int[AnyArray, ""], Key]) -> tuple[Sites, None]:
        slot, key = inputs
        fresh, choose = jax.random.split(key)
        # their columns at the data are not used, so that the compiler leaves them out
        some = candidates(problem, values, slot, fresh, POOL)
        log_weights = log_apart(problem, problem.geometry(values), slot, some) + some.log_ratio
        return some.put(jax.random.categorical(choose, log_weights), slot, values), None

    k = problem.spec.n_splats
    return jax.lax.scan(move, values, (jnp.arange(k), jax.random.split(key, k)))[0]


def _walk(problem: Problem, values: Sites, key: Key) -> Sites:
    """What all splats share in their geometry takes steps of several sizes, and their lengths with it."""
    sites = geometry_sites(problem.spec, problem.box, problem.spec.n_splats)
    table = {name: prior for name, prior in sites.items() if name not in PER_SPLAT}
    if not table:
        return values
    start, unflat = ravel_pytree(unconstrain(table, {name: values[name] for name in table}))

    def at(z: jax.Array) -> tuple[Sites, Float[AnyArray, ""]]:
        shared, log_jacobian = constrain(table, unflat(z))
        there = problem.geometry({**values, **shared})
        return shared, log_density(table, shared) + log_jacobian + problem.spec.prior.log_penalty(there.A, there.b)

    def step(z: jax.Array, inputs: tuple[AnyArray, Key]) -> tuple[jax.Array, None]:
        size, key = inputs
        way, accept = jax.random.split(key)
        proposal = z + size * jax.random.normal(way, z.shape, z.dtype)
        take = jnp.log(jax.random.uniform(accept)) < at(proposal)[1] - at(z)[1]
        return jnp.where(take, proposal, z), None

    z, _ = jax.lax.scan(step, start, (jnp.array(STEPS), jax.random.split(key, len(STEPS))))
    return {**values, **at(z)[0]}
