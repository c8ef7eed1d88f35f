"""Starts: where the first splats stand, and that the flow goes on from each of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat.devices import inference
from bayesplat.flow import run, start, step, transport
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.position import geometry
from bayesplat.likelihoods import StudentT
from bayesplat.mothers import Laplace
from tests.flow.bumps import NOISE, SETTINGS, K, N, X, bumps, energy_of, problem_of

GRID, RANDOM = eqx.filter_jit(start.grid), eqx.filter_jit(start.random)


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


@pytest.fixture(scope="module")
def line():
    return energy_of(bumps(0.25, 0.7))


@pytest.fixture(scope="module")
def square():
    x = np.random.default_rng(0).uniform(size=(60, 2))
    return neg_log_evidence(problem_of(np.sin(5 * x[:, 0]), x))


def test_a_grid_over_one_input_is_regular_and_its_splats_touch(line):
    at = geometry(line.problem, GRID(line, 5))
    np.testing.assert_allclose(at.b[:, 0], [0.1, 0.3, 0.5, 0.7, 0.9])
    np.testing.assert_allclose(at.A[:, 0, 0], 0.1, rtol=1e-12)


def test_a_grid_over_two_inputs_covers_the_square_more_evenly_than_chance(square):
    """Its centres keep apart: the closest pair of uniform points is nearer in 99 of 100 draws."""
    at = geometry(square.problem, GRID(square, 40))

    def closest(b):
        return (np.linalg.norm(b[:, None] - b[None], axis=-1) + np.eye(len(b))).min()

    chance = [closest(np.random.default_rng(seed).uniform(size=(40, 2))) for seed in range(100)]
    assert closest(np.asarray(at.b)) > np.quantile(chance, 0.99)
    np.testing.assert_allclose(at.A, 0.5 * 40**-0.5 * np.eye(2)[None].repeat(40, 0), rtol=1e-12)


def test_random_splats_stand_on_observed_data_with_lengths_of_the_prior():
    y = np.where(np.arange(N) < N // 2, np.nan, bumps(0.7))
    energy = energy_of(y)
    position = RANDOM(energy, 400, jax.random.key(0))
    assert np.asarray(position.centre).min() >= 0.5
    assert set(np.asarray(position.centre)[:, 0]) <= set(np.asarray(energy.problem.x)[:, 0])
    assert abs(np.std(position.excess) - 0.6) < 5 * 0.6 / np.sqrt(2 * 400)
    other = RANDOM(energy, 400, jax.random.key(1))
    assert not np.array_equal(position.centre, other.centre)


@pytest.mark.parametrize("begin", ["grid", "random"])
def test_the_noise_of_a_start_is_what_its_splats_leave(line, begin):
    position = GRID(line, 6) if begin == "grid" else RANDOM(line, 6, jax.random.key(2))
    live = jnp.ones(6, bool)
    system = line.system(position._replace(noise=line.start(6).noise), live)
    left = np.asarray(system.residual - system.W @ jnp.linalg.solve(system.chol.T, system.half)) * system.sd
    np.testing.assert_allclose(line.noise(position)["sigma"], np.sqrt(np.mean(left**2)), rtol=1e-6)


@pytest.mark.parametrize("begin", ["grid", "random"])
def test_the_flow_ends_alike_from_every_kind_of_start(flows, begin):
    """Two bumps are an easy case; it shares its compiled pieces with the other tests of the flow."""
    done = run.run_flow(flows.first, jax.random.key(5), 2, SETTINGS._replace(begin=begin))[0]
    assert abs(done.state.energy - flows.runs[0].state.energy) < 0.5
    assert done.history[0] != flows.runs[0].history[0]


def test_splats_with_a_cusp_are_born_where_they_can_move():
    """Beside their data: on a datum the energy has no gradient, and one such splat holds all others up."""
    falls, falls_on_data = [], []
    for seed in range(3):
        peaks = np.exp(-np.abs(X - np.array([0.21, 0.47, 0.78])) / 0.04) @ np.array([1.0, -0.8, 0.9])
        energy = energy_of(peaks + NOISE * np.random.default_rng(seed).normal(size=N), mother=Laplace())
        key, nothing = jax.random.key(seed), step.State(energy.start(K), np.zeros(K, bool), np.asarray(np.inf))
        born = step.fill(energy, nothing, key, 0.0)
        nearest = X[np.argmin(np.abs(np.asarray(born.position.centre) - X.T), axis=1)]
        on_data = born._replace(position=born.position._replace(centre=jnp.asarray(nearest)))
        # what falls while particles are held says nothing of these
        held = transport.settle(energy, on_data.position, on_data.live)[1]
        before = energy.value(born.position, born.live)
        for falls_so_far, at, energy_before in ((falls, born, before), (falls_on_data, on_data, held)):
            moved = step.advance(energy, step.Settings(), at, (), key, 30)
            falls_so_far.append(float(energy_before - moved.energy))
    assert min(falls) > 10
    assert min(falls_on_data) < 1e-6


def test_lengths_of_births_are_numbers_however_coarse_the_data():
    """With Student-t noise the floor is a whole spacing: of the corners of half a cube, more than half their range."""
    corners = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    x = np.repeat(corners, 4, axis=0)
    energy = neg_log_evidence(problem_of(x[:, 0] + 0.1 * np.arange(16) / 16, x, likelihood=StudentT()))
    assert energy.problem.box.floor > 0.5
    lengths = jnp.geomspace(2 * energy.problem.box.floor, jnp.maximum(0.5, 2 * energy.problem.box.floor), 8)
    position = energy.start(2)
    live, key = jnp.zeros(2, bool), jax.random.key(0)
    found = step.certify(energy, position, live, key)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    np.testing.assert_allclose(np.exp(energy.problem.box.excess(lengths)) + energy.problem.box.floor, lengths)
