"""Room for splats: it grows while all of them earn their place, and goes where dead ones cost much."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat.devices import inference
from bayesplat.flow import descent, run
from bayesplat.flow.step import State
from bayesplat.mothers import Box, Gaussian, Mixed
from bayesplat.prefetch import Cores
from tests.flow.bumps import SETTINGS, bumps, energy_of, misfit

PLACES, WIDE = (0.25, 0.7), 32
MOTHERS = {"one mother": (Gaussian(), 8), "two mothers": (Mixed((Gaussian(), Box(64))), 16)}
"""With the room for the two bumps, and the spare slots of each mother."""


def flow(energy, rooms, monkeypatch, dear=0, **earlier):
    """The end of one start with splats to spare; `rooms` sees the room after every move."""
    monkeypatch.setattr(descent, "DEAR", dear)

    whole = descent.Descent._try

    def watched(self, new):
        better = whole(self, new)
        rooms.append(self.state.live.size)
        return better

    monkeypatch.setattr(descent.Descent, "_try", watched)
    with inference():
        return run.run_flow(energy, jax.random.key(0), 1, SETTINGS, **earlier)[0]


@pytest.fixture(params=MOTHERS)
def case(request):
    mother, room = MOTHERS[request.param]
    return energy_of(bumps(*PLACES), k=WIDE, mother=mother), room


def test_room_grows_while_every_splat_earns_its_place():
    energy = energy_of(bumps(0.12, 0.37, 0.62, 0.87))
    with inference():
        done = run.run_flow(energy, jax.random.key(0), 1, SETTINGS._replace(room=2, rounds=60))[0]
    assert done.alive.max() > 2
    assert done.state.live.sum() == 4
    assert misfit(energy, done, 0.12, 0.37, 0.62, 0.87) < 1.0


def test_room_goes_where_dead_splats_cost_much(case, monkeypatch):
    (energy, room), rooms = case, []
    done = flow(energy, rooms, monkeypatch)
    assert rooms[0] == WIDE
    assert rooms[-1] == room
    assert done.state.live.size == done.amplitude.size == WIDE  # the model's again
    assert (np.diff(done.history) <= 0).all()
    with inference():
        state = jax.tree.map(jnp.asarray, done.state)
        np.testing.assert_allclose(energy.value(state.position, state.live), done.state.energy, rtol=1e-9)


def test_room_stays_where_dead_splats_cost_little(case, monkeypatch):
    (energy, _), rooms = case, []
    flow(energy, rooms, monkeypatch, dear=descent.DEAR)
    assert set(rooms) == {WIDE}


def test_a_fit_that_goes_on_has_only_the_room_that_it_needs(case, monkeypatch):
    (energy, room), rooms = case, []
    earlier = flow(energy, [], monkeypatch, dear=descent.DEAR)
    done = flow(energy, rooms, monkeypatch, resume=(earlier.state,))
    assert set(rooms) == {room}
    assert done.history[0] == earlier.state.energy


def test_a_start_with_less_room_is_the_same_function(case, monkeypatch):
    """Planted fault: a live splat under another's mother would be another function."""
    monkeypatch.setattr(descent, "DEAR", 0)
    (energy, room), live = case, np.arange(WIDE) >= WIDE - 3
    with inference():
        at = energy.start(WIDE)
        at = at._replace(centre=jnp.linspace(0.1, 0.9, WIDE)[:, None])
        value = energy.value(at, live)
        start = descent.Descent(energy, SETTINGS, jax.random.key(0), 0.0, Cores())
        start.state = State(at, live, value)
        start.run(0, threading.Event())
        assert start.state.live.size == room
        np.testing.assert_allclose(energy.value(start.state.position, start.state.live), value, rtol=1e-9)
        turned = np.roll(start.state.live, 1)  # the same number of splats elsewhere
        assert abs(energy.value(start.state.position, turned) - value) > 1e-3
