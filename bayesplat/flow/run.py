"""The Wasserstein-Fisher-Rao flow, assembled: several starts on threads, of which the better half goes on."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesplat._typing import Key
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.flow.descent import INTERRUPTED, Descent, Run
from bayesplat.flow.energy import Energy
from bayesplat.flow.step import Settings, State
from bayesplat.flow.turn import BUDGET_SPENT
from bayesplat.prefetch import Cores
from bayesplat.threads import run_all

EQUAL = 10.0
"""Nats above the lowest start within which a start goes on after the trial, wherever it ranks."""


class Progress(NamedTuple):
    """Where the flow stands."""

    done: int  # moves tried, all starts together
    total: int  # moves at most
    energy: float  # lowest energy so far


def run_flow(
    energy: Energy,
    key: Key,
    starts: int,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    resume: Sequence[State] = (),
    journal: Journal = NO_JOURNAL,
) -> list[Run]:
    """Run several starts, at temperatures from 0 (greedy) to 1 so that they differ; lowest energy first.

    `resume` goes on from states, such as the ends of earlier runs; `journal` keeps every start as it goes, and a run
    that was killed goes on from there to the same end. An interrupt (Ctrl-C) ends all starts after their current move
    and keeps what they reached; those that have not begun never do, but for the first.
    """
    temperatures = np.linspace(0.0, 1.0, starts)
    keys = jax.random.split(key, starts)
    cores = Cores()
    flows = [Descent(energy, settings, key, float(t), cores) for key, t in zip(keys, temperatures, strict=True)]
    for flow, earlier in zip(flows, resume, strict=False):
        flow.state = jax.tree.map(jnp.asarray, earlier)
    for i, flow in enumerate(flows):
        flow.keep_in(journal, f"flow-{i}")

    def poll() -> None:
        reached = [flow.at.history[-1] for flow in flows if flow.at.history]
        done = sum(len(flow.at.history) for flow in flows)
        report(Progress(done, starts * (settings.rounds + 2), min(reached, default=np.inf)))

    def together(go: Callable[[Descent, threading.Event], None], some: list[Descent]) -> bool:
        return run_all(lambda i, stop: go(some[i], stop), len(some), poll)

    def begin(flow: Descent, stop: threading.Event) -> None:
        if flow is flows[0] or not stop.is_set():
            flow.run(min(settings.trial, settings.rounds), stop)

    interrupted = together(begin, flows)
    if not interrupted and (ahead := _ahead(flows)):
        interrupted = together(lambda flow, stop: flow.run(settings.rounds, stop), ahead)
    runs: dict[int, Run] = {}
    begun = [flow for flow in flows if flow.at.history]
    interrupted |= together(lambda flow, stop: runs.__setitem__(id(flow), flow.end()), begun)
    # whoever was on the way, and whatever an interrupt between two moves left unsaid
    ended = [run._replace(reason=INTERRUPTED) if interrupted else run for run in runs.values()]
    return sorted(ended, key=lambda run: float(run.state.energy))


def _ahead(flows: list[Descent]) -> list[Descent]:
    """Starts that go on after the trial, if they still move: the lower half, and others as low as the lowest."""
    ranked = sorted((flow for flow in flows if flow.at.history), key=lambda flow: flow.after_trial)
    for rank, flow in enumerate(ranked):
        behind = flow.after_trial - ranked[0].after_trial
        if flow.at.reason == BUDGET_SPENT and rank >= (len(flows) + 1) // 2 and behind > EQUAL:
            flow.set(reason=f"{behind:.0f} nats above another start after {flow.at.trial - 1} moves")
    return [flow for flow in ranked if flow.at.reason == BUDGET_SPENT]
