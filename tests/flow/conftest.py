"""Runs of the flow shared by its tests: its functions take seconds to compile, so they are compiled once."""

from typing import NamedTuple

import jax
import pytest

from bayesplat.flow import birth_death, reaction, run, start, transport
from bayesplat.flow.energy import NegLogEvidence
from tests.flow.bumps import SETTINGS, energy_of, two_bumps


class Flows(NamedTuple):
    """Runs of the flow on two data sets of one shape, and how often its pieces were traced after each of them."""

    first: NegLogEvidence
    second: NegLogEvidence
    runs: list[run.Run]
    other: list[run.Run]
    traced: list[dict[str, int]]


@pytest.fixture(scope="session")
def traces():
    """Counts of the calls of the functions that only run while JAX traces the flow's compiled pieces."""
    count = dict.fromkeys(["lbfgs", "greedy", "rebirth", "exact"], 0)

    def counted(name, function):
        def call(*args):
            count[name] += 1
            return function(*args)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((transport, "lbfgs"), (start, "greedy"), (reaction, "exact")):
            patch.setattr(module, name, counted(name, getattr(module, name)))
        patch.setattr(birth_death, "weakest", counted("rebirth", birth_death.weakest))
        yield count


@pytest.fixture(scope="session")
def flows(traces):
    first, second = energy_of(two_bumps(0.25, 0.7)), energy_of(two_bumps(0.4, 0.85))
    runs, counts = [], []
    for energy in (first, second):
        with jax.enable_x64(True):
            runs.append(run.run_flow(energy, jax.random.key(0), 2, SETTINGS))
        counts.append(dict(traces))
    return Flows(first, second, *runs, counts)
