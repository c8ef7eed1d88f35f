"""Teleports: Metropolis moves that redraw one splat's geometry from its prior, the Fisher-Rao part of the sampler.

Gradients move splats; they cannot carry one across a stretch of x where it explains nothing. A redrawn splat is
accepted by the ratio of everything but its own prior, which cancels: reversible, of fixed shape, and exact.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import SiteTable, draw

type LogRest = Callable[[Sites], Float[AnyArray, ""]]
"""Log of the target density over the prior of the geometry sites."""


def redraw(table: SiteTable, values: Sites, slot: Int[AnyArray, ""], k: int, key: Key) -> Sites:
    """Redraw one splat's geometry sites from their prior; `slot = k` redraws those that all splats share instead."""
    fresh = draw(table, key)
    chosen = jnp.arange(k) == slot
    return {
        name: jnp.where(
            chosen.reshape(k, *[1] * (new.ndim - 1)) if name in PER_SPLAT else slot == k,
            new,
            values[name],
        )
        for name, new in fresh.items()
    }


def teleport(
    table: SiteTable, log_rest: LogRest, values: Sites, key: Key, moves: int, slots: int, k: int
) -> tuple[Sites, Float[AnyArray, ""]]:
    """Try `moves` redraws among the first `slots` of k splats (k + 1: and the shared sites), with the share accepted.

    `table` holds the geometry sites; all other sites of `values` stay.
    """

    def move(carry: tuple[Sites, Float[AnyArray, ""]], key: Key) -> tuple[tuple[Sites, Float[AnyArray, ""]], AnyArray]:
        current, log_now = carry
        which, fresh, accept = jax.random.split(key, 3)
        proposal = {**current, **redraw(table, current, jax.random.randint(which, (), 0, slots), k, fresh)}
        log_new = log_rest(proposal)
        take = jnp.log(jax.random.uniform(accept)) < log_new - log_now
        kept = jax.tree.map(lambda new, old: jnp.where(take, new, old), proposal, current)
        return (kept, jnp.where(take, log_new, log_now)), take

    (values, _), taken = jax.lax.scan(move, (values, log_rest(values)), jax.random.split(key, moves))
    return values, jnp.mean(taken.astype(jnp.float64))
