"""Starts: births one after the other, each where the energy falls most (orthogonal matching pursuit)."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key
from bayesplat.flow.certificate import ladder_birth
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position, put
from bayesplat.priors.sites import constrain, unconstrain


def greedy(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key, temperature: Float[AnyArray, ""]
) -> tuple[Position, Bool[AnyArray, " k"]]:
    """Births of round splats into all dead slots; the noise level follows the residual, coarse structure first."""

    def born(at: Position, inputs: tuple) -> tuple[Position, None]:
        slot, key = inputs
        alive = live | (jnp.arange(live.size) < slot)
        at = _match_noise(energy, at, alive)
        new = put(at, slot, ladder_birth(energy, at, alive, key, temperature))
        return jax.tree.map(lambda old, new: jnp.where(live[slot], old, new), at, new), None

    position, _ = jax.lax.scan(born, position, (jnp.arange(live.size), jax.random.split(key, live.size)))
    everyone = jnp.ones_like(live)
    return _match_noise(energy, position, everyone), everyone


def _match_noise(energy: Energy, position: Position, live: Bool[AnyArray, " k"]) -> Position:
    """Set the noise level to the size of the residual, so that finer structure becomes visible step by step."""
    system, table = energy.system(position, live), energy.noise_sites()
    values = constrain(table, position.noise)[0]
    residual = collapsed.left_over(system) * system.sd
    rms = jnp.sqrt(jnp.sum(residual**2) / jnp.maximum(jnp.sum(system.observed), 1.0))
    return position._replace(noise=unconstrain(table, {**values, "sigma": jnp.clip(rms, 1e-4, 1.0)}))
