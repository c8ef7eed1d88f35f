"""Where a start of the flow stands, and which move is due then."""

from typing import NamedTuple

import numpy as np

from bayesplat.flow.energy import Energy
from bayesplat.flow.step import BIRTH, CLEARING, CYCLE, DEATH, FEWEST, LONE, SLIDE, SPLIT, STALLED, SWARM, SWARMS, State

BUDGET_SPENT = "the budget of moves is spent; fit again with `start=` this fit if the energy was still falling"


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

    def noted(self, energy: float, alive: int) -> "Standing":
        """With the energy and the live splats after something more was tried."""
        return self._replace(
            history=[*self.history, energy], alive=[*self.alive, alive], certificates=[*self.certificates, np.nan]
        )

    def moved(self, better: bool, move: tuple[str, ...]) -> "Standing":
        """After one more move, which lowered the energy or was refused."""
        return self._replace(
            moves=self.moves + 1,
            refused=0 if better else self.refused + 1,
            turn=self.turn + (not self.dropping),
            dropping=better and move == DEATH,
        )


class Turn(NamedTuple):
    """A move that is due."""

    state: State
    move: tuple[str, ...]
    number: int  # of entries in the history before it, from which its random numbers come


def due(energy: Energy, state: State, at: Standing) -> Turn:
    """The move of this turn, or the next one that there are splats and slots for."""
    live = int(np.sum(state.live))
    if live < LONE and at.refused in SWARMS and energy.standstill > 0:
        return Turn(state, SWARM, len(at.history))
    crowded = live == state.live.size
    able = [m for m in CYCLE if live >= FEWEST.get(m, 0) and not (crowded and m in (BIRTH, SPLIT))]
    able = able if energy.problem.spec.mother.edged else [m for m in able if m != SLIDE]
    able = able if _stalled(energy, at) else [m for m in able if m != CLEARING]
    return Turn(state, DEATH if at.dropping else able[at.turn % len(able)], len(at.history))


def _stalled(energy: Energy, at: Standing) -> bool:
    """Whether the trial is over and the last few moves gained next to nothing: time for a clearing."""
    if not at.trial or len(at.history) <= STALLED:
        return False
    return at.history[-1 - STALLED] - at.history[-1] < energy.standstill
