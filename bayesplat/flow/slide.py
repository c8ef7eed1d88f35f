"""Slides: where gradients say nothing of an edge, each one in turn is tried elsewhere along the data.

The flow's form of the sampler's slides: the best of the candidates takes the place of the splat. What it changes in the
terms of others (repulsion, what the data tell of their geometry) is left aside, so that the energy may rise; the flow
keeps what fell after transport.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from bayesplat._typing import AnyArray, Key
from bayesplat.flow.birth_death import Proposal
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Particles, Position, particles, put

TRIES = 64
"""Places tried for every edge."""


def slide(energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key) -> Proposal:
    """Every edge of every sharp splat goes where it gains most by itself, the edge across from it held."""
    turns, d = energy.problem.spec.mother.turns(live.size), energy.problem.d
    reach = jnp.array([one.radius(d) for one in turns])
    slots = np.flatnonzero([one.sharp for one in turns])
    edges = [(slot, j, sign) for slot in slots for j in range(d) for sign in (-1.0, 1.0)]
    if not edges:
        return position, live

    def moved(at: Position, inputs: tuple) -> tuple[Position, None]:
        (slot, j, sign), key = inputs
        now: Particles = jax.tree.map(lambda leaf: leaf[slot], particles(at))
        tried = _slid(energy, now, j, sign, reach[slot], key)
        system = energy.system(at, live & (jnp.arange(live.size) != slot))
        gain = energy.problem.spec.mother.in_slot(slot, lambda one: energy.of(one).gain(system, at, tried)[1])
        best = jnp.argmax(jnp.where(jnp.isfinite(gain), gain, -jnp.inf))
        new = put(at, slot, jax.tree.map(lambda leaf: leaf[best], tried))
        return jax.tree.map(lambda old, new: jnp.where(live[slot], new, old), at, new), None

    columns = tuple(map(jnp.asarray, zip(*edges, strict=True)))
    position, _ = jax.lax.scan(moved, position, (columns, jax.random.split(key, len(edges))))
    return position, live


def _slid(
    energy: Energy,
    now: Particles,
    j: Int[AnyArray, ""],
    sign: Float[AnyArray, ""],
    reach: Float[AnyArray, ""],
    key: Key,
) -> Particles:
    """A splat as it is, first, and with its edge on one side along input j moved by steps of every size."""
    size, way = jax.random.split(key)
    box = energy.problem.box
    shortest = jnp.log(0.25 * box.gap)
    step = jnp.exp(jax.random.uniform(size, (TRIES,), minval=shortest, maxval=0.0))
    extra = jnp.concatenate([jnp.zeros(1), step * jax.random.choice(way, jnp.array([-1.0, 1.0]), (TRIES,))])
    row = jnp.minimum(j, now.excess.size - 1)  # spherical scales have one length for all inputs
    beyond = jnp.maximum(jnp.exp(now.excess[row]) + 0.5 * extra / reach, 0.1 * box.floor)
    excess = jnp.broadcast_to(now.excess, (TRIES + 1, now.excess.size)).at[:, row].set(jnp.log(beyond))
    centre = now.centre + 0.5 * sign * extra[:, None] * jnp.eye(energy.problem.d)[j]
    return Particles(excess, jnp.broadcast_to(now.shear, (TRIES + 1, now.shear.size)), centre)
