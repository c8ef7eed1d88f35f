"""Starts: k births one after the other, each where the evidence grows most (orthogonal matching pursuit)."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from bayesplat._typing import AnyArray, Key
from bayesplat.flow import birth_death
from bayesplat.flow.energy import NegLogEvidence, Position
from bayesplat.priors.sites import constrain, unconstrain


def greedy(energy: NegLogEvidence, key: Key, temperature: Float[AnyArray, ""]) -> tuple[Position, Bool[AnyArray, " k"]]:
    """Births into an empty measure until all k slots are live; the noise level follows the residual."""
    k = energy.problem.spec.n_splats

    def born(carry: tuple[Position, Bool[AnyArray, " k"]], inputs: tuple) -> tuple[tuple, None]:
        position, live = carry
        slot, key = inputs
        position = _match_noise(energy, position, live)
        birth = birth_death.certificate(energy, position, live, key, temperature)
        return (birth_death.give_birth(position, slot, birth), jnp.asarray(live).at[slot].set(True)), None

    empty = (energy.start(), jnp.zeros(k, bool))
    (position, live), _ = jax.lax.scan(born, empty, (jnp.arange(k), jax.random.split(key, k)))
    return _match_noise(energy, position, live), live


def _match_noise(energy: NegLogEvidence, position: Position, live: Bool[AnyArray, " k"]) -> Position:
    """Set the noise level to the size of the residual, so that finer structure becomes visible step by step."""
    system, table = energy.system(position, live), energy.noise_sites()
    values = constrain(table, position.noise)[0]
    fitted = system.W @ jax.scipy.linalg.solve_triangular(system.chol.T, system.half, lower=False)
    residual = (system.residual - fitted) * system.sd
    rms = jnp.sqrt(jnp.sum(residual**2) / jnp.maximum(jnp.sum(system.observed), 1.0))
    return position._replace(noise=unconstrain(table, {**values, "sigma": jnp.clip(rms, 1e-4, 1.0)}))
