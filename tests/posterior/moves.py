"""What tests of Gibbs moves share: statistics of draws, their drift, and candidates put in place."""

import jax.numpy as jnp
from statistical import mean_p_value

from bayesplat.posterior import teleport


def sites_of(values):
    """What is compared of draws: bounded functions of every site, averaged over splats."""
    return jnp.stack([jnp.mean(jnp.tanh(value + shift)) for value in values.values() for shift in (-0.5, 0.5)])


def drift_p_value(change):
    """P-value of no drift, over the statistics (s, q) that move at all."""
    return mean_p_value(change[:, change.std(0) > 0], 0.0)


def weigh(problem, values, slot, pool):
    """Weights of a pool of candidates for a slot, and the values of all sites with each of them in it."""
    placed = {name: jnp.repeat(value[None], len(pool.log_ratio), 0) for name, value in values.items()}
    placed |= {name: placed[name].at[:, slot].set(leaf) for name, leaf in pool.sites.items()}
    weighted = problem.weighted(problem.geometry(values), values)
    return teleport._log_weights(problem, values, weighted, slot, pool), placed
