"""One start of the flow on its way down: moves tried in turn, room that grows, records to go on from, and its end.

The number of splats is grown: a start works with room for a few, drops those that do not earn their place, and makes
room for more only while all of them do. Dead splats cost as much as live ones: where that is much, their room goes too.
"""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from bayesplat._typing import Key
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.flow import reaction, start, transport
from bayesplat.flow.certificate import ROWS
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import packed, picked, resized
from bayesplat.flow.step import BIRTH, JOURNEYS, SLIDE, Settings, State, advance, certify, empty, fill
from bayesplat.flow.turn import BUDGET_SPENT, Standing, Turn, due
from bayesplat.prefetch import Cores, Series

INTERRUPTED = "interrupted; this is the best so far"

RECORD_EVERY = 2.0
"""Seconds between two records of a start: a move takes some milliseconds."""

WIDER = 4
"""By how much the room for splats grows when all of them earn their place."""

SPARE = 4
"""Free slots kept for births beside the live splats; a birth that finds none does nothing."""

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
    unplaced: float = -np.inf  # the last certificate of mothers without a free slot

    @property
    def certificate(self) -> float:
        """By how much one more splat could lower the energy at the end, at most; negative: none could."""
        return float(self.certificates[-1])


_masses = eqx.filter_jit(reaction.exact)
_begin = {name: eqx.filter_jit(getattr(start, name)) for name in ("grid", "random")}


def state_like(energy: Energy) -> State:
    """What a state is made of, for whoever reads one."""
    return State(eqx.filter_eval_shape(energy.start, 1), np.zeros(1), np.zeros(()))


class Outcome(NamedTuple):
    """What a move comes to."""

    move: tuple[str, ...]
    state: State | None  # the lower one; None if interrupted
    certificate: float  # before a birth; NaN before any other move


