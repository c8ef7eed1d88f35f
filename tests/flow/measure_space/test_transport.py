"""Transport: what a step keeps, how fast the energy falls, how long it may be; and descent along the whole flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat.flow.measure_space import bures, transport
from bayesplat.flow.measure_space.curvature import REACH
from bayesplat.flow.measure_space.run import EVEN, Pace, run
from bayesplat.measure import SplatMeasure
from tests.flow.measure_space.cases import MASSIVE, energy_of, masses, measure_of

METRICS = {"frobenius": transport.frobenius, "bures": transport.bures}
metrics = pytest.mark.parametrize("metric", METRICS)


@pytest.fixture(scope="module")
def moved():
    """Compiled steps, one for each metric, and the energy after them."""

    def step(metric, energy, measure, dt):
        after = transport.step(energy, measure, dt, METRICS[metric])
        return after, energy.value(after)

    return jax.jit(step, static_argnums=0)


@pytest.fixture(scope="module")
def energy_and_measure():
    return energy_of(p=2), measure_of(p=2)


@metrics
def test_transport_keeps_masses_and_what_has_none(metric, moved, energy_and_measure, x64):
    energy, measure = energy_and_measure
    after, _ = moved(metric, energy, measure, 0.05)
    np.testing.assert_allclose(masses(after), masses(measure), rtol=1e-14)
    for new, old in zip(jax.tree.leaves(after), jax.tree.leaves(measure), strict=True):
        np.testing.assert_allclose(new[MASSIVE:], old[MASSIVE:], atol=1e-15)
    assert (np.abs(after.b - measure.b)[:MASSIVE].max(1) > 1e-3).all()
    assert (np.abs(after.v - measure.v)[:MASSIVE].max(1) > 1e-3).all()


def square_speed(metric, energy, measure):
    """Sum_i m_i |velocity_i|^2, each metric by its own norm."""
    slope = transport.slope(energy, measure)
    scale = slope.A if metric == "frobenius" else jax.vmap(bures.gradient)(measure.A, slope.A) @ measure.A
    each = sum(np.sum(np.square(part).reshape(part.shape[0], -1), axis=1) for part in (slope.v, scale, slope.b))
    return np.sum(masses(measure) * each)


@metrics
def test_energy_falls_at_the_square_of_the_speed(metric, moved, energy_and_measure, x64):
    energy, measure = energy_and_measure
    ahead, back = (moved(metric, energy, measure, dt)[1] for dt in (1e-5, -1e-5))
    rate = (ahead - back) / 2e-5
    np.testing.assert_allclose(rate, -square_speed(metric, energy, measure), rtol=1e-6)
    (other,) = set(METRICS) - {metric}
    assert not np.isclose(rate, -square_speed(other, energy, measure), rtol=1e-3)


def test_bures_moves_the_same_in_all_axes_and_frobenius_does_not(moved, energy_and_measure, x64):
    energy, measure = energy_and_measure
    R = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = eqx.tree_at(
        lambda mu: (mu.A, mu.b),
        measure,
        (np.linalg.cholesky(R @ measure.A @ np.swapaxes(R @ measure.A, 1, 2)), measure.b @ R.T),
    )
    there = eqx.tree_at(lambda energy: energy.x, energy, energy.x @ R.T)

    def apart(metric):
        """Difference of covariances between: turn, then move; and move, then turn."""
        first, _ = moved(metric, there, turned, 0.02)
        last, _ = moved(metric, energy, measure, 0.02)
        return np.abs(first.A @ np.swapaxes(first.A, 1, 2) - R @ last.A @ np.swapaxes(R @ last.A, 1, 2)).max()

    assert apart("bures") < 1e-12
    assert apart("frobenius") > 1e-4


# ---------------------------------------------------------------- curvature


STEPS = 25


@jax.jit
def flow(is_bures, energy, measure, pace):
    """The flow in either metric, compiled once for both."""

    def metric(*args):
        return jnp.where(is_bures, transport.bures(*args), transport.frobenius(*args))

    return run(energy, measure, STEPS, True, metric, pace)


def stable_step(energy, measure):
    return flow(False, energy, measure, EVEN)[1].dt[0]


def place(measure, root, changes):
    """Arrays (v, A, b) of measures (c, ...) at coordinates where the metric is Euclidean: 2 sqrt(m), sqrt(m) (s, A, b).

    A moves among all matrices and is made triangular again, s moves in R^p and is made a unit vector again.
    """
    p, d = measure.v.shape[1], measure.b.shape[1]
    parts = np.split(changes.reshape(len(changes), MASSIVE, -1), np.cumsum([1, p, d * d]), axis=2)
    dm, ds, dA, db = (part / (2 if i == 0 else root[:, None]) for i, part in enumerate(parts))
    s = measure.v[:MASSIVE] / root[:, None] ** 2 + ds
    v = (root[:, None] + dm) ** 2 * s / np.linalg.norm(s, axis=2, keepdims=True)
    full = measure.A[:MASSIVE] + dA.reshape(-1, MASSIVE, d, d)
    return v, np.linalg.cholesky(full @ np.swapaxes(full, 2, 3)), measure.b[:MASSIVE] + db


def test_stable_step_is_the_inverse_of_the_largest_eigenvalue(energy_and_measure, x64):
    """That of the Hessian in the metric, here by second differences."""
    energy, measure = energy_and_measure
    steps = 1e-3 * np.eye(MASSIVE * (1 + 2 + 4 + 2))
    corners = [one * steps[:, None] + other * steps[None, :] for one in (1, -1) for other in (1, -1)]
    changes = np.concatenate(corners).reshape(-1, len(steps))

    def value(v, A, b):
        return energy.value(SplatMeasure(v, A, b, np.ones(MASSIVE, bool), measure.mother))

    values = jax.vmap(value)(*place(measure, np.sqrt(masses(measure)[:MASSIVE]), changes))
    up, cross, again, down = np.asarray(values).reshape(4, len(steps), len(steps))
    largest = np.abs(np.linalg.eigvalsh((up - cross - again + down) / 4e-6)).max()
    np.testing.assert_allclose(stable_step(energy, measure), 1 / largest, rtol=1e-3)


def test_no_splat_moves_further_than_its_size_allows(moved, energy_and_measure, x64):
    """With less mass the curvature is less, and the bound is the size of a splat."""
    energy, measure = energy_and_measure
    shares = []
    for mass in (1.0, 0.3):
        measure = eqx.tree_at(lambda mu: mu.v, measure, mass * measure.v)
        after, _ = moved("frobenius", energy, measure, stable_step(energy, measure))
        moves = np.linalg.solve(measure.A, np.dstack([after.A - measure.A, after.b - measure.b]))
        shares.append(np.linalg.norm(moves, axis=(1, 2)).max() / REACH)
    assert shares[0] < 0.99
    np.testing.assert_allclose(shares[1], 1.0, rtol=1e-10)


# ---------------------------------------------------------------- descent

STABLE = {"transport": Pace(1.0, 0.0), "reaction": Pace(0.0, 1.0), "both": EVEN}
TOO_LONG = {"transport": Pace(3.0, 0.0), "reaction": Pace(0.0, 100.0), "both": Pace(3.0, 3.0)}


def falls(history):
    return bool((np.diff(history) < 0).all())  # not if a number is missing: a scale has turned inside out


@pytest.mark.parametrize("part", STABLE)
@metrics
def test_energy_falls_at_every_stable_step(metric, part, x64):
    energy, start = energy_of(p=2), measure_of(p=2)
    end, history = flow(metric == "bures", energy, start, STABLE[part])
    energies = np.append(history.energy, energy.value(end))
    assert falls(energies)
    assert energies[-1] < 0.9 * energies[0]
    np.testing.assert_allclose(energies[0], energy.value(start), rtol=1e-12)
    np.testing.assert_allclose(history.mass, masses(start).sum(), rtol=1e-13)
    assert np.array_equal(end.b, start.b) == (part == "reaction")
    assert np.allclose(masses(end), masses(start)) == (part == "transport")


@pytest.mark.parametrize("part", TOO_LONG)
@metrics
def test_energy_may_rise_at_steps_far_too_long(metric, part, x64):
    _, history = flow(metric == "bures", energy_of(p=2), measure_of(p=2), TOO_LONG[part])
    assert not falls(history.energy)
