"""The Wasserstein-Fisher-Rao flow, assembled: one compiled step, and the loop over several starts.

A step proposes births, deaths, splits or merges, transports the proposal with all masses solved for, and keeps the
outcome if the energy fell. Starts run on threads and share the compiled step. The number of splats is grown: the flow
works with room for a few, drops those that do not earn their place, and makes room for more only while all of them do.
"""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from bayesplat._typing import AnyArray, Key
from bayesplat.flow import birth_death, reaction, start, transport
from bayesplat.flow.certificate import certificate
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position, resized
from bayesplat.threads import run_all

REBIRTH, BIRTH, DEATH, SPLIT, MERGE = ("death", "birth"), ("birth",), ("death",), ("split",), ("merge",)
CLEARING = ("clearing", "birth", "birth", "birth")
CYCLE = (REBIRTH, BIRTH, CLEARING, DEATH, CLEARING) * 2 + (SPLIT, MERGE)
"""Moves tried in turn once nothing more can be dropped."""

FEWEST = {DEATH: 2, REBIRTH: 1, SPLIT: 1, MERGE: 2, CLEARING: 4}
"""Live splats that a move needs, where it needs any."""

BUDGET_SPENT = "the budget of moves is spent; fit again with `start=` this fit if the energy was still falling"

WIDER = 4
"""By how much the room for splats grows when all of them earn their place."""

EQUAL = 10.0
"""Nats above the lowest start within which a start goes on after the trial, wherever it ranks."""


class Settings(NamedTuple):
    """Budget of the flow."""

    trial: int = 50  # moves tried by every start, after which the lower half and its equals go on
    rounds: int = 250  # most moves tried by a start
    patience: int = 36  # moves refused in a row before a start stops
    steps: int = 15  # transport steps after a move
    first_steps: int = 60  # transport steps after the start
    last_steps: int = 200  # and at the end
    temperature: float = 0.15  # noise in the choice of births and deaths
    room: int = 32  # splats that the flow starts with room for
    begin: str = "greedy"  # where splats are first: "greedy", "grid" or "random"


class State(NamedTuple):
    """One start of the flow: all that is needed to go on."""

    position: Position
    live: Bool[AnyArray, " k"]
    energy: Float[AnyArray, ""]


class Run(NamedTuple):
    """The end of one start; arrays with room for all k splats of the model."""

    state: State
    amplitude: np.ndarray  # (k,)
    trend: np.ndarray  # (t,)
    history: np.ndarray  # (rounds + 2,) energy after the start, each move and the last transport
    alive: np.ndarray  # (rounds + 2,) number of live splats
    certificate: float  # by how much one more splat could lower the energy, at most; negative: none could
    reason: str  # why it stopped, in words
    transport: str  # "gauss-newton" or "lbfgs", chosen by size
    seconds: float


class Progress(NamedTuple):
    """Where the flow stands."""

    done: int  # moves tried, all starts together
    total: int  # moves at most
    energy: float  # lowest energy so far


certify = eqx.filter_jit(certificate)
_born = eqx.filter_jit(birth_death.birth)
_moves = {name: eqx.filter_jit(getattr(birth_death, name)) for name in ("death", "clearing", "split", "merge")}


def propose(
    energy: Energy, state: State, moves: tuple[str, ...], key: Key, temperature: Float[AnyArray, ""]
) -> birth_death.Proposal:
    """Position and live splats after the moves, one after the other; each compiles when it is first tried."""
    position, live = state.position, state.live
    for move in moves:
        key, where, which = jax.random.split(key, 3)
        if move == "birth":
            position, live = _born(certify(energy, position, live, where), position, live, which, temperature)
        else:
            position, live = _moves[move](energy, position, live, which, temperature)
    return position, live


def advance(energy: Energy, settings: Settings, state: State, moves: tuple[str, ...], key: Key, steps: int) -> State:
    """The moves, then transport; kept if the energy falls by more than does not matter."""
    position, live = propose(energy, state, moves, key, jnp.asarray(settings.temperature))
    return _transport(energy, state, position, live, jnp.asarray(steps))


