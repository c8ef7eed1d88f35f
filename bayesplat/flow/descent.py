"""One start of the flow on its way down: moves tried in turn, room that grows, records to go on from, and its end.

The number of splats is grown: a start works with room for a few, drops those that do not earn their place, and makes
room for more only while all of them do. Dead splats cost as much as live ones: where that is much, their room goes too.
"""

import threading
import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayesplat._checks import require
from bayesplat._typing import Key
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.devices import jit_once
from bayesplat.flow import reaction, start, transport
from bayesplat.flow.birth_death import CLEARED
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import packed, picked, resized
from bayesplat.flow.step import (
    BIRTH,
    CLEARING,
    CYCLE,
    DEATH,
    FEWEST,
    SLIDE,
    SPLIT,
    STALLED,
    Settings,
    State,
    advance,
    certify,
    excursion,
    fill,
)

BUDGET_SPENT = "the budget of moves is spent; fit again with `start=` this fit if the energy was still falling"

INTERRUPTED = "interrupted; this is the best so far"

RECORD_EVERY = 2.0
"""Seconds between two records of a start: a move takes some milliseconds."""

WIDER = 4
"""By how much the room for splats grows when all of them earn their place."""

DEAR = 10**7
"""Products of a transport step, n (coordinates)^2, from which dead splats cost a fit more than compiling for fewer."""


class Run(NamedTuple):
    """The end of one start; arrays with room for all k splats of the model."""

    state: State
    amplitude: np.ndarray  # (k,)
    trend: np.ndarray  # (t,)
    history: np.ndarray  # energy after the start, each move or widening and the last transport
    alive: np.ndarray  # number of live splats then
    certificates: np.ndarray  # nats by which one more splat could lower the energy then; NaN where nobody looked
    reason: str  # why it stopped, in words
    transport: str  # "gauss-newton" or "lbfgs", chosen by size
    seconds: float

    @property
    def certificate(self) -> float:
        """By how much one more splat could lower the energy at the end, at most; negative: none could."""
        return float(self.certificates[-1])


class Standing(NamedTuple):
    """Where a start stands besides its state; a record of both is all that it needs to go on to the same end."""

    history: list[float]  # energy after the start and everything tried since
    alive: list[int]  # live splats then
    certificates: list[float]  # then; NaN but before births and at the end
    moves: int = 0
    refused: int = 0  # moves refused in a row
    turn: int = 0  # in the cycle of moves
    dropping: bool = True  # splats, as long as some can be spared
    trial: int = 0  # length of the history at the end of the trial; 0 before
    reason: str = BUDGET_SPENT
    seconds: float = 0.0


_masses = eqx.filter_jit(reaction.exact)
_nothing = jit_once(lambda energy, room: energy.start(room))
_begin = {name: eqx.filter_jit(getattr(start, name)) for name in ("grid", "random")}


