import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables import MOTHERS

from bayesplat._checks import BayesplatError
from bayesplat.mothers import Box, Gaussian, Laplace, StudentT

mothers = pytest.mark.parametrize("mother", MOTHERS.values(), ids=MOTHERS.keys())
dims = pytest.mark.parametrize("d", [1, 2, 5])
few_dims = pytest.mark.parametrize("d", [1, 3])  # where the dimension enters through constants alone


def radial_integral(mother, d, power):
    """The integral of |z|^power rho(z) over R^d along a random ray, by the trapezoid rule in log r."""
    ray = np.random.default_rng(d).normal(size=d)
    ray /= np.linalg.norm(ray)
    log_r, step = np.linspace(-20.0, 25.0, 40_001, retstep=True)
    r = np.exp(log_r)
    density = np.asarray(jax.jit(jax.vmap(mother.density))(jnp.asarray(r[:, None] * ray)))
    sphere = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    return sphere * step * np.sum(density * r ** (power + d))


@mothers
@dims
def test_mass_is_one(mother, d, x64):
    assert radial_integral(mother, d, 0) == pytest.approx(1.0, abs=1e-7)


@mothers
@dims
def test_covariance_is_identity_where_it_exists(mother, d, x64):
    if mother.has_covariance(d):  # radial, so the covariance is a multiple of the identity with trace E |z|^2
        assert radial_integral(mother, d, 2) == pytest.approx(d, rel=1e-7)
    else:
        assert mother == StudentT(1.5)
        assert mother.radius(d) == 1.0


@mothers
@few_dims
def test_density_depends_on_the_distance_alone(mother, d, x64):
    z, other = np.random.default_rng(0).normal(size=(2, d)) * 0.5
    other *= np.linalg.norm(z) / np.linalg.norm(other)
    assert mother.density(z) > 0
    np.testing.assert_allclose(mother.density(other), mother.density(z), rtol=1e-12)  # mean 0 follows with other = -z


@mothers
@few_dims
def test_heights_densities_and_their_logs_agree(mother, d, x64):
    z = np.random.default_rng(1).normal(size=d) * 0.5
    height = mother.height(jnp.vdot(z, z), d)
    np.testing.assert_allclose(mother.density(z), np.exp(mother.log_peak(d)) * height, rtol=1e-12)
    np.testing.assert_allclose(mother.log_density(z), np.log(mother.density(z)), rtol=1e-10)
    np.testing.assert_allclose(mother.height(np.zeros(()), d), 1.0, rtol=1e-9)


@mothers
@few_dims
def test_explicit_gradients_equal_autodiff(mother, d, x64):
    z = np.random.default_rng(2).normal(size=d) * 0.5
    scale = mother.radius(d) ** 2

    @jax.jit
    def pairs(z, t):
        slope = jax.vmap(jax.grad(lambda t: mother.log_profile(t, d)))(t)
        by_rule = jax.vmap(jax.grad(lambda q: mother.height(q, d)))(t)
        by_autodiff = jax.vmap(jax.grad(lambda q: mother.profile(q / scale, d)))(t)
        gradient = jax.grad(mother.log_density)(z)
        return (mother.grad_log_density(z), gradient), (mother.slope(t, d), slope), (by_rule, by_autodiff)

    for explicit, autodiff in pairs(z, jnp.array([0.01, 0.3, 0.9])):
        np.testing.assert_allclose(explicit, autodiff, rtol=1e-9)


@mothers
def test_jit_equals_eager(mother):
    q = jnp.linspace(0.0, 9.0, 20)
    jitted = jax.jit(type(mother).height, static_argnums=(0, 2))(mother, q, 2)
    np.testing.assert_allclose(jitted, mother.height(q, 2), rtol=1e-6)
    assert hash(mother) == hash(type(mother)(**vars(mother)))


@mothers
def test_two_derivatives_are_finite_everywhere(mother, dtype):
    d = 2
    q = jnp.array([0.0, 1e-12, 1e-3, 1.0, 30.0, 1e4, 1e8], dtype)
    slope = jax.grad(lambda q: mother.height(q, d))

    @jax.jit
    def derivatives(q, far, z):
        on_profile = [jax.vmap(f)(q) for f in (lambda q: mother.height(q, d), slope, jax.grad(slope))]
        at_centre = [f(z) for f in (mother.density, jax.grad(mother.density), jax.hessian(mother.density))]
        return [*on_profile, jax.vmap(slope)(far), *at_centre, mother.log_density(z), mother.grad_log_density(z)]

    for values in derivatives(q, jnp.array([1e20, 1e30], dtype), jnp.zeros(d, dtype)):
        assert values.dtype == dtype
        assert np.isfinite(values).all()


@pytest.mark.parametrize("mother", [m for m in MOTHERS.values() if not isinstance(m, Laplace)], ids=repr)
def test_curvature_at_the_centre_is_accurate(mother, dtype):
    """Autodiff through r = sqrt(t) would give 0 here in float32; a Laplace splat has a cusp instead."""
    curvature = np.asarray(jax.jit(jax.hessian(mother.density))(jnp.zeros(2, dtype)))
    step = 1e-2
    with jax.enable_x64(True):
        z = jnp.array([[0.0, 0.0], [step, 0.0]])
        centre, beside = np.asarray(jax.jit(jax.vmap(mother.density))(z))
    expected = 2 * (beside - centre) / step**2
    # The difference quotient of the least smooth mother (a cubic term in r) is off by a multiple of the step.
    np.testing.assert_allclose(curvature, expected * np.eye(2), rtol=5 * step, atol=1e-6)


@mothers
def test_constants_are_finite_in_twenty_dimensions(mother):
    assert math.isfinite(mother.log_peak(20))
    assert 0 < mother.radius(20) < math.inf


def test_gaussian_is_the_standard_normal(x64):
    z = np.array([0.3, -1.2, 0.5])
    expected = np.exp(-0.5 * np.sum(z**2)) / (2 * np.pi) ** 1.5
    np.testing.assert_allclose(Gaussian().density(z), expected, rtol=1e-13)


@pytest.mark.parametrize(("mother", "value"), [(StudentT, 0.0), (StudentT, -1.0), (Box, 0)])
def test_impossible_shapes_are_refused(mother, value):
    with pytest.raises(BayesplatError):
        mother(value)
