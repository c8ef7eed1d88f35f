"""Teleports: Gibbs moves that redraw one splat after the other from a pool, the Fisher-Rao part of the sampler.

Gradients move splats; they cannot carry one across a stretch of x where it explains nothing. Each splat in turn joins a
pool of candidates drawn from its prior given what all splats share, and one of the pool takes its place with
probability proportional to the collapsed density. The members of the pool are exchangeable under the prior, so the
move leaves the posterior as it is, whatever the size of the pool (tjelmeland2004). Rank-one updates give the densities
of a whole pool for the price of a few.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem, geometry, geometry_sites, with_trend
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import draw


def teleport(problem: Problem, values: Sites, key: Key, pool: int) -> tuple[Sites, Float[AnyArray, ""]]:
    """Redraw every splat once among `pool` candidates and itself; returns the share of splats that moved."""
    k = problem.spec.n_splats

    def move(values: Sites, inputs: tuple[Int[AnyArray, ""], Key]) -> tuple[Sites, AnyArray]:
        slot, key = inputs
        fresh, choose = jax.random.split(key)
        candidates = _candidates(problem, values, slot, fresh, pool)
        chosen = jax.random.categorical(choose, _log_weights(problem, values, slot, candidates))
        moved = {name: jnp.asarray(values[name]).at[slot].set(some[chosen]) for name, some in candidates.items()}
        return {**values, **moved}, chosen > 0

    values, moved = jax.lax.scan(move, values, (jnp.arange(k), jax.random.split(key, k)))
    return values, jnp.mean(moved.astype(problem.x.dtype))


def _candidates(problem: Problem, values: Sites, slot: Int[AnyArray, ""], key: Key, pool: int) -> Sites:
    """Sites of one splat as it is, first, and of `pool` draws from its prior; leading axis pool + 1."""
    spec = problem.spec
    table = {**geometry_sites(spec, problem.box, pool), **spec.prior.sites(pool)}
    own = PER_SPLAT | set(spec.prior.own_sites)
    fresh = draw({name: prior for name, prior in table.items() if name in own}, key)
    return {name: jnp.concatenate([values[name][slot][None], some]) for name, some in fresh.items()}


def _log_weights(problem: Problem, values: Sites, slot: Int[AnyArray, ""], candidates: Sites) -> Float[AnyArray, " c"]:
    """Log collapsed density with each candidate in the slot, up to a constant."""
    spec, box = problem.spec, problem.box
    now, many = geometry(spec, values, box), geometry(spec, {**values, **candidates}, box)
    sigma, sd = values["sigma"], spec.likelihood.data_sd(values, problem.noise_features)
    columns, scales = problem.features(now), jnp.asarray(spec.prior.scales(values, problem.context, sigma))
    own = spec.prior.own_sites
    scale = spec.prior.scales({**values, **candidates}, problem.context, sigma) if own else scales[slot]
    rest = with_trend(scales.at[slot].set(0.0), columns.shape[1])
    system = collapsed.factor(columns, rest, problem.y, sd, problem.observed)
    gain = problem.temper * collapsed.evidence_gain(system, problem.columns(many.A, many.b), scale)
    penalty = jnp.asarray(spec.prior.log_penalty_from(now.A, now.b, many.A, many.b))
    return gain + jnp.sum(penalty.at[:, slot].set(0.0), 1)


def redraw_shared(problem: Problem, values: Sites, key: Key) -> Sites:
    """Redraw what all splats share in their geometry from its prior, accepted by the rest of the density."""
    fresh, accept = jax.random.split(key)
    table = geometry_sites(problem.spec, problem.box, problem.spec.n_splats)
    proposal = {**values, **draw({name: prior for name, prior in table.items() if name not in PER_SPLAT}, fresh)}
    take = jnp.log(jax.random.uniform(accept)) < problem.log_rest(proposal) - problem.log_rest(values)
    return jax.tree.map(lambda new, old: jnp.where(take, new, old), proposal, values)
