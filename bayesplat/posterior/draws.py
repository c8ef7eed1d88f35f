"""From the positions of a sampler to complete draws: amplitudes given the rest, f, and what predictive checks need."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem, geometry_sites, with_trend
from bayesplat.priors import Repulsive
from bayesplat.priors.geometry import PER_SPLAT
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
    log_prior = {name: prior.log_prob(values[name]) for name, prior in problem.sites().items()}
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


@eqx.filter_jit
def complete_all(problem: Problem, positions: Sites, key: Key) -> Draw:
    """Complete the draws of every chain; leaves of `positions` have leading axes (chains, draws)."""
    chains, draws = jax.tree.leaves(positions)[0].shape[:2]
    flat = jax.tree.map(lambda leaf: leaf.reshape(chains * draws, *leaf.shape[2:]), positions)
    keys = jax.random.split(key, chains * draws)
    done = jax.lax.map(lambda one: complete(problem, *one), (flat, keys), batch_size=min(BATCH, chains * draws))
    return jax.tree.map(lambda leaf: leaf.reshape(chains, draws, *leaf.shape[1:]), done)


@eqx.filter_jit
def prior_draws(problem: Problem, draws: int, key: Key) -> Draw:
    """Complete draws from the prior: one chain."""
    spec = problem.spec

    def one(key: Key) -> Draw:
        sites, amplitudes, noise = jax.random.split(key, 3)
        values = repelled(problem, draw(problem.sites(), sites), sites)
        columns = problem.features(problem.geometry(values))
        scales = with_trend(spec.prior.scales(values, problem.context, values["sigma"]), columns.shape[1])
        coefficients = scales * jax.random.normal(amplitudes, scales.shape)
        return _complete(problem, values, coefficients, noise)

    done = jax.lax.map(one, jax.random.split(key, draws), batch_size=min(BATCH, draws))
    return jax.tree.map(lambda leaf: leaf[None], done)


def repelled(problem: Problem, values: Sites, key: Key, sweeps: int = 20) -> Sites:
    """Turn a draw of independent sites into one under a repulsive prior, by Metropolis moves that redraw sites.

    Each move redraws either one splat's geometry or the sites that all splats share, from their prior, and accepts
    by the ratio of repulsions: reversible, and without effect for priors that do not couple splats.
    """
    if not isinstance(problem.spec.prior, Repulsive):
        return values
    k, table = problem.spec.n_splats, geometry_sites(problem.spec, problem.box)

    def log_penalty(values: Sites) -> Float[AnyArray, ""]:
        geometry = problem.geometry(values)
        return problem.spec.prior.log_penalty(geometry.A, geometry.b)

    def move(carry: tuple[Sites, Float[AnyArray, ""]], key: Key) -> tuple[tuple[Sites, Float[AnyArray, ""]], None]:
        current, log_now = carry
        which, fresh, accept = jax.random.split(key, 3)
        splat = jax.random.randint(which, (), 0, k + 1)  # k stands for the shared sites
        new = draw(table, fresh)
        proposal = {
            name: jnp.where(
                (jnp.arange(k) == splat).reshape(k, *[1] * (new[name].ndim - 1)) if name in PER_SPLAT else splat == k,
                new[name],
                current[name],
            )
            for name in table
        }
        log_new = log_penalty({**current, **proposal})
        take = jnp.log(jax.random.uniform(accept)) < log_new - log_now
        kept = {name: jnp.where(take, proposal[name], current[name]) for name in table}
        return ({**current, **kept}, jnp.where(take, log_new, log_now)), None

    (values, _), _ = jax.lax.scan(move, (values, log_penalty(values)), jax.random.split(key, sweeps * (k + 1)))
    return values