class Descent:
    """One start of the flow on its way."""

    def __init__(self, energy: Energy, settings: Settings, key: Key, temperature: float, cores: Cores) -> None:
        self.energy, self.settings, self.key, self.temperature = energy, settings, key, temperature
        self.cores = cores
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
        like = (state_like(self.energy), [0] * len(Standing._fields))
        piece = journal.recall(name, like)
        if piece is not None:
            state, at = piece
            self.state = jax.tree.map(jnp.asarray, state)
            # plain lists and numbers again
            self.at = Standing(*(part.tolist() for part in at))

    def _record(self) -> None:
        lists = {name: np.asarray(getattr(self.at, name)) for name in ("history", "alive", "certificates")}
        self.journal.record(self.name, (self.state, self.at._replace(**lists)))
        self.recorded = time.perf_counter()

    def run(self, rounds: int, stop: Event) -> None:
        """Start if that is still to do, then move until nothing helps, so many moves at most in all."""
        began = time.perf_counter()

        def compute(turn: Turn, obsolete: Callable[[], bool]) -> Outcome:
            return self._outcome(turn, lambda: stop.is_set() or obsolete())

        with self.cores.series(compute) as series:
            if not self.at.history:
                self._try(self._begun())
            if self.at.reason in (BUDGET_SPENT, INTERRUPTED):
                self.set(reason=self._moves(series, rounds, stop))
        if self.at.reason != INTERRUPTED:
            self.set(trial=self.at.trial or len(self.at.history))
        self.set(seconds=self.at.seconds + time.perf_counter() - began)
        self._record()

    def _begun(self) -> State:
        if self.state is not None:
            self._pack()
            return self.state
        room = min(self.k, self.settings.room)
        nothing = empty(self.energy, room)
        if self.settings.begin == "greedy":
            return self._filled(nothing)
        place = _begin[self.settings.begin](self.energy, room, self._next_key())
        state = nothing._replace(position=place, live=np.ones(room, bool))
        return advance(self.energy, self.settings, state, (), self._next_key(), self.settings.first_steps)

    def _moves(self, series: Series[Turn, Outcome], rounds: int, stop: Event) -> str:
        """Try moves until patience or budget is spent; the reason in words."""
        while self.at.moves < rounds:
            if stop.is_set():
                return INTERRUPTED
            self._move(series, rounds, stop)
            if self.at.refused >= self.settings.patience:
                if not self._widen():
                    return f"no move lowered the energy in {self.at.refused} tries"
                self.set(refused=0, dropping=True)
            if time.perf_counter() - self.recorded > RECORD_EVERY:
                self._record()
        return BUDGET_SPENT

    def _move(self, series: Series[Turn, Outcome], rounds: int, stop: Event) -> None:
        """Try the move that is due."""
        assert self.state is not None
        dropping = self.at.dropping
        move, new, certificate = series.result(self._turns(self.state, rounds, stop))
        if new is None:
            return  # as if it had not begun: a run that goes on begins it again
        self.at.certificates[-1] = certificate
        better = self._try(new)
        self.at = self.at.moved(better, move)
        if better:
            series.changed()
        if dropping and not self.at.dropping:
            self._pack()

    def _turns(self, state: State, rounds: int, stop: Event) -> Iterator[Turn]:
        """The move that is due, and those after it for as long as none lowers the energy and room stays the same."""
        at = self.at
        while at.moves < rounds and at.refused < self.settings.patience:
            turn = due(self.energy, state, at)
            yield turn
            if at.dropping or stop.is_set():
                return
            at = at.noted(at.history[-1], at.alive[-1]).moved(False, turn.move)

    def _outcome(self, turn: Turn, interrupted: Callable[[], bool]) -> Outcome:
        """What a move comes to."""
        key, certificate = jax.random.fold_in(self.key, turn.number), np.nan
        if turn.move == BIRTH:
            certificate = float(self._gains(turn.state)[0].max())
        if turn.move in JOURNEYS:
            new = JOURNEYS[turn.move](self.energy, self.settings, turn.state, key, interrupted)
        else:
            new = advance(self.energy, self.settings, turn.state, turn.move, key, self.settings.steps)
        return Outcome(turn.move, jax.block_until_ready(new), certificate)

    def _pack(self) -> None:
        """Keep room for the live splats and a few more, where less room saves much."""
        assert self.state is not None
        live, turns = np.asarray(self.state.live), len(self.energy.problem.spec.mother.kinds)
        most = max(int(np.sum(live[kind::turns])) for kind in range(turns))
        room = 1 << (turns * (most + SPARE) - 1).bit_length()  # powers of two: few sizes to compile for
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
        filled = fill(self.energy, state, self._next_key(), self.temperature)
        return advance(self.energy, self.settings, filled, self._edges, self._next_key(), self.settings.first_steps)

    def _gains(self, state: State, worst: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """What one more splat could lower the energy by, and whether there is a slot for it."""
        found = certify(self.energy, state.position, state.live, self.key, worst)
        return np.asarray(found.gain), np.asarray(found.slot) < state.live.size

    def _next_key(self) -> Key:
        return jax.random.fold_in(self.key, len(self.at.history))

    def _try(self, new: State) -> bool:
        """Take the new state if its energy is lower; write down where the start stands."""
        better = self.state is None or float(new.energy) < float(self.state.energy)
        self.state = new if better else self.state
        assert self.state is not None
        self.at = self.at.noted(float(self.state.energy), int(np.sum(self.state.live)))
        return better

    def end(self) -> Run:
        """The last transport, and what there is then."""
        assert self.state is not None
        began = time.perf_counter()
        key, steps = self._next_key(), self.settings.last_steps
        self._try(advance(self.energy, self.settings, self.state, self._edges, key, steps))
        position, live = self.state.position, self.state.live
        amplitude, trend = _masses(self.energy, position, live)
        looks = [self._gains(self.state)]
        if self.energy.problem.x.shape[0] > ROWS:  # births have many rounds to find it; this is the last word
            looks.append(self._gains(self.state, worst=True))
        gain, free = (np.concatenate(parts) for parts in zip(*looks, strict=True))
        self.at.certificates[-1] = float(gain.max())
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
            float(gain.max(where=~free, initial=-np.inf)),
        )


def _resized(state: State, k: int) -> State:
    """The state with room for k splats, the new ones dead."""
    live = np.concatenate([state.live, np.zeros(k - state.live.size, bool)])
    return state._replace(position=resized(state.position, k), live=live)