@eqx.filter_jit
def _transport(
    energy: Energy, state: State, position: Position, live: Bool[AnyArray, " k"], steps: Int[AnyArray, ""]
) -> State:
    moved, value = transport.transport(energy, position, live, steps)
    better = value + 0.1 * energy.tolerance(value) < state.energy
    return jax.tree.map(lambda new, old: jnp.where(better, new, old), State(moved, live, value), state)


@eqx.filter_jit
def fill(energy: Energy, state: State, key: Key, temperature: Float[AnyArray, ""]) -> State:
    """Births into all free slots; the energy is left for the transport to say."""
    position, live = start.greedy(energy, state.position, state.live, key, temperature)
    return State(position, live, jnp.full_like(state.energy, jnp.inf))


_masses = eqx.filter_jit(reaction.exact)
_begin = {name: eqx.filter_jit(getattr(start, name)) for name in ("grid", "random")}


def run_flow(
    energy: Energy,
    key: Key,
    starts: int,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    resume: tuple[Run, ...] = (),
) -> list[Run]:
    """Run several starts, at temperatures from 0 (greedy) to 1 so that they differ; lowest energy first.

    `resume` goes on from the ends of earlier runs. An interrupt (Ctrl-C) ends all starts after their current move and
    keeps what they reached.
    """
    temperatures = np.linspace(0.0, 1.0, starts)
    keys = jax.random.split(key, starts)
    flows = [_Start(energy, settings, key, float(t)) for key, t in zip(keys, temperatures, strict=True)]
    for flow, earlier in zip(flows, resume, strict=False):
        flow.state = jax.tree.map(jnp.asarray, earlier.state)

    def poll() -> None:
        reached = [flow.history[-1] for flow in flows if flow.history]
        done = sum(len(flow.history) for flow in flows)
        report(Progress(done, starts * (settings.rounds + 2), min(reached, default=np.inf)))

    def together(go: Callable[[_Start, threading.Event], None], some: list[_Start]) -> bool:
        return run_all(lambda i, stop: go(some[i], stop), len(some), poll)

    trial = min(settings.trial, settings.rounds)
    interrupted = together(lambda flow, stop: flow.run(trial, stop), flows)
    ahead = _ahead(flows)
    if ahead and not interrupted:
        together(lambda flow, stop: flow.run(settings.rounds - trial, stop), ahead)
    runs: dict[int, Run] = {}
    together(lambda flow, stop: runs.__setitem__(id(flow), flow.end()), [flow for flow in flows if flow.history])
    return sorted(runs.values(), key=lambda run: float(run.state.energy))


def _ahead(flows: list["_Start"]) -> list["_Start"]:
    """Starts that go on after the trial, if they still move: the lower half, and others as low as the lowest."""
    ranked = sorted((flow for flow in flows if flow.history), key=lambda flow: flow.history[-1])
    for rank, flow in enumerate(ranked):
        behind = flow.history[-1] - ranked[0].history[-1]
        if flow.reason == BUDGET_SPENT and rank >= (len(flows) + 1) // 2 and behind > EQUAL:
            flow.reason = f"{behind:.0f} nats above another start after {len(flow.history) - 1} moves"
    return [flow for flow in ranked if flow.reason == BUDGET_SPENT]


