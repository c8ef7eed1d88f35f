import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables import MIXED, MOTHERS

from bayesplat._checks import BayesplatError
from bayesplat.mothers import Box, Gaussian, Laplace, Mixed, StudentT

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


@dims
@pytest.mark.parametrize("df", [1e9, 1e14])
def test_mass_is_one_however_light_the_tails(df, d, x64):
    mother = StudentT(df)
    assert radial_integral(mother, d, 0) == pytest.approx(1.0, abs=1e-6)
    assert radial_integral(mother, d, 2) == pytest.approx(d, rel=1e-6)


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


# ---------------------------------------------------------------- several mothers in turn


@pytest.mark.parametrize("d", [1, 3])
def test_mixed_splats_have_their_mothers_in_turn(d, x64):
    q = jnp.linspace(0.0, 6.0, 4 * 7).reshape(4, 7)  # seven splats: shares need not be equal
    for look in (lambda one, q: one.height(q, d), lambda one, q: one.log_profile(q / one.radius(d) ** 2, d)):
        found = look(MIXED, q)
        for i in range(7):
            np.testing.assert_allclose(found[:, i], look(MIXED.mothers[i % 3], q[:, i]), rtol=1e-12)
    np.testing.assert_allclose(MIXED.log_peaks(7, d), [MIXED.mothers[i % 3].log_peak(d) for i in range(7)])


def test_the_mother_of_a_slot_may_be_traced(x64):
    height = jax.jit(lambda slot: MIXED.in_slot(slot, lambda one: one.height(jnp.array([0.7]), 1)))
    expected = [one.height(jnp.array([0.7]), 1) for one in MIXED.mothers]
    np.testing.assert_allclose([height(slot) for slot in range(6)], expected * 2, rtol=1e-12)
    assert Gaussian().in_slot(jnp.asarray(5), lambda one: one) == Gaussian()


@pytest.mark.parametrize("mother", [Box(64), Mixed((StudentT(), Box(64)))], ids=repr)
def test_far_tails_do_not_spoil_gradients(mother, x64):
    """Out there the slope of a sharp box overflows: 0 times that would be NaN, of its own splat and of others."""
    q = jnp.array([1e6, 1e6, 0.1])
    assert np.isinf(Box(64).slope(q, 1)[0])

    def slopes(q):
        return jnp.sum(jax.jvp(lambda q: mother.height(q, 1), (q,), (jnp.ones(3),))[1])

    assert np.isfinite(jax.jit(jax.grad(slopes))(q)).all()


def test_a_mother_is_crowded_when_all_its_splats_live():
    live = np.array([True, False, True, True])
    assert not Gaussian().crowded(live)
    assert Gaussian().crowded(live[2:])
    assert Mixed((Gaussian(), Box())).crowded(live)
    assert not Mixed((Gaussian(), Box())).crowded(np.array([True, False, False, True]))


def test_mixed_mothers_have_a_covariance_if_all_have():
    assert MIXED.has_covariance(2)
    assert not Mixed((Gaussian(), StudentT(1.0))).has_covariance(2)


@pytest.mark.parametrize("few", [(), (Gaussian(),), (Gaussian(), Box), (Gaussian(), MIXED), Gaussian(), "Box"])
def test_mixing_takes_two_or_more_single_mothers(few):
    # past __init__, where the run-time type checks of the tests would refuse it first
    mixed = Mixed((Gaussian(), Box()))
    object.__setattr__(mixed, "mothers", few)
    with pytest.raises(BayesplatError, match="two or more single mothers"):
        mixed.__post_init__()


def test_a_list_of_mothers_is_as_good_as_a_tuple():
    mixed = Mixed((Gaussian(), Box()))
    object.__setattr__(mixed, "mothers", [Gaussian(), Box()])
    mixed.__post_init__()
    assert mixed == Mixed((Gaussian(), Box()))
    assert hash(mixed) == hash(Mixed((Gaussian(), Box())))


def test_what_only_a_single_mother_has_is_refused():
    with pytest.raises(BayesplatError, match="a single mother"):
        MIXED.log_peak(1)
    with pytest.raises(BayesplatError, match="has no place in Mixed"):
        MIXED.height(jnp.zeros(()), 2)
