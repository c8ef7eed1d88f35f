"""Teleports: Gibbs moves that redraw one splat after the other from a pool, the Fisher-Rao part of the sampler.

Gradients move splats; they cannot carry one across a stretch of x where it explains nothing. Each splat in turn joins a
pool of candidates, and one of the pool takes its place with probability proportional to the collapsed density over the
density of the proposal. The proposal is the prior given what all splats share, but half of the candidates may have
axis lengths of any size: the prior so seldom offers a splat as narrow as one datum that it would hardly ever come, nor
go once there. The members of the pool are exchangeable but for their weights, so the move leaves the posterior as it
is, whatever the size of the pool (tjelmeland2004). Rank-one updates give the densities of a whole pool for the price
of a few.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.collapsed import Weighted
from bayesplat.model import Problem, with_trend
from bayesplat.priors.geometry import PER_SPLAT, FreeLengths
from bayesplat.priors.sites import draw
from bayesplat.specification import Geometry, geometry, geometry_sites

GUIDED = 0.5
"""Chance of a candidate to have free lengths, and not those of its prior."""

FREE = FreeLengths()


class Pool(NamedTuple):
    """Candidates for the place of one splat, the splat as it is first; leading axis c, or last of the columns."""

    sites: Sites
    geometry: Geometry
    columns: Float[AnyArray, "n c"]
    log_ratio: Float[AnyArray, " c"]  # log of the prior's density over that of their proposal, up to a constant

    def put(self, chosen: Int[AnyArray, ""], slot: Int[AnyArray, ""], values: Sites) -> Sites:
        """The values with one of the candidates in a slot."""
        return {
            **values,
            **{name: jnp.asarray(values[name]).at[slot].set(leaf[chosen]) for name, leaf in self.sites.items()},
        }


def teleport(problem: Problem, values: Sites, key: Key, pool: int) -> tuple[Sites, Float[AnyArray, ""]]:
    """Redraw every splat once among `pool` candidates and itself; returns the share of splats that moved."""
    return sweep(problem, values, key, jnp.arange(problem.spec.n_splats), partial(candidates, problem, pool=pool))


def sweep(
    problem: Problem, values: Sites, key: Key, slots: Int[AnyArray, " m"], candidates: Callable[..., Pool]
) -> tuple[Sites, Float[AnyArray, ""]]:
    """Redraw the splats in these slots, one after the other, each from `candidates(values, slot, key)`."""
    weighted = problem.weighted(problem.geometry(values), values)

    def move(state: tuple[Sites, Weighted], inputs: tuple[Int[AnyArray, ""], Key]) -> tuple[Any, AnyArray]:
        (values, weighted), (slot, key) = state, inputs
        fresh, choose = jax.random.split(key)
        some = candidates(values, slot, fresh)
        chosen = jax.random.categorical(choose, _log_weights(problem, values, weighted, slot, some))
        weighted = collapsed.with_column(weighted, slot, some.columns[:, chosen])
        return (some.put(chosen, slot, values), weighted), chosen > 0

    (values, _), moved = jax.lax.scan(move, (values, weighted), (slots, jax.random.split(key, len(slots))))
    return values, jnp.mean(moved.astype(problem.x.dtype))


def candidates(problem: Problem, values: Sites, slot: Int[AnyArray, ""], key: Key, pool: int) -> Pool:
    """One splat as it is, first, and `pool` draws from the proposal."""
    spec = problem.spec
    table = {**geometry_sites(spec, problem.box, pool), **spec.prior.sites(pool)}
    own = PER_SPLAT | set(spec.prior.own_sites)
    first, second = jax.random.split(key)
    fresh = draw({name: prior for name, prior in table.items() if name in own}, first)
    fresh |= problem.lengths.own(values, _guided(problem, problem.lengths.excess({**values, **fresh}), second))
    sites: Sites = {name: jnp.concatenate([values[name][slot][None], some]) for name, some in fresh.items()}
    many = geometry(spec, {**values, **sites}, problem.box)
    return Pool(sites, many, problem.columns_in(slot, many.A, many.b), _log_ratio(problem, {**values, **sites}))


def _guided(problem: Problem, excess: Float[AnyArray, "c q"], key: Key) -> Float[AnyArray, "c q"]:
    """These log lengths beyond the floor, each candidate's replaced by free ones with probability `GUIDED`."""
    which, lengths = jax.random.split(key)
    sites = FREE.sites(len(excess), problem.spec.scale_family, problem.box)
    free = jax.random.bernoulli(which, GUIDED, (len(excess), 1))
    return jnp.where(free, FREE.excess(draw(sites, lengths)), excess)


def _log_ratio(problem: Problem, many: Sites) -> Float[AnyArray, " c"]:
    """Log of the prior density of the lengths of each candidate over the density of their proposal."""
    excess = problem.lengths.excess(many)
    prior, free = (one.own_density(many, excess, problem.box) for one in (problem.lengths, FREE))
    return prior - jnp.logaddexp(jnp.log1p(-GUIDED) + prior, jnp.log(GUIDED) + free)


def _log_weights(
    problem: Problem, values: Sites, weighted: Weighted, slot: Int[AnyArray, ""], pool: Pool
) -> Float[AnyArray, " c"]:
    """Log collapsed density with each candidate in the slot, up to a constant; `weighted` holds the features now."""
    spec, now = problem.spec, problem.geometry(values)
    noise = problem.noise_size(values)
    scales = jnp.asarray(spec.prior.scales(values, problem.context, noise))
    own = spec.prior.own_sites
    scale = spec.prior.scales({**values, **pool.sites}, problem.context, noise) if own else scales[slot]
    rest = with_trend(scales.at[slot].set(0.0), weighted.slope.shape[0])
    system = collapsed.factor_weighted(weighted, rest)
    gain = problem.temper * collapsed.evidence_gain(system, pool.columns, scale)
    log_weight = gain + log_apart(problem, now, slot, pool) + pool.log_ratio
    # a draw by perturbed maxima would prefer what is not a number
    return jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)


def log_apart(problem: Problem, now: Geometry, slot: Int[AnyArray, ""], pool: Pool) -> Float[AnyArray, " c"]:
    """Log repulsion between each candidate for a slot and the splats in the others."""
    many = pool.geometry
    penalty = jnp.asarray(problem.spec.prior.log_penalty_from(now.A, now.b, many.A, many.b))
    return jnp.sum(penalty.at[:, slot].set(0.0), 1)
