"""Variational approximations: their densities are those of the draws, and the weights that judge them are right."""

import jax
import numpy as np
import pytest
from endurance.journals import killed
from posterior.problems import problem_of

from bayesplat.checkpoint import Folder
from bayesplat.likelihoods import Normal
from bayesplat.posterior import svi
from bayesplat.posterior.approximation import Progress
from bayesplat.priors import RegularizedHorseshoe
from bayesplat.priors.sites import draw

# each guide takes half a minute to compile; one of them is in the tests of the API
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def problem():
    with jax.enable_x64(True):
        return problem_of(RegularizedHorseshoe(n_active=1.0), k=2, likelihood=Normal("varying", n_bumps=3))


@pytest.fixture(scope="module", params=["normal", "lowrank"])
def fitted(problem, request):
    """The name of a guide, its approximation, and where the optimisation stood after each chunk."""
    settings = svi.Settings(request.param, steps=1500, draws=4000, learning_rate=0.02)
    progress: list[Progress] = []
    with jax.enable_x64(True):
        start = draw(problem.sites(), jax.random.key(0))
        return request.param, svi.run_svi(problem, start, jax.random.key(1), settings, progress.append), progress


def test_densities_of_the_approximation_scatter_as_those_of_a_gaussian(problem, fitted):
    """Log density of a Gaussian at its own draws: minus half a chi-square with as many degrees of freedom as sites."""
    size = sum(int(np.prod(prior.shape())) for prior in problem.sites().values())
    assert fitted[1].log_q.shape == (1, 4000)
    np.testing.assert_allclose(fitted[1].log_q.var(), size / 2, rtol=0.15)


def test_the_weights_average_to_the_bound_that_was_optimised(fitted):
    _, found, progress = fitted
    assert [p.done for p in progress] == list(range(250, 1501, 250))
    np.testing.assert_allclose((found.log_p - found.log_q).mean(), -progress[-1].loss, atol=0.3)


def test_every_site_is_drawn(problem, fitted):
    values = fitted[1].values
    assert set(values) == set(problem.sites())
    assert all(leaf.shape[:2] == (1, 4000) and np.isfinite(leaf).all() for leaf in values.values())
    assert not fitted[1].interrupted


def test_a_killed_fit_goes_on_to_the_same_bits(problem, fitted, tmp_path):
    name, whole, _ = fitted

    def fit(journal):
        settings = svi.Settings(name, steps=1500, draws=4000, learning_rate=0.02)
        start = draw(problem.sites(), jax.random.key(0))
        return svi.run_svi(problem, start, jax.random.key(1), settings, journal=journal)

    with jax.enable_x64(True):
        assert killed(fit, tmp_path, 3)
        again = fit(Folder(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, again, whole)
