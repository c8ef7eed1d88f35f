"""Where the flow stands: particles (A, b) in unconstrained coordinates, and the frame that each of them carries.

A particle moves along A L_s (its relative lengths and shears) and A e_s (its centre, in units of its own size). In this
frame splats of every size look alike, which is what the metric, the damping and the cost of a splat are written in.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Bool, Float, Int

from bayesplat._typing import AnyArray, Sites
from bayesplat.model import Problem
from bayesplat.scales import inverse
from bayesplat.specification import Geometry, scale_matrices

LEAST = 1e-8
"""Added to the diagonal of every frame: no coordinate counts for less."""


class Position(NamedTuple):
    """The particles (A, b) and the few numbers they share, all unconstrained."""

    excess: Float[AnyArray, "k q"]  # log(axis length - floor)
    shear: Float[AnyArray, "k c"]  # atanh of partial correlations
    centre: Float[AnyArray, "k d"]
    location: Float[AnyArray, " q"]  # log length around which the prior holds the lengths
    log_tau: Float[AnyArray, ""]  # log of the one amplitude scale that all splats share
    noise: Sites  # unconstrained sites of the likelihood


class Particles(NamedTuple):
    """The part of a position that belongs to single splats."""

    excess: Float[AnyArray, "k q"]
    shear: Float[AnyArray, "k c"]
    centre: Float[AnyArray, "k d"]


def particles(position: Position) -> Particles:
    """The particles of a position."""
    return Particles(position.excess, position.shear, position.centre)


def geometry(problem: Problem, at: Particles | Position) -> Geometry:
    """Scales and centres of the particles."""
    A, log_det = scale_matrices(problem.spec, problem.box.log_lengths(at.excess), at.shear, problem.d)
    return Geometry(A, at.centre, log_det)


def prior_precision(problem: Problem, at: Geometry) -> Float[AnyArray, "r k"]:
    """What the prior knows of a splat along its frame: inverse squares of the sds of lengths and centres."""
    c = len(problem.spec.scale_family.directions(problem.d))
    lengths = jnp.full((c, at.b.shape[0]), problem.lengths.precision(problem.box))
    return jnp.concatenate([lengths, problem.spec.centres.precision * jnp.sum(at.A**2, 1).T])


def frame(problem: Problem, at: Particles) -> Float[AnyArray, "k r r"]:
    """Steps along the frame per unit of each unconstrained coordinate (excess, shear, centre), for every splat."""
    directions = problem.spec.scale_family.directions(problem.d)
    entry = np.array([np.argwhere(direction)[0] for direction in directions])

    def one(particle: Particles) -> Float[AnyArray, "r r"]:
        def place(flat: jax.Array) -> tuple[AnyArray, AnyArray]:
            moved = geometry(problem, jax.tree.map(lambda leaf: leaf[None], unflat(flat)))
            return moved.A[0], moved.b[0]

        flat, unflat = ravel_pytree(particle)
        A, (dA, db) = place(flat)[0], jax.jacfwd(place)(flat)
        to_frame = inverse(A)
        relative = jnp.tensordot(to_frame, dA, 1)
        return jnp.concatenate([relative[entry[:, 0], entry[:, 1]], to_frame @ db])

    return jax.vmap(one)(at)


def from_frame(problem: Problem, at: Particles, live: Bool[AnyArray, " k"]) -> Float[AnyArray, "k r r"]:
    """Unconstrained coordinates per step along the frame; for dead splats, which need none, the identity."""
    frames = frame(problem, at)
    eye = jnp.eye(frames.shape[-1], dtype=frames.dtype)
    # at the floor of lengths, and beyond the widest, they no longer follow their coordinates
    return jnp.linalg.inv(jnp.where(live[:, None, None], frames + LEAST * eye, eye))


def put(position: Position, slot: Int[AnyArray, ""], one: Particles) -> Position:
    """The position with one particle (leaves without the axis k) in a slot."""
    pairs = zip(particles(position), one, strict=True)
    return position._replace(**Particles(*(jnp.asarray(leaf).at[slot].set(new) for leaf, new in pairs))._asdict())


def resized(position: Position, k: int) -> Position:
    """The position with room for k >= its own number of particles; the new ones repeat the last."""
    return picked(position, np.minimum(np.arange(k), position.centre.shape[0] - 1))


def picked(position: Position, slots: Int[np.ndarray, " k"]) -> Position:
    """The position with the particles of these slots, in this order."""
    some = Particles(*(np.asarray(leaf)[slots] for leaf in particles(position)))
    return position._replace(**some._asdict())


def packed(live: Bool[np.ndarray, " k"], turns: int) -> Int[np.ndarray, " k"]:
    """Order of the slots in which live splats come first, each in a slot of its own mother (its index mod `turns`)."""
    order = np.arange(live.size)
    for kind in range(turns):
        order[kind::turns] = order[kind::turns][np.argsort(~live[kind::turns], kind="stable")]
    return order
