"""Slides: Gibbs moves of one edge of a sharp splat along the data, the edge across from it held.

Edges between the same two data explain all data alike, and one datum further they differ by a jump, so gradients do not
say where an edge belongs. Each splat in turn joins a pool of candidates with one edge elsewhere. All of them, the splat
as it is too, lie around a hidden place that a step from the edge itself chose; so but for their density the members of
the pool are exchangeable, and the move leaves the posterior as it is (tjelmeland2004).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem
from bayesplat.posterior.teleport import Pool, sweep
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import log_density, supported
from bayesplat.specification import geometry, geometry_sites

SWEEPS = 4
"""Slides of every sharp splat after a step: one brings little, four cost a quarter of the time of NUTS."""


def slide(problem: Problem, values: Sites, key: Key, pool: int) -> Sites:
    """Redraw one edge of every sharp splat among `pool` candidates and itself, `SWEEPS` times."""
    slots = [slot for slot, one in enumerate(problem.spec.mother.turns(problem.spec.n_splats)) if one.sharp]
    if not slots:
        return values
    return sweep(problem, values, key, jnp.asarray(slots * SWEEPS), partial(_candidates, problem, pool=pool))[0]


def _candidates(problem: Problem, values: Sites, slot: Int[AnyArray, ""], key: Key, pool: int) -> Pool:
    """One splat as it is, first, and `pool` with one of its edges along one input elsewhere."""
    which, side, steps = jax.random.split(key, 3)
    j, sign = jax.random.randint(which, (), 0, problem.d), jax.random.choice(side, jnp.array([-1, 1]))
    names = (PER_SPLAT | set(problem.spec.prior.own_sites)) & values.keys()
    own = {name: values[name][slot] for name in sorted(names)}
    same: Sites = {name: jnp.broadcast_to(leaf, (pool + 1, *leaf.shape)) for name, leaf in own.items()}
    shift = _shifts(problem, steps, pool)
    centre = same["centre"] + 0.5 * shift[:, None] * jnp.eye(problem.d)[j]
    lengths, log_volume = _lengthened(problem, {**values, **same}, slot, j, sign * shift)
    moved = {**lengths, "centre": centre}
    moved = {name: jnp.asarray(leaf).at[0].set(own[name]) for name, leaf in moved.items()}  # to the last bit
    sites = {**same, **moved}
    splats = geometry(problem.spec, {**values, **sites}, problem.box)
    columns = problem.columns_in(slot, splats.A, splats.b)
    return Pool(sites, splats, columns, _log_prior(problem, sites) + log_volume)


def _lengthened(
    problem: Problem, many: Sites, slot: Int[AnyArray, ""], j: Int[AnyArray, ""], extra: Float[AnyArray, " c"]
) -> tuple[Sites, Float[AnyArray, " c"]]:
    """Sites of c splats that reach `extra` further along input j, edge to edge, with the log of |d site / d extra|.

    Up to a constant; minus infinity where that would leave a splat too short.
    """
    lengths, spec = problem.lengths, problem.spec
    reach = jnp.array([one.radius(problem.d) for one in spec.mother.turns(spec.n_splats)])[slot]
    now = jnp.asarray(lengths.excess(many))
    row = jnp.minimum(j, now.shape[1] - 1)  # spherical scales have one length for all inputs
    beyond = jnp.exp(now[:, row]) + 0.5 * extra / reach
    valid = beyond > 0
    excess = jnp.log(jnp.where(valid, beyond, 1.0))
    return lengths.own(many, now.at[:, row].set(excess)), jnp.where(valid, -excess, -jnp.inf)


def _shifts(problem: Problem, key: Key, pool: int) -> Float[AnyArray, " c"]:
    """How far each candidate's edge lies from where it is, first 0: normal steps to a hidden place and from there on.

    Their size is anything from a quarter of the data's spacing to the whole box, the same for the whole pool.
    """
    size, hidden, steps = jax.random.split(key, 3)
    shortest = jnp.log(0.25 * problem.box.gap)
    scale = jnp.exp(jax.random.uniform(size, (), minval=shortest, maxval=0.0))
    return jnp.concatenate([jnp.zeros(1), scale * (jax.random.normal(hidden) + jax.random.normal(steps, (pool,)))])


def _log_prior(problem: Problem, many: Sites) -> Float[AnyArray, " c"]:
    """Log prior density of every candidate; minus infinity outside its support."""
    table = {name: prior for name, prior in geometry_sites(problem.spec, problem.box, 1).items() if name in many}

    def one(sites: Sites) -> Float[AnyArray, ""]:
        single = {name: sites[name][None] for name in table}
        return jnp.where(supported(table, single), log_density(table, single), -jnp.inf)

    return jax.vmap(one)(many)
