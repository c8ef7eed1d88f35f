"""Splats with edges: where derivatives say nothing, births search, and edges cost what the data know of their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat.devices import inference
from bayesplat.evaluate import heights
from bayesplat.flow import step
from bayesplat.flow.evidence import information, neg_log_evidence
from bayesplat.flow.position import geometry, particles
from bayesplat.flow.slide import _slid, slide
from bayesplat.mothers import Box, Gaussian, Mixed
from tests.flow.bumps import problem_of

N, EDGES = 120, (0.313, 0.621)
X = np.linspace(0, 1, N)[:, None]


class Blunt(Box):
    """Planted fault: a box that says that it can be climbed."""

    sharp = False


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


def energy_of(mother, seed=0):
    plateau = (X[:, 0] > EDGES[0]) & (X[:, 0] < EDGES[1])
    y = plateau + 0.1 * np.random.default_rng(seed).normal(size=N)
    return neg_log_evidence(problem_of(y, X, 4, mother=mother))


def test_mothers_with_edges_are_sharp():
    assert Box(8).sharp
    assert not Box(4).sharp
    assert not Gaussian().sharp


@pytest.mark.parametrize("mother", [Box(64), Blunt(64)], ids=["searched", "climbed"])
def test_the_first_birth_finds_both_edges_to_the_datum(mother):
    off = []
    for seed in range(30):
        energy = energy_of(mother, seed)
        found = step.certify(energy, energy.start(4), jnp.zeros(4, bool), jax.random.key(0))
        best = int(jnp.argmax(found.gain))
        reach = mother.radius(1) * (float(jnp.exp(found.at.excess[best, 0])) + float(energy.problem.box.floor))
        off.append(np.abs(float(found.at.centre[best, 0]) + reach * np.array([-1, 1]) - EDGES).max())
    assert (max(off) < 1 / N) == mother.sharp


@pytest.mark.parametrize("mother", [Box(64), Blunt(64)], ids=["at the resolution of the data", "by derivatives"])
def test_a_box_on_four_data_pays_for_its_edges(mother):
    """Its edges lie between data: what is known of them is the gap they lie in, not nothing."""
    energy = energy_of(mother)
    floor = float(energy.problem.box.floor)
    excess = np.log(2 / (N - 1) / mother.radius(1) - floor)  # two spacings to each side
    position = energy.start(1)._replace(centre=jnp.array([[59.7 / (N - 1)]]), excess=jnp.array([[excess]]))
    nats = float(information(energy, position, geometry(energy.problem, position), jnp.ones(1))[0])
    assert (nats > 5) if mother.sharp else (nats < 1e-6)


def test_smooth_splats_beside_sharp_ones_pay_as_ever():
    mixed, plain = (energy_of(mother) for mother in (Mixed((Gaussian(), Box(64))), Gaussian()))
    position = plain.start(2)._replace(centre=jnp.array([[0.3], [0.6]]))
    at = geometry(plain.problem, position)
    both, alone = (information(energy, position, at, jnp.ones(2)) for energy in (mixed, plain))
    np.testing.assert_allclose(both[0], alone[0], rtol=1e-10)
    assert both[1] > alone[1] + 1


def test_over_two_inputs_the_first_birth_finds_a_tilted_plateau():
    """Its outline is an ellipse: few points of the square are on the wrong side of it."""
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]]) / np.array([[0.35], [0.15]])

    def inside(x):
        return np.sum(((x - [0.55, 0.5]) @ turn.T) ** 2, 1) < 1

    rng = np.random.default_rng(0)
    x, square, mother = rng.uniform(size=(300, 2)), rng.uniform(size=(2000, 2)), Box(64)
    energy = neg_log_evidence(problem_of(inside(x) + 0.1 * rng.normal(size=300), x, 4, mother=mother))
    found = step.certify(energy, energy.start(4), jnp.zeros(4, bool), jax.random.key(0))
    at = geometry(energy.problem, found.at)
    height = np.asarray(heights(at.A, at.b, square, mother))[:, int(jnp.argmax(found.gain))]
    assert np.mean((height > 0.5) != inside(square)) < 0.04


@pytest.mark.parametrize("mother", [Box(1024), Blunt(1024)], ids=["slid", "left to gradients"])
def test_slides_find_both_edges_to_the_datum_and_never_raise_the_energy(mother):
    off, live = [], jnp.array([True, False])
    for seed in range(4):
        energy = energy_of(mother, seed)
        floor = float(energy.problem.box.floor)
        wrong = energy.start(2)._replace(centre=jnp.full((2, 1), 0.5), excess=jnp.full((2, 1), np.log(0.16)))
        slid, still = slide(energy, wrong, live, jax.random.key(seed))
        slid, _ = slide(energy, slid, live, jax.random.key(seed + 10))
        assert float(energy.value(slid, live)) <= float(energy.value(wrong, live))
        assert jnp.array_equal(still, live)
        np.testing.assert_array_equal(slid.centre[1], wrong.centre[1])
        reach = mother.radius(1) * (float(jnp.exp(slid.excess[0, 0])) + floor)
        off.append(np.abs(float(slid.centre[0, 0]) + reach * np.array([-1, 1]) - EDGES).max())
    assert (max(off) < 1 / N) == mother.sharp


@pytest.mark.parametrize("covariance", ["spherical", "diag", "full"])
def test_a_slide_holds_the_edge_across(covariance):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(60, 2))
    energy = neg_log_evidence(problem_of(rng.normal(size=60), x, 1, mother=Box(64), covariance=covariance))
    at, reach = particles(energy.start(1)), Box(64).radius(2)
    now = jax.tree.map(lambda leaf: leaf[0], at)
    tried = _slid(energy, now, jnp.asarray(1), jnp.asarray(1.0), jnp.asarray(reach), jax.random.key(0))
    lower = geometry(energy.problem, tried).b[:, 1] - reach * geometry(energy.problem, tried).A[:, 1, 1]
    long = np.asarray(tried.excess[:, -1]) > np.log(0.2 * float(energy.problem.box.floor))
    assert long.sum() > 30
    np.testing.assert_allclose(lower[long], lower[0], atol=1e-12)
