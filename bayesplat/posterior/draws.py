"""From the positions of a sampler to complete draws: amplitudes given the rest, f, and what predictive checks need."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from bayesplat import collapsed, symptoms
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.devices import jit_once
from bayesplat.model import Problem, with_trend
from bayesplat.posterior.prior import prior_sites

BATCH = 64
"""Draws in one compiled call."""
ENTRIES = 2**22
"""Draws completed side by side, times n k, as far as one draw allows: each holds some seven numbers for a while."""


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
    log_prior: Sites  # log prior density of every site and of the amplitudes and trend, and the log repulsion
    contribution: Float[AnyArray, "*s k"]  # root mean square of each splat's term at the data
    cancelling: Float[AnyArray, "*s"]  # number of pairs of splats that cancel over the data
    spikes: Float[AnyArray, "*s"]  # number of splats that matter and touch one datum only
    drifting: Float[AnyArray, "*s"]  # number of splats that reach no datum


def complete(problem: Problem, values: Sites, key: Key) -> Draw:
    """Draw amplitudes and trend exactly given the sites' values, and compute all that follows."""
    k, geometry = problem.spec.n_splats, problem.geometry(values)
    first, second = jax.random.split(key)
    coefficients = collapsed.draw_coefficients(problem.factor_at(geometry, values), first)
    loo_log_density, loo_cdf = problem.leave_one_out(values)
    columns = problem.features(geometry)
    f = columns @ coefficients
    scales = with_trend(problem.scales(values), columns.shape[1])
    log_coefficients = jax.scipy.stats.norm.logpdf(coefficients, 0.0, scales)
    log_prior: Sites = {name: jnp.asarray(prior.log_prob(values[name])) for name, prior in problem.sites().items()}
    log_prior |= {"amplitude": log_coefficients[:k].sum(), "trend": log_coefficients[k:].sum()}
    log_prior["repulsion"] = jnp.asarray(problem.spec.prior.log_penalty(geometry.A, geometry.b), columns.dtype)
    terms = columns[:, :k] * coefficients[None, :k]
    return Draw(
        values=values,
        A=geometry.A,
        b=geometry.b,
        amplitude=coefficients[:k],
        trend=coefficients[k:],
        f=f,
        replicate=problem.replicate(values, f, second),
        log_likelihood=problem.log_density(values, f),
        loo_log_density=loo_log_density,
        loo_cdf=loo_cdf,
        log_prior=log_prior,
        contribution=jnp.sqrt(jnp.mean(terms**2, 0)),
        cancelling=symptoms.cancelling_pairs(terms),
        spikes=symptoms.spikes(columns[:, :k], terms),
        drifting=symptoms.drifting(columns[:, :k]),
    )


def complete_all(problem: Problem, values: Sites, key: Key) -> Draw:
    """Complete the draws of every chain, as NumPy arrays; leaves of `values` have leading axes (chains, draws)."""
    chains, draws = jax.tree.leaves(values)[0].shape[:2]
    flat = jax.tree.map(lambda leaf: np.asarray(leaf).reshape(chains * draws, *leaf.shape[2:]), values)

    def batch(i: int) -> Draw:
        # the last batch is filled up from the first draws, so that all run the same compiled code
        rows = np.arange(i * BATCH, (i + 1) * BATCH) % (chains * draws)
        return _complete_batch(problem, jax.tree.map(lambda leaf: leaf[rows], flat), key, jnp.asarray(i))

    done = _joined(batch, chains * draws)
    return jax.tree.map(lambda leaf: leaf.reshape(chains, draws, *leaf.shape[1:]), done)


def prior_draws(problem: Problem, draws: int, key: Key) -> Draw:
    """Complete draws from the prior, one chain: the posterior of the problem without its data."""
    first, second = jax.random.split(key)
    values = _joined(lambda i: _prior_batch(problem, first, jnp.asarray(i)), draws)
    return complete_all(problem.without_data(), jax.tree.map(lambda leaf: leaf[None], values), second)


@eqx.filter_jit
def _complete_batch(problem: Problem, values: Sites, key: Key, i: Int[AnyArray, ""]) -> Draw:
    keys = jax.random.split(jax.random.fold_in(key, i), BATCH)
    each = problem.x.shape[0] * problem.spec.n_splats
    aside = 2 ** int(np.clip(np.log2(ENTRIES / each), 0, np.log2(BATCH)))
    rounds = jax.tree.map(lambda leaf: leaf.reshape(BATCH // aside, aside, *leaf.shape[1:]), (values, keys))
    done = jax.lax.map(lambda some: jax.vmap(lambda *one: complete(problem, *one))(*some), rounds)
    return jax.tree.map(lambda leaf: leaf.reshape(BATCH, *leaf.shape[2:]), done)


@jit_once
def _prior_batch(problem: Problem, key: Key, i: Int[AnyArray, ""]) -> Sites:
    return jax.vmap(lambda key: prior_sites(problem, key))(jax.random.split(jax.random.fold_in(key, i), BATCH))


def _joined[T](batch: Callable[[int], T], count: int) -> T:
    """Batches 0, 1, ... joined along their first axis and cut to `count`, as NumPy arrays."""
    parts = [jax.tree.map(np.asarray, batch(i)) for i in range(-(-count // BATCH))]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
