"""Entropic regularisation: Langevin noise and birth-death of particles at a temperature T, and how T is annealed.

Both lower the free energy  E(mu) + T int mu log mu,  with the first variation  field + T log mu: Langevin in the
Wasserstein metric, birth-death in the Fisher-Rao metric (lu2019). Particles are arrays (k, r) of unconstrained
coordinates, each of mass 1 / k. In a field of independent particles, and at T = 1, they end distributed by its density.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float, Key
from bayesplat.flow.measure_space.field import Field

__all__ = [
    "Move",
    "Schedule",
    "birth_death",
    "birth_death_rate",
    "constant",
    "evolve",
    "geometric",
    "langevin",
    "linear_to_zero",
    "replace",
]

type Move = Callable[[Key, AnyArray, AnyArray | float], AnyArray]
"""From a key, particles (k, r) and a temperature to the new particles (k, r)."""

type Schedule = Callable[[AnyArray], AnyArray | float]
"""From the number of a step, counted from 0, to its temperature."""


def evolve(
    key: Key, particles: Float[AnyArray, "k r"], moves: Sequence[Move], temperature: Schedule, steps: int
) -> Float[AnyArray, "k r"]:
    """Particles after so many steps, each of all moves in turn."""

    def step(particles: AnyArray, inputs: tuple[AnyArray, Key]) -> tuple[AnyArray, None]:
        count, key = inputs
        for move, own in zip(moves, jax.random.split(key, len(moves)), strict=True):
            particles = move(own, particles, temperature(count))
        return particles, None

    return jax.lax.scan(step, jnp.asarray(particles), (jnp.arange(steps), jax.random.split(key, steps)))[0]


# ---------------------------------------------------------------- moves


def langevin(field: Field, dt: Float[AnyArray, ""] | float) -> Move:
    """Unadjusted Langevin step  theta - dt grad field + sqrt(2 T dt) N(0, I),  the ensemble held in the gradient."""

    def move(
        key: Key, particles: Float[AnyArray, "k r"], temperature: Float[AnyArray, ""] | float
    ) -> Float[AnyArray, "k r"]:
        drift = jax.grad(lambda at: jnp.sum(field(at, particles)))(particles)
        noise = jax.random.normal(key, particles.shape, particles.dtype)
        return particles - dt * drift + jnp.sqrt(2.0 * temperature * dt) * noise

    return move


def birth_death(field: Field, dt: Float[AnyArray, ""] | float, bandwidth: float) -> Move:
    """Deaths and births over a time dt, at `birth_death_rate`."""

    def move(
        key: Key, particles: Float[AnyArray, "k r"], temperature: Float[AnyArray, ""] | float
    ) -> Float[AnyArray, "k r"]:
        rate = birth_death_rate(particles, field(particles, particles), bandwidth, temperature)
        return replace(key, particles, rate, dt)

    return move


def birth_death_rate(
    particles: Float[AnyArray, "k r"],
    potential: Float[AnyArray, "k"],
    bandwidth: float,
    temperature: Float[AnyArray, ""] | float,
) -> Float[AnyArray, "k"]:
    """Rates T log mu_h(theta_i) + potential_i, less their mean (k,): of death if positive, of birth if negative.

    mu_h is the density estimate by Gaussian kernels of sd `bandwidth` in every coordinate (lu2019), with two biases. It
    is mu_h that takes the target's shape, not mu: alone, births and deaths would leave every variance short by
    bandwidth^2. And particles count themselves, so places with few of them seem too full, by O(1 / (k bandwidth^r)).
    """
    apart = (particles[:, None, :] - particles[None, :, :]) / bandwidth
    log_density = jax.nn.logsumexp(-0.5 * jnp.sum(jnp.square(apart), axis=2), axis=1)  # up to a constant
    rate = temperature * log_density + potential
    return rate - jnp.mean(rate)


def replace(
    key: Key, particles: Float[AnyArray, "k r"], rate: Float[AnyArray, "k"], dt: Float[AnyArray, ""] | float
) -> Float[AnyArray, "k r"]:
    """Particles after births and deaths over a time dt, their number kept.

    With probability 1 - exp(-|rate_i| dt) particle i is replaced by a copy of another one (rate > 0) or a copy of it
    replaces another one (rate < 0); the other is uniform. All at once: two events meet with probability O(dt^2).
    """
    k = particles.shape[0]
    ring, turn = jax.random.split(key)
    rings = jax.random.uniform(ring, (k,)) < -jnp.expm1(-jnp.abs(rate) * dt)
    # One random turn of the circle of particles gives each a partner of its own: no slot is written twice.
    own, shift = jnp.arange(k), jax.random.randint(turn, (), 1, k)
    giver, taker = (own - shift) % k, (own + shift) % k
    source = jnp.where(rings & (rate > 0), taker, own)
    source = jnp.where((rings & (rate < 0))[giver], giver, source)
    return particles[source]


# ---------------------------------------------------------------- schedules


def constant(temperature: float) -> Schedule:
    """The same temperature throughout: regularisation."""
    return lambda step: temperature


def geometric(start: Float[AnyArray, ""] | float, ratio: Float[AnyArray, ""] | float) -> Schedule:
    """Temperature start * ratio^step: annealing."""
    return lambda step: start * ratio**step


def linear_to_zero(start: float, steps: int) -> Schedule:
    """Temperature start * (1 - step / steps), 0 from then on."""
    return lambda step: start * jnp.maximum(1.0 - step / steps, 0.0)