class Descent:
    """One start of the flow on its way."""

    def __init__(self, energy: Energy, settings: Settings, key: Key, temperature: float) -> None:
        self.energy, self.settings, self.key, self.temperature = energy, settings, key, temperature
        self.state: State | None = None
        self.at = Standing([], [], [])
        self.journal, self.name, self.recorded = NO_JOURNAL, "flow", time.perf_counter()

    @property
    def k(self) -> int:
        """Number of splats of the model, live or not."""
        return self.energy.problem.spec.n_splats

    @property
    def _edges(self) -> tuple[str, ...]:
        """The slide that splats with edges need, or no move."""
        return SLIDE if self.energy.problem.spec.mother.edged else ()

    @property
    def after_trial(self) -> float:
        """Energy at the end of the trial, or as far as it came."""
        return self.at.history[self.at.trial - 1]

    def set(self, **changes: Any) -> None:
        """Change where the start stands."""
        self.at = self.at._replace(**changes)

    def keep_in(self, journal: Journal, name: str) -> None:
        """Keep records under this name from now on, and go on from the one there is."""
        self.journal, self.name = journal, name
        like = (
            State(eqx.filter_eval_shape(self.energy.start, 1), np.zeros(1), np.zeros(())),
            [0] * len(Standing._fields),
        )
        piece = journal.recall(name, like)
        if piece is not None:
            state, at = piece
            if self.state is not None:
                history, *_ = at
                first = history[0] if history.size else state.energy
                same = float(first) == float(self.state.energy)
                require(same, f"{journal.folder} holds a run from another `start`: choose another folder.")
            self.state = jax.tree.map(jnp.asarray, state)
            # plain lists and numbers again
            self.at = Standing(*(part.tolist() for part in at))
        elif self.state is not None:
            self._record()  # an earlier fit, which whoever resumes this one does not have

    def _record(self) -> None:
        lists = {name: np.asarray(getattr(self.at, name)) for name in ("history", "alive", "certificates")}
        self.journal.record(self.name, (self.state, self.at._replace(**lists)))
        self.recorded = time.perf_counter()

    def run(self, rounds: int, stop: threading.Event) -> None:
        """Start if that is still to do, then move until nothing helps, so many moves at most in all."""
        began = time.perf_counter()
        if not self.at.history:
            self._try(self._begun())
        if self.at.reason in (BUDGET_SPENT, INTERRUPTED):
            self.set(reason=self._moves(rounds, stop))
        if self.at.reason != INTERRUPTED:
            self.set(trial=self.at.trial or len(self.at.history))
        self.set(seconds=self.at.seconds + time.perf_counter() - began)
        self._record()

    def _begun(self) -> State:
        if self.state is not None:
            self._pack()
            return self.state
        room = min(self.k, self.settings.room)
        nothing = np.asarray(np.inf, self.energy.problem.x.dtype)
        if self.settings.begin == "greedy":
            return self._filled(State(_nothing(self.energy, room), np.zeros(room, bool), nothing))
        place = _begin[self.settings.begin](self.energy, room, self._next_key())
        state = State(place, np.ones(room, bool), nothing)
        return advance(self.energy, self.settings, state, (), self._next_key(), self.settings.first_steps)

    def _moves(self, rounds: int, stop: threading.Event) -> str:
        """Try moves until patience or budget is spent; the reason in words."""
        while self.at.moves < rounds:
            if stop.is_set():
                return INTERRUPTED
            self._move(stop)
            if self.at.refused >= self.settings.patience:
                if not self._widen():
                    return f"no move lowered the energy in {self.at.refused} tries"
                self.set(refused=0, dropping=True)
            if time.perf_counter() - self.recorded > RECORD_EVERY:
                self._record()
        return BUDGET_SPENT

    def _move(self, stop: threading.Event) -> None:
        assert self.state is not None
        moves, refused, turn, dropping = self.at.moves, self.at.refused, self.at.turn, self.at.dropping
        move = DEATH if dropping else self._next(turn)
        if move == BIRTH:
            self.at.certificates[-1] = self._certificate()
        if move == CLEARING:
            new = excursion(self.energy, self.settings, self.state, self._next_key(), stop.is_set)
        else:
            new = self._advanced(move, self.settings.steps)
        if new is None:
            return  # as if it had not begun: a run that goes on begins it again
        better = self._try(new)
        refused, turn = 0 if better else refused + 1, turn + (not dropping)
        self.set(moves=moves + 1, refused=refused, turn=turn, dropping=better and move == DEATH)
        if dropping and not self.at.dropping:
            self._pack()

    def _next(self, turn: int) -> tuple[str, ...]:
        """The move of this turn, or the next one that there are splats and slots for."""
        assert self.state is not None
        live = int(np.sum(self.state.live))
        crowded = live == self.state.live.size
        able = [m for m in CYCLE if live >= FEWEST.get(m, 0) and not (crowded and m in (BIRTH, SPLIT))]
        able = able if self._edges else [m for m in able if m != SLIDE]
        able = able if self._stalled else [m for m in able if m != CLEARING]
        return able[turn % len(able)]

    @property
    def _stalled(self) -> bool:
        """Whether the trial is over and the last few moves gained next to nothing: time for a clearing."""
        history = self.at.history
        if not self.at.trial or len(history) <= STALLED:
            return False
        return history[-1 - STALLED] - history[-1] < self.energy.standstill

    def _pack(self) -> None:
        """Keep room for the live splats and as many as a clearing may add, where less room saves much."""
        assert self.state is not None
        live, turns = np.asarray(self.state.live), len(self.energy.problem.spec.mother.kinds)
        most = max(int(np.sum(live[kind::turns])) for kind in range(turns))
        room = 1 << (turns * (most + CLEARED[1]) - 1).bit_length()  # powers of two: few sizes to compile for
        products = self.energy.problem.x.shape[0] * transport.coordinates(self.energy, live.size) ** 2
        if 2 * room <= live.size and products > DEAR:
            slots = packed(live, turns)[:room]
            self.state = self.state._replace(position=picked(self.state.position, slots), live=live[slots])

    def _widen(self) -> bool:
        """Make room for more splats and fill it, if all slots of a mother are taken and that lowers the energy."""
        assert self.state is not None
        live = np.asarray(self.state.live)
        room = min(self.k, WIDER * live.size)
        if room == live.size or not self.energy.problem.spec.mother.crowded(live):
            return False
        wide = _resized(self.state, room)
        return self._try(self._filled(wide))

    def _filled(self, state: State) -> State:
        filled = fill(self.energy, state, self._next_key(), jnp.asarray(self.temperature))
        return advance(self.energy, self.settings, filled, self._edges, self._next_key(), self.settings.first_steps)

    def _advanced(self, moves: tuple[str, ...], steps: int) -> State:
        assert self.state is not None
        return advance(self.energy, self.settings, self.state, moves, self._next_key(), steps)

    def _certificate(self) -> float:
        """By how much one more splat could lower the energy, at most."""
        assert self.state is not None
        return float(np.max(certify(self.energy, self.state.position, self.state.live, self.key).gain))

    def _next_key(self) -> Key:
        return jax.random.fold_in(self.key, len(self.at.history))

    def _try(self, new: State) -> bool:
        """Take the new state if its energy is lower; write down where the start stands."""
        better = self.state is None or float(new.energy) < float(self.state.energy)
        self.state = new if better else self.state
        assert self.state is not None
        self.at.history.append(float(self.state.energy))
        self.at.alive.append(int(np.sum(self.state.live)))
        self.at.certificates.append(np.nan)
        return better

    def end(self) -> Run:
        """The last transport, and what there is then."""
        assert self.state is not None
        began = time.perf_counter()
        self._try(self._advanced(self._edges, self.settings.last_steps))
        position, live = self.state.position, self.state.live
        amplitude, trend = _masses(self.energy, position, live)
        self.at.certificates[-1] = self._certificate()
        k, state = self.k, _resized(self.state, self.k)
        return Run(
            jax.tree.map(np.asarray, state),
            np.pad(np.asarray(amplitude), (0, k - amplitude.size)),
            np.asarray(trend),
            np.asarray(self.at.history),
            np.asarray(self.at.alive),
            np.asarray(self.at.certificates),
            self.at.reason,
            transport.choose(self.energy, self.state.live.size),
            self.at.seconds + time.perf_counter() - began,
        )


def _resized(state: State, k: int) -> State:
    """The state with room for k splats, the new ones dead."""
    live = np.concatenate([state.live, np.zeros(k - state.live.size, bool)])
    return state._replace(position=resized(state.position, k), live=live)
