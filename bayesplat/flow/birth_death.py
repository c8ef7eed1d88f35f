"""Birth and death: mass leaves where it explains least and appears where the certificate is largest.

A move proposes; the flow transports the proposal and keeps it only if the energy fell. Shapes never change: a splat is
born into a dead slot and dies by its flag. Splits need a dead slot, merges two live ones, clearings a few.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key
from bayesplat.flow.certificate import Candidates, best_of, free_slot
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position, geometry, put
from bayesplat.measure import SplatMeasure
from bayesplat.priors.repulsion import log_bhattacharyya

GAP = 0.6
"""Half the distance between the centres of the two halves of a split, in sizes of the splat along that axis."""

CLEARED = 2, 6
"""Fewest and most splats that die in a clearing."""

type Proposal = tuple[Position, Bool[AnyArray, " k"]]


def death(energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key) -> Proposal:
    """The splat that is worth least dies."""
    worth = energy.worth(energy.system(position, live), position)
    weakest = jnp.argmin(jnp.where(live, worth, jnp.inf))
    return position, live & (jnp.arange(live.size) != weakest)


def birth(
    candidates: Candidates,
    position: Position,
    live: Bool[AnyArray, " k"],
    key: Key,
    temperature: Float[AnyArray, ""] | float,
) -> Proposal:
    """One of the certificate's maxima, the best or by chance, is born into a dead slot of its mother, if any."""
    best = best_of(candidates.gain, key, temperature, candidates.slot < live.size)
    slot, born = jax.tree.map(lambda leaf: leaf[best], (candidates.slot, candidates.at))
    # a slot beyond the last is none: what is set there is dropped
    return put(position, slot, born), jnp.asarray(live).at[slot].set(True)


def clearing(energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key) -> Proposal:
    """A splat at random dies with a few others, its nearest or any: room for others to explain their place.

    One splat at a time cannot leave a wrong explanation that several of them share; births after a clearing can.
    """
    which, number, way, order = jax.random.split(key, 4)
    count = jax.random.randint(number, (), CLEARED[0], CLEARED[1] + 1)
    middle = position.centre[jax.random.categorical(which, jnp.where(live, 0.0, -jnp.inf))]
    near = jnp.sum((position.centre - middle) ** 2, 1)
    distance = jnp.where(jax.random.bernoulli(way), near, jax.random.uniform(order, near.shape, near.dtype))
    rank = jnp.argsort(jnp.argsort(jnp.where(live, distance, jnp.inf)))
    return position, live & (rank >= jnp.minimum(count, jnp.sum(live) - 1))


def split(energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key) -> Proposal:
    """A splat drawn by its mass, split along an axis of its frame into itself and a dead slot of its mother, if any."""
    which, axis = jax.random.split(key)
    measure = _measure(energy, position, live)
    kinds = len(measure.mother.kinds)
    room = jnp.stack([free_slot(live, kind, kinds) for kind in range(kinds)])[jnp.arange(live.size) % kinds]
    able = live & (room < live.size)
    i = jax.random.categorical(which, jnp.where(able, jnp.log(jnp.abs(measure.v[:, 0]) + 1e-300), -jnp.inf))
    direction = jax.nn.one_hot(jax.random.randint(axis, (), 0, energy.problem.d), energy.problem.d)
    return _place(energy, position, measure.split(i, room[i], direction, GAP), live, jnp.any(able))


def merge(energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key) -> Proposal:
    """The two splats of one mother most alike in place and shape, if any, become one with their mass and moments."""
    measure = _measure(energy, position, live)
    kind = jnp.arange(live.size) % len(measure.mother.kinds)
    pairs = live[:, None] & live[None, :] & ~jnp.eye(live.size, dtype=bool) & (kind[:, None] == kind[None, :])
    alike = jnp.argmax(jnp.where(pairs, log_bhattacharyya(measure.A, measure.b, measure.A, measure.b), -jnp.inf))
    return _place(energy, position, measure.merge(alike // live.size, alike % live.size), live, jnp.any(pairs))


def _measure(energy: Energy, position: Position, live: Bool[AnyArray, " k"]) -> SplatMeasure:
    at = geometry(energy.problem, position)
    amplitude = collapsed.mean_coefficients(energy.system_at(at, position, live))[: live.size]
    return SplatMeasure.from_amplitude(amplitude[:, None], at.A, at.b, energy.problem.spec.mother, live)


def _place(
    energy: Energy, position: Position, measure: SplatMeasure, live: Bool[AnyArray, " k"], able: Bool[AnyArray, ""]
) -> Proposal:
    """The position whose particles are the splats of a measure; where the move is not able, nothing changes."""
    log_lengths, shear = jax.vmap(energy.problem.spec.scale_family.unconstrain)(measure.A)
    excess = energy.problem.box.excess(jnp.exp(log_lengths))
    moved = position._replace(excess=excess, shear=shear, centre=measure.b), measure.live
    return jax.tree.map(lambda new, old: jnp.where(able, new, old), moved, (position, live))
