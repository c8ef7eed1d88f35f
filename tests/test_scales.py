import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import LKJCholesky
from tables import SCALES

from bayesplat._checks import BayesplatError
from bayesplat.scales import Diag, Full, Spherical, family, inverse

scales = pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES.keys())
dims = pytest.mark.parametrize("d", [1, 2, 10])


def coordinates(scale, d, dtype=float):
    rng = np.random.default_rng(d)
    log_lengths, shears = rng.normal(size=scale.n_lengths(d)) - 1, 0.7 * rng.normal(size=scale.n_shears(d))
    return jnp.asarray(log_lengths, dtype), jnp.asarray(shears, dtype)


@scales
@dims
def test_constrained_scales_are_lower_triangular_with_their_determinant(scale, d, x64):
    A, log_det = jax.jit(scale.constrain, static_argnums=2)(*coordinates(scale, d), d)
    np.testing.assert_array_equal(np.triu(A, 1), 0.0)
    assert (np.diagonal(A) > 0).all()
    np.testing.assert_allclose(log_det, np.linalg.slogdet(A)[1], rtol=1e-12)


@scales
@dims
def test_unconstrain_inverts_constrain(scale, d, dtype):
    expected = coordinates(scale, d, dtype)
    found = jax.jit(lambda *both: scale.unconstrain(scale.constrain(*both, d)[0]))(*expected)
    for before, after in zip(expected, found, strict=True):
        assert after.dtype == dtype
        np.testing.assert_allclose(after, before, rtol=200 * jnp.finfo(dtype).eps, atol=20 * jnp.finfo(dtype).eps)


@scales
@dims
def test_inverse_is_lower_triangular_and_exact_to_rounding(scale, d, dtype):
    A, _ = scale.constrain(*coordinates(scale, d, dtype), d)
    found = jax.jit(inverse)(A)
    assert found.dtype == dtype
    np.testing.assert_array_equal(np.triu(found, 1), 0.0)
    bound = np.linalg.cond(A) * 10 * jnp.finfo(dtype).eps
    np.testing.assert_allclose(np.asarray(A) @ found, np.eye(d), atol=bound)


@scales
@dims
def test_log_jacobian_equals_autodiff(scale, d, x64):
    log_lengths, shears = coordinates(scale, d)
    free = {"Spherical": ([0], [0]), "Diag": np.diag_indices(d), "Full": np.tril_indices(d)}[type(scale).__name__]

    def entries(both):
        return scale.constrain(both[: log_lengths.size], both[log_lengths.size :], d)[0][free]

    jacobian = jax.jit(jax.jacfwd(entries))(jnp.concatenate([log_lengths, shears]))
    np.testing.assert_allclose(scale.log_jacobian(log_lengths, shears, d), np.linalg.slogdet(jacobian)[1], rtol=1e-10)


@scales
@dims
def test_gradients_are_finite_at_zero_and_at_strong_shears(scale, d):
    dtype = jnp.float32  # the harder case
    lengths = jnp.zeros(scale.n_lengths(d), dtype)

    def total(log_lengths, shears):
        A, log_det = scale.constrain(log_lengths, shears, d)
        log_density = scale.log_jacobian(log_lengths, shears, d) + scale.log_lkj(shears, d, 2.0)
        return jnp.sum(A) + log_det + log_density + sum(map(jnp.sum, scale.unconstrain(A)))

    gradient = jax.jit(jax.grad(total, (0, 1)))
    for strength in (0.0, 2.0, -2.0):
        gradients = gradient(lengths, jnp.full(scale.n_shears(d), strength, dtype))
        assert all(np.isfinite(part).all() for part in gradients)


@scales
@pytest.mark.parametrize("d", [1, 2, 3])
def test_directions_span_the_family(scale, d, x64):
    """A^-1 dA for the coordinates of A: as many directions as coordinates, each a combination of the L_s and back."""
    log_lengths, shears = coordinates(scale, d)
    A, (by_length, by_shear) = jax.jit(
        lambda *at: (scale.constrain(*at, d)[0], jax.jacfwd(lambda *at: scale.constrain(*at, d)[0], (0, 1))(*at))
    )(log_lengths, shears)
    relative = np.linalg.solve(A, np.moveaxis(np.concatenate([by_length, by_shear], 2), 2, 0)).reshape(-1, d * d)
    L = scale.directions(d).reshape(-1, d * d)
    assert len(L) == len(relative) == np.linalg.matrix_rank(L) == np.linalg.matrix_rank(relative)
    assert np.linalg.matrix_rank(np.concatenate([L, relative]), tol=1e-10) == len(L)
    sheared = np.tri(d, k=-1).reshape(1, -1)
    assert (np.linalg.matrix_rank(np.concatenate([L, sheared])) > len(L)) == (d > 1 and not isinstance(scale, Full))


@pytest.mark.parametrize("d", [2, 5])
def test_lkj_equals_numpyro(d, x64):
    scale, lower = Full(), np.tril_indices(d, -1)
    _, shears = coordinates(scale, d)

    def cholesky(shears):
        return scale.constrain(jnp.zeros(d), shears, d)[0]

    @jax.jit
    def both(concentration):
        # A correlation has d (d - 1) / 2 free entries: those below the diagonal of its Cholesky factor.
        jacobian = jax.jacfwd(lambda w: cholesky(w)[lower])(shears)
        expected = LKJCholesky(d, concentration).log_prob(cholesky(shears)) + jnp.linalg.slogdet(jacobian)[1]
        return scale.log_lkj(shears, d, concentration), expected

    for concentration in (0.5, 1.0, 4.0):
        np.testing.assert_allclose(*both(concentration), rtol=1e-10)


def test_lkj_alpha_follows_the_columns():
    np.testing.assert_allclose(Full().lkj_alpha(4, 1.0), [2.0, 2.0, 1.5, 2.0, 1.5, 1.0])


def test_families_coincide_in_one_dimension():
    A = jnp.full((1, 1), 0.3)
    for scale in SCALES.values():
        log_lengths, shears = scale.unconstrain(A)
        assert shears.shape == (0,)
        np.testing.assert_allclose(scale.constrain(log_lengths, shears, 1)[0], A, rtol=1e-6)
        assert scale.log_lkj(shears, 1, 2.0) == 0.0


def test_scales_outside_a_family_are_approximated(x64):
    A = Full().constrain(*coordinates(Full(), 3), 3)[0]
    diag = Diag().constrain(*Diag().unconstrain(A), 3)[0]
    np.testing.assert_allclose(jnp.diagonal(diag @ diag.T), jnp.diagonal(A @ A.T), rtol=1e-12)
    spherical = Spherical().constrain(*Spherical().unconstrain(A), 3)[0]
    np.testing.assert_allclose(jnp.linalg.det(spherical), jnp.linalg.det(A), rtol=1e-12)


def test_families_are_named():
    assert {name: family(name) for name in SCALES} == SCALES
    with pytest.raises(BayesplatError, match="covariance"):
        family("tied")
