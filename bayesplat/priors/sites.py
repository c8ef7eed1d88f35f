"""Named parameter sites: a table of independent priors, its draws, its density, and its unconstrained coordinates."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool, Float
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayesplat._typing import AnyArray, Key, Sites

type SiteTable = dict[str, dist.Distribution]
"""Name of each site and its prior. Sites are independent a priori: hierarchies are written non-centred."""


def vector(prior: dist.Distribution, *shape: int) -> dist.Distribution:
    """Independent copies of a scalar `prior` in an array of `shape`, with one joint density."""
    return prior.expand(shape).to_event(len(shape))


def draw(table: SiteTable, key: Key) -> Sites:
    """One draw of every site from its prior; where a positive one underflows to 0, the least number instead."""
    keys = jax.random.split(key, max(len(table), 1))
    values = {}
    for i, name in enumerate(sorted(table)):
        value, support = jnp.asarray(table[name].sample(keys[i])), table[name].support
        positive = getattr(support, "base_constraint", support) is constraints.positive
        values[name] = jnp.where(value == 0, jnp.finfo(value.dtype).tiny, value) if positive else value
    return values


def log_density(table: SiteTable, values: Sites) -> Float[AnyArray, ""]:
    """Log prior density of all sites, in their own (constrained) coordinates."""
    return jnp.asarray(sum((table[name].log_prob(values[name]) for name in sorted(table)), jnp.zeros(())))


def supported(table: SiteTable, values: Sites) -> Bool[AnyArray, ""]:
    """Whether every site lies where its prior has density: `log_density` does not look."""
    within = jnp.ones((), bool)
    for name, prior in table.items():
        assert prior.support is not None
        within &= jnp.all(prior.support(values[name]))
    return within


def constrain(table: SiteTable, position: Sites) -> tuple[Sites, Float[AnyArray, ""]]:
    """Values of the sites at an unconstrained `position`, with log |d values / d position|."""
    values, log_jacobian = {}, jnp.zeros(())
    for name in sorted(table):
        bijection = dist.biject_to(table[name].support)
        values[name] = bijection(position[name])
        log_jacobian += jnp.sum(bijection.log_abs_det_jacobian(position[name], values[name]))
    return values, log_jacobian


def unconstrain(table: SiteTable, values: Sites) -> Sites:
    """Unconstrained position of the sites at `values`: the inverse of `constrain`."""
    return {name: dist.biject_to(table[name].support).inv(values[name]) for name in sorted(table)}


def unflatten(table: SiteTable) -> Callable[[jax.Array], Sites]:
    """The function that turns a flat unconstrained vector into a position by name; `ravel_pytree` is its inverse."""
    shapes = {name: dist.biject_to(prior.support).inverse_shape(prior.shape()) for name, prior in table.items()}
    return ravel_pytree({name: jnp.zeros(shape) for name, shape in shapes.items()})[1]
