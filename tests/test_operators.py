"""Operators between f and the data: what they make of splats, and that a regression through one finds f."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import collapsed, model
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Box, Gaussian, StudentT, Wendland
from bayesplat.operators import Identity, SecondOrder
from bayesplat.priors import Ridge
from bayesplat.scales import family
from bayesplat.specification import Geometry

D, K, N = 2, 3, 40
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(N, D))
A = np.tril(0.05 * RNG.normal(size=(K, D, D))) + 0.2 * np.eye(D)
B = RNG.uniform(size=(K, D))
OPERATOR = SecondOrder(RNG.uniform(0.5, 1.0, N), RNG.normal(size=N))


@pytest.mark.parametrize("mother", [Gaussian(), StudentT(), Wendland()], ids=repr)
def test_columns_are_the_operator_applied_to_the_dense_measure(mother, x64):
    def apply(i):
        one = SplatMeasure.from_amplitude(np.ones((1, 1)), A[[i]], B[[i]], mother)
        return OPERATOR.diffusion * one.laplacian(X)[:, 0] + OPERATOR.potential * one(X)[:, 0]

    columns = OPERATOR.columns(A, B, X, mother)
    np.testing.assert_allclose(columns, np.stack([apply(i) for i in range(K)], 1), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(Identity().columns(A, B, X, mother)[:, 0], columns_of_heights(mother), rtol=1e-9)


def columns_of_heights(mother):
    return SplatMeasure.from_amplitude(np.ones((1, 1)), A[:1], B[:1], mother)(X)[:, 0]


def test_columns_move_as_finite_differences_say(x64):
    directions, step = family("full").directions(D), 1e-5
    along = OPERATOR.columns_along(A, B, X, Gaussian(), directions)
    for r, change in enumerate((*directions, *np.eye(D))):
        up, down = (moved(change, sign * step) for sign in (1, -1))
        np.testing.assert_allclose(along[r], (up - down) / (2 * step), rtol=1e-5, atol=1e-5)


def test_differences_at_a_resolution_are_derivatives_where_splats_are_wide(x64):
    directions = family("full").directions(D)
    for operator, mother in ((OPERATOR, Gaussian()), (Identity(), StudentT())):
        along = operator.columns_along(A, B, X, mother, directions)
        across = operator.columns_across(A, B, X, mother, directions, jnp.asarray(1e-5))
        np.testing.assert_allclose(across, along, rtol=1e-5, atol=1e-5)


def test_an_edge_between_data_is_felt_at_their_distance(x64):
    """A box moved by one spacing passes one datum with each edge: 1 / spacing^2 each, where derivatives see nothing."""
    n, box, half = 40, Box(2000), 0.2
    x = (np.arange(n) + 0.5)[:, None] / n
    scale, centre = np.array([[[half / box.radius(1)]]]), np.array([[0.504]])  # edges between two data
    directions = family("full").directions(1)
    along = Identity().columns_along(scale, centre, x, box, directions)
    across = Identity().columns_across(scale, centre, x, box, directions, jnp.asarray(1 / n))
    np.testing.assert_allclose(along, 0.0, atol=1e-10)
    wider, aside = np.sum(np.asarray(across) ** 2, 1)[:, 0] / scale[0, 0, 0] ** 2
    np.testing.assert_allclose(aside, 2 * n**2, rtol=1e-6)
    assert 1 <= wider / aside <= 2  # as wide as that, one or two data with each edge


def moved(change, step):
    if change.ndim == 2:
        return OPERATOR.columns(A @ (np.eye(D) + step * change), B, X, Gaussian())
    return OPERATOR.columns(A, B + step * A @ change, X, Gaussian())


def test_a_regression_through_an_operator_finds_the_masses(x64):
    """Data are L f for a known f; the same data read as values of f itself give other masses."""
    spec, truth = model.Specification(K, Ridge(), trend="none"), np.array([1.0, -2.0, 0.5])
    y = np.asarray(OPERATOR.columns(A, B, X, Gaussian()) @ truth)

    def masses(operator):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model, "_overlap", lambda *_: jnp.asarray(0.15, float))
            problem = model.bind(spec, X, y, spec.likelihood.field(X), operator)
        columns = problem.features(Geometry(jnp.asarray(A), jnp.asarray(B), jnp.zeros(K)))
        system = collapsed.factor(columns, jnp.full(K, 10.0), problem.y, jnp.full(N, 1e-4), problem.observed)
        return collapsed.mean_coefficients(system)

    np.testing.assert_allclose(masses(OPERATOR), truth, atol=1e-5)
    assert not np.allclose(masses(None), truth, atol=0.1)


def test_trends_pass_through(x64):
    columns = np.ones((N, 1))
    np.testing.assert_array_equal(Identity().trend(columns), columns)
    np.testing.assert_array_equal(OPERATOR.trend(columns)[:, 0], OPERATOR.potential)
    assert jax.tree.leaves(Identity()) == []
