"""The Wasserstein-Fisher-Rao flow, assembled: init and step of one start, and the loop over several starts.

A step kills one splat, gives birth to another, transports all of them and keeps the outcome if the energy fell; masses
are solved exactly throughout. Starts run on threads and share one compiled step.
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
from bayesplat.flow.energy import NegLogEvidence, Position
from bayesplat.threads import run_all


class Settings(NamedTuple):
    """Budget of the flow."""

    rounds: int = 100  # most rebirths tried by a start
    patience: int = 25  # rebirths refused in a row before a start stops
    steps: int = 40  # transport steps after a rebirth
    first_steps: int = 200  # transport steps after the start and at the end
    temperature: float = 0.15  # noise in the choice of births and deaths


class State(NamedTuple):
    """One start of the flow."""

    position: Position
    live: Bool[AnyArray, " k"]
    energy: Float[AnyArray, ""]


class Info(NamedTuple):
    """What one step did."""

    accepted: Bool[AnyArray, ""]
    energy: Float[AnyArray, ""]


class Run(NamedTuple):
    """The end of one start."""

    state: State
    amplitude: np.ndarray  # (k,)
    trend: np.ndarray  # (t,)
    history: np.ndarray  # (rounds + 2,) energy after the start, each round and the last transport
    certificate: float  # most nats of log evidence that one more round splat could add
    reason: str  # why it stopped, in words
    seconds: float


class Progress(NamedTuple):
    """Where the flow stands."""

    done: int  # rounds done, all starts together
    total: int  # rounds at most
    energy: float  # lowest energy so far


def init(energy: NegLogEvidence, settings: Settings, key: Key, temperature: float) -> State:
    """Greedy start, then transport."""
    position, live, value = _greedy(energy, key, jnp.asarray(temperature))
    return _transport(energy, State(position, live, value), position, jnp.asarray(settings.first_steps))


def step(energy: NegLogEvidence, settings: Settings, key: Key, state: State) -> tuple[State, Info]:
    """One rebirth and its transport, kept if the energy falls."""
    reborn = _rebirth(energy, state.position, state.live, key, jnp.asarray(settings.temperature))
    after = _transport(energy, state, reborn, jnp.asarray(settings.steps))
    return after, Info(after.energy < state.energy, after.energy)


@eqx.filter_jit
def _greedy(
    energy: NegLogEvidence, key: Key, temperature: Float[AnyArray, ""]
) -> tuple[Position, Bool[AnyArray, " k"], Float[AnyArray, ""]]:
    position, live = start.greedy(energy, key, temperature)
    return position, live, energy.value(position, live)


_rebirth = eqx.filter_jit(birth_death.rebirth)


@eqx.filter_jit
def _transport(energy: NegLogEvidence, state: State, position: Position, steps: Int[AnyArray, ""]) -> State:
    """Transport from `position`, kept if the energy falls below the state's by more than rounding."""
    moved, value = transport.lbfgs(energy, position, state.live, steps)
    better = value < state.energy - 1e-6 * (1 + jnp.abs(state.energy))
    keep = jax.tree.map(lambda new, old: jnp.where(better, new, old), moved, state.position)
    return State(keep, state.live, jnp.where(better, value, state.energy))


@eqx.filter_jit
def _masses(
    energy: NegLogEvidence, state: State, key: Key
) -> tuple[Float[AnyArray, " k"], Float[AnyArray, " t"], Float[AnyArray, ""]]:
    """Masses at the end of the flow, and the certificate."""
    amplitude, trend = reaction.exact(energy, state.position, state.live)
    return amplitude, trend, birth_death.certificate(energy, state.position, state.live, key, 0.0).gain


def run_flow(
    energy: NegLogEvidence,
    key: Key,
    starts: int,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
) -> list[Run]:
    """Run several starts, the first one greedy, the others at a temperature; lowest energy first.

    An interrupt (Ctrl-C) ends all starts after their current round and keeps what they reached.
    """
    histories: list[list[float]] = [[] for _ in range(starts)]
    runs: list[Run | None] = [None] * starts
    keys = jax.random.split(key, starts)

    def one(i: int, stop: threading.Event) -> None:
        runs[i] = _run_one(energy, settings, keys[i], settings.temperature * (i > 0), histories[i], stop)

    def poll() -> None:
        started = [history[-1] for history in histories if history]
        report(Progress(sum(map(len, histories)), starts * (settings.rounds + 2), min(started, default=np.inf)))

    run_all(one, starts, poll)
    return sorted((run for run in runs if run is not None), key=lambda run: float(run.state.energy))


def _run_one(
    energy: NegLogEvidence,
    settings: Settings,
    key: Key,
    temperature: float,
    history: list[float],
    stop: threading.Event,
) -> Run:
    began = time.perf_counter()
    state = init(energy, settings, jax.random.fold_in(key, 0), temperature)
    history.append(float(state.energy))
    refused, reason = 0, "the budget of rounds is spent; raise `rounds` if the energy was still falling"
    for r in range(settings.rounds):
        if stop.is_set():
            reason = "interrupted; this is the best so far"
            break
        state, info = step(energy, settings, jax.random.fold_in(key, r + 1), state)
        history.append(float(info.energy))
        refused = 0 if bool(info.accepted) else refused + 1
        if refused >= settings.patience:
            reason = f"no rebirth lowered the energy in {refused} tries"
            break
    state = _transport(energy, state, state.position, jnp.asarray(settings.first_steps))
    history.append(float(state.energy))
    amplitude, trend, gain = _masses(energy, state, key)
    seconds = time.perf_counter() - began
    return Run(
        jax.tree.map(np.asarray, state),
        np.asarray(amplitude),
        np.asarray(trend),
        np.asarray(history),
        float(gain),
        reason,
        seconds,
    )