class _Start:
    """One start of the flow on its way."""

    def __init__(self, energy: Energy, settings: Settings, key: Key, temperature: float) -> None:
        self.energy, self.settings, self.key, self.temperature = energy, settings, key, temperature
        self.state: State | None = None
        self.history: list[float] = []
        self.alive: list[int] = []
        self.refused, self.turn, self.dropping = 0, 0, True
        self.reason, self.seconds = BUDGET_SPENT, 0.0

    @property
    def k(self) -> int:
        return self.energy.problem.spec.n_splats

    def run(self, rounds: int, stop: threading.Event) -> None:
        """Start if that is still to do, then move until nothing helps, so many moves at most."""
        began = time.perf_counter()
        if not self.history:
            self._try(self._begun())
        self.reason = self._moves(rounds, stop)
        self.seconds += time.perf_counter() - began

    def _begun(self) -> State:
        if self.state is not None:
            return self.state
        room = min(self.k, self.settings.room)
        nothing = jnp.asarray(jnp.inf, self.energy.problem.x.dtype)
        if self.settings.begin == "greedy":
            return self._filled(State(self.energy.start(room), jnp.zeros(room, bool), nothing))
        place = _begin[self.settings.begin](self.energy, room, self._next_key())
        state = State(place, jnp.ones(room, bool), nothing)
        return advance(self.energy, self.settings, state, (), self._next_key(), self.settings.first_steps)

    def _moves(self, rounds: int, stop: threading.Event) -> str:
        """Try moves until patience or budget is spent; the reason in words."""
        for _ in range(rounds):
            if stop.is_set():
                return "interrupted; this is the best so far"
            move = DEATH if self.dropping else self._next(self.turn)
            better = self._try(self._advanced(move, self.settings.steps))
            self.turn += not self.dropping
            self.dropping = better and move == DEATH
            self.refused = 0 if better else self.refused + 1
            if self.refused >= self.settings.patience:
                if not self._widen():
                    return f"no move lowered the energy in {self.refused} tries"
                self.refused, self.dropping = 0, True
        return BUDGET_SPENT

    def _next(self, turn: int) -> tuple[str, ...]:
        """The move of this turn, or the next one that there are splats and slots for."""
        assert self.state is not None
        live = int(self.state.live.sum())
        crowded = live == self.state.live.size
        able = [m for m in CYCLE if live >= FEWEST.get(m, 0) and not (crowded and m in (BIRTH, SPLIT))]
        return able[turn % len(able)]

    def _widen(self) -> bool:
        """Make room for more splats and fill it, if all slots are taken and that lowers the energy."""
        assert self.state is not None
        room = min(self.k, WIDER * self.state.live.size)
        if room == self.state.live.size or not bool(jnp.all(self.state.live)):
            return False
        wide = _resized(self.state, room)
        return self._try(self._filled(wide))

    def _filled(self, state: State) -> State:
        filled = fill(self.energy, state, self._next_key(), jnp.asarray(self.temperature))
        return advance(self.energy, self.settings, filled, (), self._next_key(), self.settings.first_steps)

    def _advanced(self, moves: tuple[str, ...], steps: int) -> State:
        assert self.state is not None
        return advance(self.energy, self.settings, self.state, moves, self._next_key(), steps)

    def _next_key(self) -> Key:
        return jax.random.fold_in(self.key, len(self.history))

    def _try(self, new: State) -> bool:
        """Take the new state if its energy is lower; write down where the start stands."""
        better = self.state is None or float(new.energy) < float(self.state.energy)
        self.state = new if better else self.state
        assert self.state is not None
        self.history.append(float(self.state.energy))
        self.alive.append(int(self.state.live.sum()))
        return better

    def end(self) -> Run:
        """The last transport, and what there is then."""
        assert self.state is not None
        began = time.perf_counter()
        self._try(self._advanced((), self.settings.last_steps))
        position, live = self.state.position, self.state.live
        amplitude, trend = _masses(self.energy, position, live)
        gain = certify(self.energy, position, live, self.key).gain.max()
        k, state = self.k, _resized(self.state, self.k)
        return Run(
            jax.tree.map(np.asarray, state),
            np.pad(np.asarray(amplitude), (0, k - amplitude.size)),
            np.asarray(trend),
            np.asarray(self.history),
            np.asarray(self.alive),
            float(gain),
            self.reason,
            transport.choose(self.energy, self.state.live.size),
            self.seconds + time.perf_counter() - began,
        )


def _resized(state: State, k: int) -> State:
    """The state with room for k splats, the new ones dead."""
    live = jnp.concatenate([state.live, jnp.zeros(k - state.live.size, bool)])
    return state._replace(position=resized(state.position, k), live=live)
