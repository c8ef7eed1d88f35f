"""Starts: births one after the other, each where the energy falls most (orthogonal matching pursuit); grid; random.

The greedy start is the flow's own: it knows the data. The others are for comparison.
"""

import jax
import jax.numpy as jnp
import numpy as np
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
        new = put(at, slot, ladder_birth(energy, at, alive, slot, key, temperature))
        return jax.tree.map(lambda old, new: jnp.where(live[slot], old, new), at, new), None

    position, _ = jax.lax.scan(born, position, (jnp.arange(live.size), jax.random.split(key, live.size)))
    everyone = jnp.ones_like(live)
    return _match_noise(energy, position, everyone), everyone


def grid(energy: Energy, k: int, key: Key | None = None) -> Position:
    """Round splats at the middles of k cells of one input, or at k points that cover the box evenly (roberts2018).

    Takes a key as `random` does, and draws nothing.

    Centres at frac(1/2 + i alpha), alpha_j = g^-j with the root g of g^(d+1) = g + 1; neighbours overlap at half their
    distance.
    """
    del key
    position, d = energy.start(k), energy.problem.d
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (d + 1))
    even = (0.5 + np.arange(k)[:, None] * root ** -np.arange(1.0, d + 1)) % 1
    centres = even if d > 1 else (np.arange(k)[:, None] + 0.5) / k
    excess = energy.problem.box.excess(jnp.asarray(0.5 * k ** (-1 / d)))
    placed = position._replace(centre=jnp.asarray(centres), excess=jnp.full_like(position.excess, excess))
    return _match_noise(energy, placed, jnp.ones(k, bool))


def random(energy: Energy, k: int, key: Key) -> Position:
    """Round splats at data drawn at random, with lengths from their prior about its median."""
    where, size = jax.random.split(key)
    problem, position = energy.problem, energy.start(k)
    weight = problem.observed / jnp.sum(problem.observed)
    rows = jax.random.choice(where, problem.x.shape[0], (k,), p=weight)
    lengths = jax.random.normal(size, position.excess.shape, position.excess.dtype)
    sd = problem.lengths.precision(problem.box) ** -0.5
    placed = position._replace(centre=problem.x[rows], excess=position.excess + sd * lengths)
    return _match_noise(energy, placed, jnp.ones(k, bool))


def _match_noise(energy: Energy, position: Position, live: Bool[AnyArray, " k"]) -> Position:
    """Set the noise level to the size of the residual, so that finer structure becomes visible step by step."""
    system, table = energy.system(position, live), energy.noise_sites()
    values = constrain(table, position.noise)[0]
    residual = collapsed.left_over(system) * system.sd
    rms = jnp.sqrt(jnp.sum(residual**2) / jnp.maximum(jnp.sum(system.observed), 1.0))
    return position._replace(noise=unconstrain(table, {**values, "sigma": jnp.clip(rms, 1e-4, 1.0)}))
