"""What must not change a fit: the order of rows and of splats, the units of x and y, and rows given twice."""

import jax
import jax.numpy as jnp
import made_up
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posterior.problems import N, problem_of

import bayesplat as bs
from bayesplat import collapsed
from bayesplat.priors.sites import draw

K = 4
EXCHANGEABLE = {
    "flat": bs.Flat(),
    "ridge": bs.Ridge(),
    "horseshoe": bs.RegularizedHorseshoe(n_active=2),
    "R2D2": bs.R2D2(),
    "repulsive": bs.Repulsive(bs.Ridge()),
}
"""Priors that know no first splat; stick-breaking does."""

seeds = st.integers(0, 2**31 - 1)
few = settings(max_examples=20, deadline=None, derandomize=True, database=None)


def with_rows(problem, rows):
    """The problem with its rows in this order, or some of them more than once."""
    n = problem.x.shape[0]
    return jax.tree.map(lambda part: part[rows] if jnp.ndim(part) and part.shape[0] == n else part, problem)


@pytest.mark.parametrize("prior", EXCHANGEABLE)
def test_the_density_knows_no_order(x64, prior):
    problem = problem_of(EXCHANGEABLE[prior], K, trend="linear")
    sites = problem.sites()

    @few
    @given(seeds)
    def check(seed):
        rng = np.random.default_rng(seed)
        values = draw(sites, jax.random.key(seed))
        expected = problem.log_joint(values)
        np.testing.assert_allclose(with_rows(problem, rng.permutation(N)).log_joint(values), expected, rtol=1e-7)
        order = rng.permutation(K)
        permuted = {name: v[order] if jnp.ndim(v) and v.shape[0] == K else v for name, v in values.items()}
        np.testing.assert_allclose(problem.log_joint(permuted), expected, rtol=1e-7)

    check()


def test_a_row_given_twice_counts_as_one_of_half_the_variance(x64):
    problem = problem_of(bs.Ridge(), K)
    twice = with_rows(problem, np.r_[:N, :N])

    @few
    @given(seeds)
    def check(seed):
        values = draw(problem.sites(), jax.random.key(seed))
        features, scales = problem.features(problem.geometry(values)), jnp.full(K + 1, 0.7)
        sd = jnp.full(N, values["sigma"])
        one = collapsed.factor(features, scales, problem.y, sd, problem.observed)
        doubled = twice.features(twice.geometry(values))
        two = collapsed.factor(doubled, scales, twice.y, jnp.sqrt(2.0) * jnp.r_[sd, sd], twice.observed)
        for part in (collapsed.mean_coefficients, collapsed.variances):
            np.testing.assert_allclose(part(two), part(one), rtol=1e-6, atol=1e-9)

    check()


UNITS = {
    "tiny x, huge y": (1e-9, 3e-9, 1e9, -1e10),
    "huge x, tiny y": (1e9, 0.0, 1e-9, 0.0),
    "both turned round": (-2.5, 7.0, -3.0, 100.0),
}
"""Factor and offset of x, then of y."""

GRID = np.linspace(10.0, 30.0, 50)


@pytest.fixture(scope="module")
def bump():
    """The data, a function that fits and predicts, the point fit's sigma, and its f on the grid."""
    model = bs.SplatModel(3, prior=bs.Ridge())

    def fit(x, y):
        return model.fit(x, y, starts=2, progress=False)

    x, y = made_up.bump()
    found = fit(x, y)
    return x, y, fit, found.sigma, found.predict(GRID)


def test_rows_in_another_order_give_the_same_fit(bump):
    x, y, fit, sigma, f = bump
    order = np.random.default_rng(1).permutation(x.size)
    np.testing.assert_allclose(fit(x[order], y[order]).predict(GRID), f, atol=1e-3 * sigma)


@pytest.mark.parametrize("units", UNITS)
def test_other_units_give_the_same_fit(bump, units):
    x, y, fit, sigma, f = bump
    a, b, c, e = UNITS[units]
    again = (fit(a * x + b, c * y + e).predict(a * GRID + b) - e) / c
    np.testing.assert_allclose(again, f, atol=1e-3 * sigma)


def test_rows_given_twice_give_a_fit_within_the_noise(bump):
    x, y, fit, sigma, f = bump
    again = fit(np.r_[x, x], np.r_[y, y])
    np.testing.assert_allclose(again.predict(GRID), f, atol=0.2 * sigma)  # twice the data: surer of the same
    assert again.sigma < sigma


def test_other_units_give_the_same_posterior():
    x, y = made_up.bump()
    model, budget = bs.SplatModel(3, prior=bs.Ridge()), {"method": "laplace", "chains": 2, "draws": 50}
    one = model.sample(x, y, **budget).predict(GRID, kind="observation")
    a, b, c, e = UNITS["tiny x, huge y"]
    two = model.sample(a * x + b, c * y + e, **budget).predict(a * GRID + b, kind="observation")
    for part in ("mean", "lower", "upper"):
        np.testing.assert_allclose((getattr(two, part) - e) / c, getattr(one, part), atol=1e-6)
