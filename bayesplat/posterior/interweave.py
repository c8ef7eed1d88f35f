"""Interweaving: Gibbs moves of what splats share, with the splats themselves held (yu2011).

The sites are written non-centred, where a new location would move the length of every splat that data hold in place.
Here the lengths stay and their deviations follow: the likelihood does not change, so a pool of draws from the prior,
weighted by the density of the deviations they imply, is an exact move that costs next to nothing.
"""

import jax
import jax.numpy as jnp

from bayesplat._typing import Key, Sites
from bayesplat.model import Problem
from bayesplat.priors import AmplitudePrior, Lengths
from bayesplat.priors.sites import draw


def interweave(problem: Problem, values: Sites, key: Key, pool: int) -> Sites:
    """Redraw the shared sites of lengths and amplitudes among `pool` candidates and themselves."""
    for hierarchy, own in zip((problem.lengths, problem.spec.prior), jax.random.split(key), strict=True):
        values = _redraw(problem, hierarchy, values, own, pool)
    return values


def _redraw(problem: Problem, hierarchy: Lengths | AmplitudePrior, values: Sites, key: Key, pool: int) -> Sites:
    fresh, choose = jax.random.split(key)
    table = {name: prior.expand((pool,)) for name, prior in problem.sites().items() if name in hierarchy.shared_sites}
    if not table:
        return values
    shared = {name: jnp.concatenate([values[name][None], some]) for name, some in draw(table, fresh).items()}
    moved, log_weights = jax.vmap(lambda one: hierarchy.recentred(values, one))(shared)
    chosen = jax.random.categorical(choose, log_weights)
    return {**values, **{name: some[chosen] for name, some in moved.items()}}
