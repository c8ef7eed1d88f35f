import jax
import numpy as np
import pytest
from scipy import integrate, stats

from bayesplat.priors import Repulsive, Ridge
from bayesplat.priors.repulsion import log_bhattacharyya, log_repulsion

K = 5
RNG = np.random.default_rng(0)
A = 0.2 * np.tril(RNG.uniform(0.5, 1.5, size=(K, 2, 2)))
B = RNG.uniform(size=(K, 2))
ENERGY = 27.6  # nats of two splats in one place: -log(1e-12)


@pytest.fixture(scope="module")
def repulsion():
    """The log repulsion of five splats in two dimensions, compiled once."""
    with jax.enable_x64(True):
        compiled = jax.jit(jax.value_and_grad(log_repulsion, argnums=(0, 1)))
        yield lambda A, b: jax.tree.map(np.asarray, compiled(A, b))


coefficients = jax.jit(lambda A, b: log_bhattacharyya(A, b, A, b))


def closed_form(s, m, t, n):
    """Log Bhattacharyya coefficient of N(m, s^2) and N(n, t^2)."""
    return -0.25 * (m - n) ** 2 / (s**2 + t**2) + 0.5 * np.log(2 * s * t / (s**2 + t**2))


def test_coefficients_in_one_dimension(x64):
    s, m = np.array([0.1, 0.3, 0.1]), np.array([0.0, 0.2, 0.05])
    found = coefficients(s[:, None, None], m[:, None])
    expected = closed_form(s[:, None], m[:, None], s[None, :], m[None, :])
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(np.diagonal(found), 0.0, atol=1e-14)


def test_coefficients_in_two_dimensions_are_the_integral(x64):
    first, second = (stats.multivariate_normal(B[i], A[i] @ A[i].T) for i in (0, 1))
    axes = [np.linspace(-2, 3, 401)] * 2
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    product = np.sqrt(first.pdf(grid) * second.pdf(grid))
    expected = np.log(integrate.simpson(integrate.simpson(product, x=axes[1]), x=axes[0]))
    np.testing.assert_allclose(coefficients(A, B)[0, 1], expected, rtol=1e-6)


def test_repulsion_is_the_product_over_pairs(repulsion):
    with jax.enable_x64(True):
        c = np.exp(coefficients(A, B))
    expected = sum(np.log(1 - c[i, j] ** 2) for i in range(K) for j in range(i))
    np.testing.assert_allclose(repulsion(A, B)[0], expected, rtol=1e-9)
    assert expected < -0.1


@pytest.mark.parametrize("shear", [1.0, 20.0, 25.0])
def test_gradients_of_strongly_sheared_splats_are_numbers(shear, repulsion):
    """Of a correlation that rounds to 1 nothing is left on the diagonal of the factor but rounding."""
    with jax.enable_x64(True):
        sheared = A.copy()
        sheared[:2] = 0.2 * np.array([[1.0, 0.0], [np.tanh(shear), 1 / np.cosh(shear)]])
        value, gradients = repulsion(sheared, B)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_dead_splats_repel_nobody(x64):
    live = np.array([True, False, True, True, False])
    found, gradient = jax.jit(jax.value_and_grad(lambda b: log_repulsion(A, b, live)))(B)
    np.testing.assert_allclose(found, log_repulsion(A[live], B[live]), rtol=1e-12)
    assert not np.asarray(gradient)[~live].any()
    assert np.asarray(gradient)[live].all()


def test_order_does_not_matter(repulsion):
    order = np.array([3, 1, 4, 0, 2])
    value, (grad_A, grad_b) = repulsion(A, B)
    again, (again_A, again_b) = repulsion(A[order], B[order])
    np.testing.assert_allclose(again, value, rtol=1e-12)
    np.testing.assert_allclose(again_A, grad_A[order], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(again_b, grad_b[order], rtol=1e-9, atol=1e-12)


def test_identical_splats_cost_much_and_remote_ones_nothing(repulsion):
    far = 100.0 * np.arange(K)[:, None] * np.ones((1, 2))
    np.testing.assert_allclose(repulsion(A, far)[0], 0.0, atol=1e-9)
    twins, together = A.copy(), far.copy()
    twins[1], together[1] = A[0], far[0]
    value, gradients = repulsion(twins, together)
    np.testing.assert_allclose(value, -ENERGY, atol=0.1)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_strength_is_the_exponent(x64, repulsion):
    found = jax.jit(Repulsive(Ridge(), 3.0).log_penalty)(A, B)
    np.testing.assert_allclose(found, 3.0 * repulsion(A, B)[0], rtol=1e-12)
    assert Ridge().log_penalty(A, B) == 0.0
