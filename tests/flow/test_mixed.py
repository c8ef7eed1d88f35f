"""The flow with mothers in turn: every splat stays in a slot of its mother, and each mother takes what is its own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat.devices import inference
from bayesplat.evaluate import heights
from bayesplat.flow import birth_death, run, step, turn
from bayesplat.flow.certificate import Candidates, free_slot, ladder_birth
from bayesplat.flow.chain_start import chain_start
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.position import geometry, particles
from bayesplat.mothers import Box, Gaussian, Mixed
from tests.flow.bumps import SETTINGS, problem_of

N, K, EDGES, NOISE = 120, 8, (0.3, 0.62), 0.1
X = np.linspace(0, 1, N)[:, None]
TRUTH = np.sin(2 * np.pi * X[:, 0]) + 1.0 * ((X[:, 0] > EDGES[0]) & (X[:, 0] < EDGES[1]))


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


def energy_of(mother, seed=0):
    y = TRUTH + NOISE * np.random.default_rng(seed).normal(size=N)
    return neg_log_evidence(problem_of(y, X, K, mother=mother)), y


def flow(mother):
    energy, y = energy_of(mother)
    done = run.run_flow(energy, jax.random.key(0), 2, SETTINGS)[0]
    at = geometry(energy.problem, done.state.position)
    f = heights(at.A, at.b, X, mother) @ done.amplitude + done.trend[0]
    return energy, done, float(np.sqrt(np.mean((y.mean() + y.std() * f - TRUTH) ** 2)))


@pytest.fixture(scope="module")
def mixed():
    return flow(Mixed((Gaussian(), Box(64))))


def test_a_jump_in_a_wave_wants_both_mothers(mixed):
    """The plateau is one box, the wave Gaussians; Gaussians alone are twice as far from the truth."""
    energy, done, error = mixed
    live = np.asarray(done.state.live)
    assert live[0::2].any()
    assert live[1::2].any()
    at = geometry(energy.problem, done.state.position)
    widest = 1 + 2 * int(np.argmax(np.abs(done.amplitude[1::2])))
    reach = Box(64).radius(1) * at.A[widest, 0, 0]
    np.testing.assert_allclose([at.b[widest, 0] - reach, at.b[widest, 0] + reach], EDGES, atol=2 / N)
    assert 2 * error < flow(Gaussian())[2]


def test_a_chain_starts_at_the_fit_with_every_splat_under_its_mother(mixed):
    """Planted fault: the order of falling mass over all splats would hand boxes to Gaussians."""
    energy, done, _ = mixed
    problem = energy.problem
    values = chain_start(problem, energy, done)
    there = problem.geometry(values)
    live, inside = np.asarray(done.state.live), problem.spec.centres.start(done.state.position.centre)["centre"]
    for kind in (0, 1):
        expected, found = np.asarray(inside)[kind::2][live[kind::2], 0], np.asarray(there.b)[kind::2, 0]
        np.testing.assert_allclose(np.sort(found[: expected.size]), np.sort(expected), rtol=1e-8)


def test_excursions_leave_what_no_single_move_leaves(monkeypatch):
    """Gaussians take part in the jump, and boxes in the wave: several splats have to change at once."""
    energy, _ = energy_of(Mixed((Gaussian(), Box(64))), seed=1)
    monkeypatch.setattr(turn, "CYCLE", tuple(move for move in step.CYCLE if move != step.CLEARING))
    done = run.run_flow(energy, jax.random.key(0), 1, SETTINGS)[0]
    assert "no move lowered the energy" in done.reason
    states = [jax.tree.map(jnp.asarray, done.state)]
    for key in jax.random.split(jax.random.key(1), 20):
        states.append(step.excursion(energy, SETTINGS, states[-1], key))
    energies = [float(state.energy) for state in states]
    assert (np.diff(energies) <= 0).all()
    assert energies[-1] < energies[0] - 8


# ---------------------------------------------------------------- slots


def test_the_free_slot_of_a_mother_is_its_first_dead_one():
    live = jnp.array([True, False, True, True, False, False])
    assert [int(free_slot(live, kind, 2)) for kind in (0, 1)] == [4, 1]
    assert int(free_slot(live, 0, 1)) == 1
    assert int(free_slot(live | (jnp.arange(6) % 2 == 0), 0, 2)) == 6  # none: beyond the last


def two_of_each(energy):
    """Two Gaussians and two boxes in a row."""
    return energy.start(4)._replace(centre=jnp.array([[0.2], [0.4], [0.6], [0.8]]))


LIVE = [([True, False, False, True], 2.0, [2, 1]), ([True, True, True, False], 1.0, [4, 3])]


@pytest.mark.parametrize(("live", "best", "slots"), LIVE, ids=["room for both", "room for a box alone"])
def test_births_take_slots_of_their_mother(mixed, live, best, slots):
    """The better candidate is a Gaussian; where all Gaussians live, the box is born."""
    energy, live = mixed[0], jnp.array(live)
    position = two_of_each(energy)
    found = step.certify(energy, position, live, jax.random.key(0))
    assert found.slot.tolist() == [slot for slot in slots for _ in range(len(found.gain) // 2)]
    born = particles(energy.start(2)._replace(centre=jnp.array([[0.7], [0.9]])))
    candidates = Candidates(born, jnp.array([2.0, 1.0]), jnp.array(slots))
    after, alive = birth_death.birth(candidates, position, live, jax.random.key(0), 0.0)
    taken = slots[0] if best == 2.0 else slots[1]
    np.testing.assert_array_equal(np.flatnonzero(alive & ~live), [taken])
    np.testing.assert_allclose(after.centre[taken], 0.7 if best == 2.0 else 0.9)


def test_the_gain_of_a_candidate_is_that_of_its_own_mother(mixed):
    """What the certificate promises for its best box and its best Gaussian is what the data term gains."""
    energy, live = mixed[0], jnp.array([True, False, False, True])
    position = two_of_each(energy)
    found = step.certify(energy, position, live, jax.random.key(0))
    system = energy.system(position, live)
    per = len(found.gain) // 2
    for kind, mother in enumerate(energy.problem.spec.mother.kinds):
        own = jax.tree.map(lambda leaf, kind=kind: leaf[kind * per : (kind + 1) * per], found)
        _, net = energy.of(mother).gain(system, position, own.at)
        np.testing.assert_allclose(net, own.gain, rtol=1e-8)


def test_births_from_the_ladder_suit_the_slot(mixed):
    """A start fills slot after slot: what stands best for a box is another place and length than for a Gaussian."""
    energy = mixed[0]
    position, live = two_of_each(energy), jnp.zeros(4, bool)
    births = eqx.filter_jit(lambda energy, slot: ladder_birth(energy, position, live, slot, jax.random.key(0), 0.0))
    mixed_births = [births(energy, jnp.asarray(slot)) for slot in range(4)]
    for slot, born in enumerate(mixed_births):
        alone = energy.of(energy.problem.spec.mother.kinds[slot % 2])
        jax.tree.map(np.testing.assert_array_equal, born, births(alone, jnp.asarray(slot)))
    assert abs(mixed_births[0].centre - mixed_births[1].centre)[0] > 0.05


def test_a_split_finds_a_slot_of_its_mother_and_merges_never_mix(mixed):
    energy, position = mixed[0], two_of_each(mixed[0])
    live = jnp.array([True, True, True, False])  # no room for another Gaussian
    for seed in range(5):
        _, alive = birth_death.split(energy, position, live, jax.random.key(seed))
        np.testing.assert_array_equal(alive, [True] * 4)
    # the box stands on a Gaussian, as like it as can be, and the other Gaussian beside
    close = position._replace(centre=jnp.array([[0.4], [0.4], [0.6], [0.8]]))
    _, alive = birth_death.merge(energy, close, live, jax.random.key(0))
    np.testing.assert_array_equal(alive, [True, True, False, False])


@pytest.mark.parametrize("move", [birth_death.split, birth_death.merge])
def test_where_a_mother_has_no_room_and_no_pair_nothing_moves(mixed, move):
    energy = mixed[0]
    position = jax.tree.map(lambda leaf: leaf[:2] if leaf.shape[:1] == (4,) else leaf, two_of_each(energy))
    after, alive = move(energy, position, jnp.ones(2, bool), jax.random.key(0))
    np.testing.assert_array_equal(alive, [True, True])
    jax.tree.map(np.testing.assert_array_equal, after, position)
