"""The certificate: how far from optimal the flow can be, as the most that one further splat could lower the energy.

In measure space the energy is minimal where no splat (A, b) has a first variation that outweighs its cost. The sup over
(A, b) is estimated by multi-start ascent: from the best of some data on every rung of a ladder of lengths, shaped like
the residual around it; splats with edges, which have no slope to climb, are searched for. Where it is exceeded is where
the Fisher-Rao flow would create mass: births are its argmax.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key
from bayesplat.collapsed import Collapsed
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Particles, Position, geometry
from bayesplat.mothers import Mother

RUNGS, ROWS, ASCENT = 8, 128, 20
"""Lengths on the ladder; data tried as centres on each rung; steps of the ascent."""

ASIDE = 0.05
"""Sd of the distance from the datum a splat was tried at to where it is born, in its lengths.

On the datum a cusp has no gradient, and a splat that covers no other datum no Fisher information.
"""

WIDTHS, TRIES = 0.5 * 0.6 ** np.arange(8.0), 32
"""Sds of the search for sharp splats, round by round, in sizes of the splat; neighbours tried in each round."""


class Candidates(NamedTuple):
    """The best splats found, from every rung and of every mother."""

    at: Particles  # RUNGS particles for each mother
    gain: Float[AnyArray, " c"]  # how far the energy falls when it joins, net of its cost
    slot: Int[AnyArray, " c"]  # that it would take: the first dead one of its mother, k if all live


def certificate(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key, rows: Int[AnyArray, " r"]
) -> Candidates:
    """Local maxima over (A, b) of what one more splat would lower the energy by, from these data as first centres."""
    system, kinds = energy.system(position, live), energy.problem.spec.mother.kinds
    found, aside = [], jax.random.fold_in(key, 0)
    for kind, mother in enumerate(kinds):
        pure = energy.of(mother)
        start = _shaped(pure, system, _ladder(pure, system, position, rows, aside))
        climbed = (pure, system, position, start)
        at, gain = _search(*climbed, key) if mother.sharp else _ascend(*climbed)
        found.append(Candidates(at, gain, jnp.full(gain.shape, free_slot(live, kind, len(kinds)))))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)


def random_rows(energy: Energy, key: Key) -> Int[AnyArray, " r"]:
    """At most ROWS of the data that have a y, all alike."""
    problem = energy.problem
    n, weight = problem.x.shape[0], problem.observed / jnp.sum(problem.observed)
    return jax.random.choice(key, n, (min(n, ROWS),), replace=False, p=weight)


def worst_rows(energy: Energy, position: Position, live: Bool[AnyArray, " k"]) -> Int[AnyArray, " r"]:
    """As many data with the largest residuals: what few of many data could gain, chance hardly ever looks at."""
    misfit = jnp.abs(collapsed.left_over(energy.system(position, live)))
    return jnp.argsort(-misfit)[: min(misfit.size, ROWS)]


def free_slot(live: Bool[AnyArray, " k"], kind: int | Int[AnyArray, ""], kinds: int) -> Int[AnyArray, ""]:
    """The first dead slot among every `kinds`-th, from slot `kind` on: those of one mother; k if all of them live."""
    k = live.size
    free = ~live & (jnp.arange(k) % kinds == kind)
    return jnp.where(jnp.any(free), jnp.argmax(free), k)


def ladder_birth(
    energy: Energy,
    position: Position,
    live: Bool[AnyArray, " k"],
    slot: Int[AnyArray, ""],
    key: Key,
    temperature: Float[AnyArray, ""] | float,
) -> Particles:
    """One round splat for a slot among the best of every rung, without ascent: cheap, for starts.

    It is as much aside of its datum whatever the key: at temperature 0 births depend on the data alone.
    """
    where, which = jax.random.split(key)
    aside = jax.random.fold_in(jax.random.key(0), slot)
    system = energy.system(position, live)

    def born(mother: Mother) -> Particles:
        pure = energy.of(mother)
        ladder = _ladder(pure, system, position, random_rows(energy, where), aside)
        gain, _ = pure.gain(system, position, ladder)
        return _particle(ladder, best_of(gain, which, temperature))

    return energy.problem.spec.mother.in_slot(slot, born)


def _ladder(energy: Energy, system: Collapsed, position: Position, rows: Int[AnyArray, " r"], aside: Key) -> Particles:
    """The best round splat of each length among data points as centres, and a little aside of them."""
    problem = energy.problem
    centres = problem.x[rows]
    shortest = 2 * problem.box.floor
    lengths = jnp.geomspace(shortest, jnp.maximum(0.5, shortest), RUNGS)
    every = _round(energy, jnp.repeat(lengths, rows.size), jnp.tile(centres, (RUNGS, 1)))
    gain, _ = energy.gain(system, position, every)
    best = centres[jnp.argmax(gain.reshape(RUNGS, rows.size), axis=1)]
    return _round(energy, lengths, best + ASIDE * lengths[:, None] * jax.random.normal(aside, best.shape, best.dtype))


def _round(energy: Energy, lengths: Float[AnyArray, " c"], centres: Float[AnyArray, "c d"]) -> Particles:
    family, d = energy.problem.spec.scale_family, energy.problem.d
    excess = energy.problem.box.excess(lengths)
    shear = jnp.zeros((lengths.size, family.n_shears(d)), centres.dtype)
    return Particles(jnp.broadcast_to(excess[:, None], (lengths.size, family.n_lengths(d))), shear, centres)


def _shaped(energy: Energy, system: Collapsed, at: Particles) -> Particles:
    """The same candidates with the shape of the residual near them: its weighted covariance, volume kept."""
    problem, family = energy.problem, energy.problem.spec.scale_family
    if problem.d == 1:
        return at
    round_ = geometry(problem, at)
    share = problem.columns(round_.A, round_.b) * collapsed.left_over(system)[:, None]
    weight = jnp.maximum(share * jnp.sign(jnp.sum(share, 0)), 0.0)  # of each datum in the first variation
    offset = problem.x[:, None, :] - round_.b[None, :, :]
    covariance = jnp.einsum("nc,nca,ncb->cab", weight, offset, offset) / (jnp.sum(weight, 0)[:, None, None] + 1e-12)
    size = jnp.exp(2 * round_.log_det / problem.d)
    A = jnp.linalg.cholesky(covariance + 0.1 * size[:, None, None] * jnp.eye(problem.d))
    log_det = jnp.sum(jnp.log(jnp.diagonal(A, axis1=1, axis2=2)), 1)
    A = A * jnp.exp((round_.log_det - log_det) / problem.d)[:, None, None]
    log_lengths, shear = jax.vmap(family.unconstrain)(A)
    return Particles(problem.box.excess(jnp.exp(log_lengths)), shear, at.centre)


def _search(
    energy: Energy, system: Collapsed, position: Position, start: Particles, key: Key
) -> tuple[Particles, Float[AnyArray, " c"]]:
    """The best of random neighbours of every candidate, nearer from round to round."""
    c = start.centre.shape[0]

    def around(best: Particles, width: AnyArray, key: Key) -> Particles:
        size = jnp.exp(geometry(energy.problem, best).log_det / energy.problem.d)[:, None]
        units = Particles(jnp.ones(()), jnp.ones(()), size)
        keys = Particles(*jax.random.split(key, len(best)))

        def moved(leaf: AnyArray, unit: AnyArray, key: Key) -> AnyArray:
            steps = jax.random.normal(key, (TRIES, *leaf.shape), leaf.dtype).at[0].set(0.0)
            return (leaf + width * unit * steps).reshape(TRIES * c, -1)

        return jax.tree.map(moved, best, units, keys)

    def step(best: Particles, inputs: tuple) -> tuple[Particles, Float[AnyArray, " c"]]:
        trials = around(best, *inputs)
        _, gain = energy.gain(system, position, trials)
        gain = jnp.where(jnp.isfinite(gain), gain, -jnp.inf).reshape(TRIES, c)
        won = jnp.argmax(gain, 0)
        pick = won * c + jnp.arange(c)
        return jax.tree.map(lambda leaf: leaf[pick], trials), jnp.max(gain, 0)

    best, gains = jax.lax.scan(step, start, (jnp.asarray(WIDTHS), jax.random.split(key, len(WIDTHS))))
    return best, gains[-1]


def _ascend(
    energy: Energy, system: Collapsed, position: Position, start: Particles
) -> tuple[Particles, Float[AnyArray, " c"]]:
    """Gradient ascent of the net gain of all candidates side by side; the best point of each path."""
    size = jnp.exp(geometry(energy.problem, start).log_det / energy.problem.d)[:, None]

    def place(moved: Particles) -> Particles:  # centres move in units of the candidate's size
        return moved._replace(centre=start.centre + size * moved.centre)

    def net(moved: Particles) -> tuple[AnyArray, AnyArray]:
        _, gain = energy.gain(system, position, place(moved))
        return jnp.sum(jnp.where(jnp.isfinite(gain), gain, 0.0)), gain

    optimiser = optax.adam(0.1)

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        moved, state, best, most = carry
        (_, gain), slope = jax.value_and_grad(net, has_aux=True)(moved)
        better = gain > most
        best = jax.tree.map(lambda a, b: jnp.where(better[:, None], a, b), moved, best)
        updates, state = optimiser.update(jax.tree.map(jnp.negative, slope), state)
        return (optax.apply_updates(moved, updates), state, best, jnp.where(better, gain, most)), None

    moved = start._replace(centre=jnp.zeros_like(start.centre))
    lowest = jnp.full(start.centre.shape[0], -jnp.inf, start.centre.dtype)
    (_, _, best, most), _ = jax.lax.scan(step, (moved, optimiser.init(moved), moved, lowest), length=ASCENT)
    return place(best), most


def best_of(
    gain: Float[AnyArray, " c"],
    key: Key,
    temperature: Float[AnyArray, ""] | float,
    able: Bool[AnyArray, " c"] | bool = True,
) -> Int[AnyArray, ""]:
    """Index of an able candidate: the best at temperature 0, else by Gumbel noise of that share of the spread."""
    spread = temperature * jnp.maximum(jnp.max(gain) - jnp.median(gain), 1e-12)
    noisy = gain + spread * jax.random.gumbel(key, gain.shape, gain.dtype)
    return jnp.argmax(jnp.where(able, noisy, -jnp.inf))


def _particle(many: Particles, i: Int[AnyArray, ""]) -> Particles:
    return jax.tree.map(lambda leaf: leaf[i], many)
