"""Bures-Wasserstein geometry against matrix square roots by SciPy, and flows whose solution is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import expm, sqrtm

from bayesplat.flow.measure_space import bures, transport

D = 3
RNG = np.random.default_rng(0)
FIRST, SECOND = (np.tril(0.4 * RNG.normal(size=(D, D)), -1) + np.diag(RNG.uniform(0.5, 1.5, D)) for _ in range(2))
CENTRES = RNG.normal(size=(2, D))


def covariance(A):
    return A @ A.T


def distance(S, T):
    """Bures distance between covariances, from the definition."""
    root = sqrtm(S)
    return np.sqrt(np.trace(S + T - 2 * np.real(sqrtm(root @ T @ root))))


def test_distance_is_that_between_gaussians(x64):
    scales, centres = distance(covariance(FIRST), covariance(SECOND)), np.linalg.norm(CENTRES[0] - CENTRES[1])
    found = bures.distance(FIRST, CENTRES[0], SECOND, CENTRES[1])
    np.testing.assert_allclose(found, np.hypot(scales, centres), rtol=1e-10)


def test_logarithm_is_the_optimal_map_less_the_identity(x64):
    """T = Sigma^(-1/2) (Sigma^(1/2) Sigma' Sigma^(1/2))^(1/2) Sigma^(-1/2)."""
    root = sqrtm(covariance(FIRST))
    inverse = np.linalg.inv(root)
    T = inverse @ sqrtm(root @ covariance(SECOND) @ root) @ inverse
    S = bures.logarithm(FIRST, SECOND)
    np.testing.assert_allclose(S, T - np.eye(D), atol=1e-12)
    np.testing.assert_allclose(bures.exponential(FIRST, S), SECOND, atol=1e-12)


def test_curves_of_the_exponential_are_geodesics_until_they_fold(x64):
    """Distance travelled is t |S A|_F, for small and moderate t; not once I + t S has lost its positivity."""
    S = bures.logarithm(FIRST, SECOND)
    speed = np.linalg.norm(S @ FIRST)
    fold = -1 / np.linalg.eigvalsh(S).max()

    def travelled(t):
        return distance(covariance(FIRST), covariance(np.asarray(bures.exponential(FIRST, t * S))))

    for t in (1e-3, 0.3, 1.0, 0.95 * fold):
        np.testing.assert_allclose(travelled(t), abs(t) * speed, rtol=1e-7)
    assert travelled(1.5 * fold) < 0.99 * 1.5 * abs(fold) * speed


def half_square(A):
    """Half the squared distance to a target."""
    return 0.5 * bures.distance(A, jnp.zeros(D), SECOND, jnp.zeros(D)) ** 2


def divergence(A):
    """KL(N(0, A A^T) | N(0, target)) up to a constant."""
    return 0.5 * jnp.sum(jnp.linalg.solve(SECOND, A) ** 2) - jnp.sum(jnp.log(jnp.diagonal(A)))


def test_gradient_from_the_lower_triangle(x64):
    """2 dphi/dSigma: known for a quadratic form, the divergence and the squared distance (minus the logarithm)."""
    M = covariance(RNG.normal(size=(D, D)))
    inverse = np.linalg.inv
    cases = [
        (lambda A: jnp.sum(M * (A @ A.T)), 2 * M),
        (divergence, inverse(covariance(SECOND)) - inverse(covariance(FIRST))),
        (half_square, -np.asarray(bures.logarithm(FIRST, SECOND))),
    ]
    for phi, expected in cases:
        dA = np.tril(jax.grad(phi)(jnp.asarray(FIRST)))
        np.testing.assert_allclose(bures.gradient(FIRST, dA), expected, atol=1e-10)
        assert not np.allclose(dA @ inverse(FIRST), expected, atol=1e-2)  # the triangle alone is not the gradient


@jax.jit
def fallen(start, dt, which):
    """A after descending for a time of 1 in the Bures metric, along either functional."""
    slope = jax.grad(lambda A: jax.lax.cond(which, half_square, divergence, A))

    def step(_, A):
        return transport.bures(A[None], jnp.tril(slope(A))[None], dt)[0]

    return jax.lax.fori_loop(0, jnp.round(1 / dt).astype(int), step, start)


def test_flow_of_the_squared_distance_runs_along_the_geodesic(x64):
    """Each step goes the share dt of the way that is left, so (1 - dt)^steps of it remain."""
    S = bures.logarithm(FIRST, SECOND)
    for dt in (0.2, 0.05):
        way = 1 - (1 - dt) ** round(1 / dt)
        np.testing.assert_allclose(fallen(FIRST, dt, True), bures.exponential(FIRST, way * S), atol=1e-10)


def test_flow_of_the_divergence_is_that_of_ornstein_and_uhlenbeck(x64):
    """Sigma_t = Sigma* + e^(-t P) (Sigma_0 - Sigma*) e^(-t P), P the target's precision; the error halves with dt."""
    target = covariance(SECOND)
    decay = expm(-np.linalg.inv(target))
    solution = target + decay @ (covariance(FIRST) - target) @ decay
    errors = [np.abs(covariance(np.asarray(fallen(FIRST, dt, False))) - solution).max() for dt in (0.002, 0.001)]
    assert errors[1] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
