"""From the positions of a sampler to complete draws: amplitudes given the rest, f, and what predictive checks need."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem, with_trend
from bayesplat.posterior.teleport import redraw_shared, teleport, without_data
from bayesplat.priors import Repulsive
from bayesplat.priors.sites import constrain, draw

BATCH = 64
"""Draws completed at a time: bounds memory at BATCH * n * k numbers."""


MATTERS = 0.01
"""Root mean square of a splat's term, in sds of y, below which it is left out of the counts of suspicious splats."""


class Draw(NamedTuple):
    """One complete draw on the unit box and standardised output; arrays gain leading axes (chains, draws)."""

    values: Sites  # sites as sampled
    A: Float[AnyArray, "*s k d d"]
    b: Float[AnyArray, "*s k d"]
    amplitude: Float[AnyArray, "*s k"]
    trend: Float[AnyArray, "*s t"]
    f: Float[AnyArray, "*s n"]  # trend + splats at the data
    replicate: Float[AnyArray, "*s n"]  # y drawn anew at the data
    log_likelihood: Float[AnyArray, "*s n"]  # log p(y_i | f_i, noise)
    loo_log_density: Float[AnyArray, "*s n"]  # log p(y_i | y_-i, values): amplitudes integrated out
    loo_cdf: Float[AnyArray, "*s n"]  # P(y_i' <= y_i | y_-i, values)
    log_prior: Sites  # log prior density of every site and of the amplitudes and trend
    contribution: Float[AnyArray, "*s k"]  # root mean square of each splat's term at the data
    cancelling: Float[AnyArray, "*s"]  # number of pairs of splats that cancel over the data
    spikes: Float[AnyArray, "*s"]  # number of splats that matter and touch one datum only
    drifting: Float[AnyArray, "*s"]  # number of splats that reach no datum


def complete(problem: Problem, position: Sites, key: Key) -> Draw:
    """Draw amplitudes exactly given an unconstrained position and compute all that follows."""
    values, _ = constrain(problem.sites(), position)
    geometry = problem.geometry(values)
    system = problem.factor_at(geometry, values)
    first, second = jax.random.split(key)
    coefficients = collapsed.draw_coefficients(system, first)
    log_density, cdf = problem.leave_one_out(values)
    return _complete(problem, values, coefficients, second)._replace(loo_log_density=log_density, loo_cdf=cdf)


def _complete(problem: Problem, values: Sites, coefficients: Float[AnyArray, " r"], key: Key) -> Draw:
    spec, k = problem.spec, problem.spec.n_splats
    geometry = problem.geometry(values)
    columns = problem.features(geometry)
    f = columns @ coefficients
    sd = spec.likelihood.sd(values, problem.noise_features)
    scales = with_trend(spec.prior.scales(values, problem.context, values["sigma"]), columns.shape[1])
    log_coefficients = jax.scipy.stats.norm.logpdf(coefficients, 0.0, scales)
    log_prior = {name: jnp.asarray(prior.log_prob(values[name])) for name, prior in problem.sites().items()}
    terms = columns[:, :k] * coefficients[None, :k]
    empty = jnp.zeros_like(f)
    return Draw(
        values=values,
        A=geometry.A,
        b=geometry.b,
        amplitude=coefficients[:k],
        trend=coefficients[k:],
        f=f,
        replicate=f + spec.likelihood.noise_draw(key, sd),
        log_likelihood=spec.likelihood.log_density(problem.y, f, sd),
        loo_log_density=empty,
        loo_cdf=empty,
        log_prior={**log_prior, "amplitude": log_coefficients[:k].sum(), "trend": log_coefficients[k:].sum()},
        contribution=jnp.sqrt(jnp.mean(terms**2, 0)),
        cancelling=_cancelling_pairs(terms),
        spikes=_spikes(columns[:, :k], terms),
        drifting=jnp.sum(jnp.max(columns[:, :k], 0) < 0.01).astype(f.dtype),
    )


