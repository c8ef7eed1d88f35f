"""Runs of the flow shared by its tests: its pieces take seconds to compile, so they are compiled once."""

from collections import Counter
from typing import NamedTuple

import jax
import pytest

from bayesplat.devices import inference
from bayesplat.flow import run
from bayesplat.flow.evidence import NegLogEvidence
from tests.flow.bumps import SETTINGS, bumps, energy_of

PIECES = ("_fill", "_transport", "certificate", "birth", "death", "clearing", "split", "merge", "exact")
COMPILED = "/jax/core/compile/backend_compile_duration"


class Flows(NamedTuple):
    """Runs of the flow on two data sets of one shape, and what was compiled for each of them."""

    first: NegLogEvidence
    second: NegLogEvidence
    runs: list[run.Run]
    other: list[run.Run]
    compiled: list[Counter]


@pytest.fixture
def float64():
    """As the flow does it: JAX compiles again for other settings of a thread."""
    with inference():
        yield


@pytest.fixture(scope="session")
def compiled():
    """Counts of the compilations of the flow's pieces from here on."""
    count = Counter()

    def listen(event, duration, **about):
        name = about.get("fun_name", "").removeprefix("jit(").removesuffix(")")
        count.update([name] if event == COMPILED and name in PIECES else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield count
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="session")
def flows(compiled):
    jax.clear_caches()  # whatever other tests compiled
    first, second = energy_of(bumps(0.25, 0.7)), energy_of(bumps(0.4, 0.85))
    runs, counts = [], []
    for energy in (first, second):
        before = Counter(compiled)
        with inference():
            runs.append(run.run_flow(energy, jax.random.key(0), 2, SETTINGS))
        counts.append(compiled - before)
    return Flows(first, second, *runs, counts)
