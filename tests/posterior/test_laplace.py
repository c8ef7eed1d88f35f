"""Laplace's method: Gaussians at modes, as wide as the curvature there, judged by the right densities."""

import inspect

import jax
import numpy as np
import pytest
from endurance.journals import killed
from jax.flatten_util import ravel_pytree
from posterior.problems import problem_of
from scipy.stats import multivariate_normal

from bayesplat.checkpoint import Folder
from bayesplat.posterior import laplace
from bayesplat.posterior.program import potential
from bayesplat.priors import Ridge
from bayesplat.priors.sites import draw, unconstrain, unflatten

SETTINGS = laplace.Settings(steps=500, draws=4000)


@pytest.fixture(scope="module", autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def problem():
    return problem_of(Ridge(), k=2)


@pytest.fixture(scope="module")
def starts(problem):
    return [draw(problem.sites(), jax.random.key(seed)) for seed in range(2)]


def run(problem, starts, **kwargs):
    return laplace.run_laplace(problem, starts, jax.random.key(2), SETTINGS, **kwargs)


@pytest.fixture(scope="module")
def found(problem, starts):
    return run(problem, starts)


def fit(problem, start):
    begin = np.asarray(laplace._position(problem, start))
    return inspect.unwrap(laplace._fit)(problem, begin, SETTINGS.steps, lambda steps, energy: None)


@pytest.fixture(scope="module")
def gaussian(problem, starts):
    return fit(problem, starts[0])


def energy_of(problem):
    unflat = unflatten(problem.sites())
    return lambda z: potential(problem, unflat(z))


def positions(problem, values, count):
    """Unconstrained coordinates of the first draws of the first start, as rows."""
    first = jax.tree.map(lambda leaf: leaf[0, :count], values)
    return jax.vmap(lambda one: ravel_pytree(unconstrain(problem.sites(), one))[0])(first)


@pytest.mark.parametrize("flat", [False, True])
def test_the_gaussian_stands_at_a_mode_and_has_the_curvature_there(problem, starts, flat):
    """Where there is next to none, as without data, variance 1 holds it."""
    case = problem.without_data() if flat else problem
    gaussian, energy = fit(case, starts[0]), energy_of(case)
    assert np.abs(jax.grad(energy)(gaussian.mode)).max() < 0.02
    values, vectors = np.linalg.eigh(jax.hessian(energy)(gaussian.mode))
    assert (values.min() < 0.7) == flat
    precision = (vectors * np.maximum(values, 1.0)) @ vectors.T
    np.testing.assert_allclose((gaussian.axes / gaussian.sd**2) @ gaussian.axes.T, precision, rtol=1e-5, atol=1e-5)


def test_both_densities_are_those_of_the_draws(problem, found, gaussian):
    rows = positions(problem, found.values, 20)
    covariance = (gaussian.axes * gaussian.sd**2) @ gaussian.axes.T
    np.testing.assert_allclose(
        found.log_q[0, :20], multivariate_normal(gaussian.mode, covariance).logpdf(rows), rtol=1e-8, atol=1e-6
    )
    np.testing.assert_allclose(found.log_p[0, :20], [-energy_of(problem)(row) for row in rows], rtol=1e-8, atol=1e-6)


def test_every_start_has_draws_of_every_site(problem, found):
    assert set(found.values) == set(problem.sites())
    assert all(leaf.shape[:2] == (2, 4000) and np.isfinite(leaf).all() for leaf in found.values.values())
    assert not found.interrupted
    rows = positions(problem, found.values, 200)
    assert np.linalg.matrix_rank(rows - rows.mean(0)) == rows.shape[1]


def test_modes_have_draws_of_their_own(found):
    assert np.ptp(found.log_q[0] - found.log_q[1]) > 1  # of the same unit normals they differ by a constant


def test_an_interrupt_keeps_the_modes_so_far(problem, starts, found):
    def stop_after(steps):
        def report(progress):
            if progress.done > steps:
                raise KeyboardInterrupt

        return report

    one = run(problem, starts, report=stop_after(SETTINGS.steps))
    assert one.interrupted
    jax.tree.map(lambda part, whole: np.testing.assert_array_equal(part, whole[:1]), one[:3], found[:3])
    with pytest.raises(KeyboardInterrupt, match="before the first mode"):
        run(problem, starts, report=stop_after(0))


def test_a_killed_run_goes_on_to_the_same_bits(problem, starts, found, tmp_path):
    assert killed(lambda journal: run(problem, starts, journal=journal), tmp_path, 1)
    again = run(problem, starts, journal=Folder(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, again, found)
