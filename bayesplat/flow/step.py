"""One compiled step of the flow: moves of birth and death, then transport with all masses solved for.

The outcome of a step is kept if the energy fell. All starts share the compiled pieces.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from bayesplat._typing import AnyArray, Key
from bayesplat.devices import jit_once
from bayesplat.flow import birth_death, slide, start, transport
from bayesplat.flow.certificate import Candidates, certificate, random_rows, worst_rows
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position

REBIRTH, BIRTH, DEATH, SPLIT, MERGE = ("death", "birth"), ("birth",), ("death",), ("split",), ("merge",)
CLEARING = ("clearing",)
SLIDE = ("slide",)
SWARM = ("swarm",)
CYCLE = (REBIRTH, SLIDE, CLEARING, BIRTH, SLIDE, CLEARING, DEATH, CLEARING) * 2 + (SPLIT, MERGE)
"""Moves tried in turn once nothing more can be dropped; slides only where splats have edges."""

FEWEST = {DEATH: 2, REBIRTH: 1, SPLIT: 1, MERGE: 2, CLEARING: 3}
"""Live splats that a move needs, where it needs any."""

LONE, SWARMS, COPIES = 2, (12, 24), 2.0
"""Swarms come while fewer splats live, after so many refusals in a row, and see every datum so many times."""

STALLED = 8
"""A clearing costs much: it waits until so many moves have gained next to nothing."""


class Settings(NamedTuple):
    """Budget of the flow."""

    trial: int = 50  # moves tried by every start, after which the lower half and its equals go on
    rounds: int = 250  # most moves tried by a start
    patience: int = 36  # moves refused in a row before a start stops
    steps: int = 15  # transport steps after a move
    short_steps: int = 6  # and after each within an excursion
    first_steps: int = 60  # transport steps after the start
    last_steps: int = 200  # and at the end
    temperature: float = 0.15  # noise in the choice of births
    room: int = 32  # splats that the flow starts with room for
    begin: str = "greedy"  # where splats are first: "greedy", "grid" or "random"


class State(NamedTuple):
    """One start of the flow: all that is needed to go on."""

    position: Position
    live: Bool[AnyArray, " k"]
    energy: Float[AnyArray, ""]


_certificate, _random_rows = eqx.filter_jit(certificate), eqx.filter_jit(random_rows)
_worst_rows = eqx.filter_jit(worst_rows)
_born = eqx.filter_jit(birth_death.birth)
_moves = {name: eqx.filter_jit(getattr(birth_death, name)) for name in ("death", "clearing", "split", "merge")}
_moves["slide"] = eqx.filter_jit(slide.slide)


def certify(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"], key: Key, worst: bool = False
) -> Candidates:
    """What one more splat could lower the energy by, seen from data by chance or from those fitted worst."""
    rows = _worst_rows(energy, position, live) if worst else _random_rows(energy, key)
    return _certificate(energy, position, live, key, rows)


def propose(
    energy: Energy, state: State, moves: tuple[str, ...], key: Key, temperature: Float[AnyArray, ""]
) -> birth_death.Proposal:
    """Position and live splats after the moves, one after the other; each compiles when it is first tried.

    Edges slide once there are new splats: transport cannot move them.
    """
    position, live = state.position, state.live
    for move in moves:
        key, where, which = jax.random.split(key, 3)
        if move == "birth":
            position, live = _born(certify(energy, position, live, where), position, live, which, temperature)
        else:
            position, live = _moves[move](energy, position, live, which)
    if "birth" in moves and energy.problem.spec.mother.edged:
        position, live = _moves["slide"](energy, position, live, key)
    return position, live


def advance(energy: Energy, settings: Settings, state: State, moves: tuple[str, ...], key: Key, steps: int) -> State:
    """The moves, then transport; kept if the energy falls by more than does not matter."""
    position, live = propose(energy, state, moves, key, np.asarray(settings.temperature))
    return _transport(energy, state, position, live, np.asarray(steps))


def excursion(
    energy: Energy, settings: Settings, state: State, key: Key, interrupted: Callable[[], bool] = lambda: False
) -> State | None:
    """A clearing, as many to twice as many births, then deaths while they lower the energy; the state if it fell.

    Ruin and recreate (schrimpf2000): explanations that differ in several splats at once are parted by states of higher
    energy, which single moves refuse. Transport follows every birth and death. None if interrupted.
    """
    where, number, born, dead = jax.random.split(key, 4)
    position, live = _moves["clearing"](energy, state.position, state.live, where)
    died = int(np.sum(state.live)) - int(np.sum(live))
    births = died + int(jax.random.randint(number, (), 0, died + 1))
    there, nothing = State(position, live, state.energy), np.full_like(state.energy, np.inf)
    for one in jax.random.split(born, births):
        if interrupted():
            return None
        anywhere = there._replace(energy=nothing)
        there = advance(energy, settings, anywhere, BIRTH, one, settings.short_steps)
    there = _thinned(energy, settings, there, jax.random.split(dead, births), interrupted)
    if there is None:
        return None
    there = advance(energy, settings, there, (), dead, settings.steps)
    return there if float(there.energy) < float(state.energy) else state


def swarm(
    energy: Energy, settings: Settings, state: State, key: Key, interrupted: Callable[[], bool] = lambda: False
) -> State | None:
    """Splats in all slots, thinned out while every datum counts twice and again while once; kept if clearly lower.

    Where several splats must stand before the noise is seen to be small and any of them pays, as in a wave with few
    data to a crest, births one at a time are refused. Among data that count twice they pay, and once they stand they
    hold each other up. None if interrupted.
    """
    born, dead, warmth = jax.random.split(key, 3)
    room = min(energy.problem.spec.n_splats, settings.room)
    there = fill(energy.repeated(COPIES), empty(energy, room), born, float(jax.random.uniform(warmth)))
    for seen in (energy.repeated(COPIES), energy):
        there = there._replace(energy=np.full_like(state.energy, np.inf))
        there = advance(seen, settings, there, (), dead, settings.first_steps)
        there = _thinned(seen, settings, there, jax.random.split(dead, room), interrupted)
        if there is None:
            return None
    return there if float(there.energy) < float(state.energy) - energy.standstill else state


JOURNEYS = {CLEARING: excursion, SWARM: swarm}
"""Moves that are made of others, each with a transport of its own."""


def _thinned(
    energy: Energy, settings: Settings, state: State, keys: Key, interrupted: Callable[[], bool]
) -> State | None:
    """Deaths while they lower the energy; None if interrupted."""
    for key in keys:
        if interrupted():
            return None
        fewer = advance(energy, settings, state, DEATH, key, settings.short_steps)
        if not float(fewer.energy) < float(state.energy):
            break
        state = fewer
    return state


@eqx.filter_jit
def _transport(
    energy: Energy, state: State, position: Position, live: Bool[AnyArray, " k"], steps: Int[AnyArray, ""]
) -> State:
    moved, value = transport.transport(energy, position, live, steps)
    better = value + 0.1 * energy.tolerance(value) < state.energy
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), State(moved, live, value), state)


def empty(energy: Energy, room: int) -> State:
    """Room for splats, and none of them alive."""
    return State(_nothing(energy, room), np.zeros(room, bool), np.asarray(np.inf, energy.problem.x.dtype))


_nothing = jit_once(lambda energy, room: energy.start(room))


def fill(energy: Energy, state: State, key: Key, temperature: float) -> State:
    """Births into all free slots; the energy is left for the transport to say."""
    return _fill(energy, state, key, np.asarray(temperature))


@eqx.filter_jit
def _fill(energy: Energy, state: State, key: Key, temperature: Float[AnyArray, ""]) -> State:
    position, live = start.greedy(energy, state.position, state.live, key, temperature)
    return State(position, live, jnp.full_like(state.energy, jnp.inf))