def _cancelling_pairs(terms: Float[AnyArray, "n k"]) -> Float[AnyArray, ""]:
    """Pairs whose terms are nearly opposite: cosine below -0.9 and a sum at most half as large as either term."""
    gram = terms.T @ terms
    square = jnp.diagonal(gram)
    cosine = gram / jnp.sqrt(square[:, None] * square[None, :] + 1e-300)
    total = square[:, None] + square[None, :] + 2 * gram
    large = jnp.sqrt(square / terms.shape[0]) > MATTERS
    pair = (cosine < -0.9) & (total < 0.25 * jnp.maximum(square[:, None], square[None, :]))
    return jnp.sum(jnp.triu(pair & large[:, None] & large[None, :], 1)).astype(terms.dtype)


def _spikes(heights: Float[AnyArray, "n k"], terms: Float[AnyArray, "n k"]) -> Float[AnyArray, ""]:
    """Splats that matter and rest on fewer than 1.5 data: (sum h^2)^2 / sum h^4, the participation ratio."""
    square = jnp.sum(heights**2, 0)
    support = square**2 / (jnp.sum(heights**4, 0) + 1e-300)
    matters = jnp.sqrt(jnp.mean(terms**2, 0)) > MATTERS
    return jnp.sum(matters & (support < 1.5)).astype(terms.dtype)


def _batch(count: int) -> int:
    """Largest batch that divides `count`: a remainder would compile everything a second time."""
    return max(size for size in range(1, BATCH + 1) if count % size == 0)


@eqx.filter_jit
def complete_all(problem: Problem, positions: Sites, key: Key) -> Draw:
    """Complete the draws of every chain; leaves of `positions` have leading axes (chains, draws)."""
    chains, draws = jax.tree.leaves(positions)[0].shape[:2]
    flat = jax.tree.map(lambda leaf: leaf.reshape(chains * draws, *leaf.shape[2:]), positions)
    keys = jax.random.split(key, chains * draws)
    done = _in_batches(lambda one: complete(problem, *one), (flat, keys), chains * draws)
    return jax.tree.map(lambda leaf: leaf.reshape(chains, draws, *leaf.shape[1:]), done)


@eqx.filter_jit
def prior_draws(problem: Problem, draws: int, key: Key) -> Draw:
    """Complete draws from the prior: one chain."""
    spec = problem.spec

    def one(key: Key) -> Draw:
        sites, moves, amplitudes, noise = jax.random.split(key, 4)
        values = repelled(problem, draw(problem.sites(), sites), moves)
        columns = problem.features(problem.geometry(values))
        scales = with_trend(spec.prior.scales(values, problem.context, values["sigma"]), columns.shape[1])
        coefficients = scales * jax.random.normal(amplitudes, scales.shape)
        return _complete(problem, values, coefficients, noise)

    done = _in_batches(one, jax.random.split(key, draws), draws)
    return jax.tree.map(lambda leaf: leaf[None], done)


def _in_batches(function: Callable[[Any], Draw], inputs: Any, count: int) -> Draw:
    """Map over draws in batches; the trend travels with a spare entry, as the library refuses arrays without any."""

    def one(inputs: Any) -> Draw:
        done = function(inputs)
        return done._replace(trend=jnp.pad(done.trend, (0, 1)))

    done = jax.lax.map(one, inputs, batch_size=_batch(count))
    return done._replace(trend=done.trend[:, :-1])


def repelled(problem: Problem, values: Sites, key: Key, sweeps: int = 10, pool: int = 3) -> Sites:
    """Turn independent sites into a draw under a repulsive prior, by teleports that know of no data."""
    if not isinstance(problem.spec.prior, Repulsive):
        return values
    free = without_data(problem)

    def sweep(values: Sites, key: Key) -> tuple[Sites, None]:
        first, second = jax.random.split(key)
        return teleport(free, redraw_shared(free, values, first), second, pool)[0], None

    return jax.lax.scan(sweep, values, jax.random.split(key, sweeps))[0]
