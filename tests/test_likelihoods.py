from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from statistical import P_VALUE, law_p_value
from tables import LIKELIHOODS

from bayesplat._checks import BayesplatError
from bayesplat.likelihoods import FLOOR, Normal, StudentT, noise_field

SD, MEAN = 0.4, 0.3
VARIANCES = (0.0, 0.5)
Y, STEP = np.linspace(-1000, 1000, 200_001, retstep=True)  # wide enough for the tails of Student-t with df = 4
CENTRE = np.abs(Y - MEAN) < 5
# how far y lies from the mean, in noise sds: outliers are what Student-t is for
NEAR, FAR = np.array([0.0, 0.5, 1.0, 3.0, 5.0]), np.array([0.0, 1.0, 5.0, 20.0, 100.0, 1e5])

laws = pytest.mark.parametrize("likelihood", [Normal(), StudentT(), StudentT(df=30.0), StudentT(df=2.2)], ids=repr)
rows = pytest.mark.parametrize("name", LIKELIHOODS)
variances = pytest.mark.parametrize("var", VARIANCES)


def noise(likelihood, scale=SD):
    """The law of y - f by SciPy."""
    return stats.t(likelihood.df, scale=scale) if isinstance(likelihood, StudentT) else stats.norm(scale=scale)


def some_y(likelihood):
    """A few y on both sides of the mean."""
    away = SD * (FAR if isinstance(likelihood, StudentT) else NEAR)
    return MEAN + np.concatenate([-away, away])


def given(y):
    """The arguments (y, f, sd)."""
    return y, MEAN + 0 * y, SD + 0 * y


def smoothed(function, var, y):
    """E[function(y - f)] over f ~ N(MEAN, var), by the trapezoid rule."""
    f, step = np.linspace(-9, 9, 4001, retstep=True)
    weight = step * stats.norm.pdf(f)
    return np.array([weight @ function(one - MEAN - np.sqrt(var) * f) for one in np.atleast_1d(y)])


@lru_cache
def compiled(likelihood):
    return jax.jit(likelihood.log_predictive), jax.jit(likelihood.log_density), jax.jit(likelihood.cdf)


def log_predictive(likelihood, y, var):
    return jax.tree.map(np.asarray, compiled(likelihood)[0](y, MEAN + 0 * y, var + 0 * y, SD + 0 * y))


def log_density(likelihood, y):
    return np.asarray(compiled(likelihood)[1](*given(y)))


def cdf(likelihood, y):
    return np.asarray(compiled(likelihood)[2](*given(y)))


@laws
@variances
def test_predictive_density_and_cdf_equal_quadrature(likelihood, var, x64):
    y = some_y(likelihood)
    density, below = log_predictive(likelihood, y, var)
    np.testing.assert_allclose(density, np.log(smoothed(noise(likelihood).pdf, var, y)), atol=1e-5)
    np.testing.assert_allclose(below, smoothed(noise(likelihood).cdf, var, y), atol=1e-7)
    wrong = np.log(smoothed(noise(likelihood, 1.02 * SD).pdf, var, y))
    assert np.abs(density - wrong).max() > 1e-3


@rows
def test_scale_mixture_integrates_to_the_density(name, x64):
    likelihood, y = LIKELIHOODS[name], some_y(LIKELIHOODS[name])
    density, below = log_predictive(likelihood, y, 0.0)
    np.testing.assert_allclose(log_density(likelihood, y), density, atol=1e-5)
    np.testing.assert_allclose(cdf(likelihood, y), below, atol=1e-7)


@rows
def test_cdf_is_the_integral_of_the_density(name, x64):
    likelihood = LIKELIHOODS[name]
    density = np.exp(log_density(likelihood, Y))
    below = STEP * (np.cumsum(density) - 0.5 * density)
    np.testing.assert_allclose(cdf(likelihood, Y)[CENTRE], below[CENTRE], rtol=0, atol=3e-5)
    np.testing.assert_allclose(below[-1], 1.0, atol=1e-5)


@rows
def test_density_equals_scipy(name, x64):
    likelihood, y = LIKELIHOODS[name], some_y(LIKELIHOODS[name])
    np.testing.assert_allclose(log_density(likelihood, y), noise(likelihood).logpdf(y - MEAN), rtol=1e-10)
    np.testing.assert_allclose(likelihood.variance(np.full(1, SD)), noise(likelihood).var(), rtol=1e-12)


@rows
def test_noise_is_drawn_from_its_law(name, x64):
    draws = LIKELIHOODS[name].noise_draw(jax.random.key(0), jnp.full(10_000, SD))
    assert law_p_value(draws, noise(LIKELIHOODS[name]).cdf) > P_VALUE
    assert law_p_value(1.1 * draws, noise(LIKELIHOODS[name]).cdf) < P_VALUE


def inputs(d, n=30):
    return np.random.default_rng(d).uniform(size=(n, d))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_noise_features_have_mean_zero_over_the_data(d, x64):
    x = inputs(d)
    field = noise_field(x, 4)
    features = np.asarray(field.features(x))
    assert features.shape == (30, 4)
    np.testing.assert_allclose(features.mean(0), 0.0, atol=1e-14)
    assert (features.std(0) > 1e-3).all()
    assert abs(np.asarray(field.features(x[:15])).mean(0)).max() > 1e-3


def test_noise_bumps_of_one_input_lie_on_a_grid(x64):
    field = noise_field(inputs(1), 5)
    np.testing.assert_allclose(field.centres[:, 0], [0.0, 0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(field.width, 0.7 * 0.25)
    peak = np.asarray(field.features(field.centres)) + field.offset
    np.testing.assert_allclose(np.diagonal(peak), 1.0)
    np.testing.assert_allclose(peak[0, 1], np.exp(-0.5 / 0.7**2))


def test_noise_bumps_of_two_inputs_are_as_wide_as_their_nearest_are_apart(x64):
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(noise_field(np.repeat(corners, 5, 0), 4).width, 0.7)


@pytest.mark.filterwarnings("ignore:One of the clusters is empty")
@pytest.mark.parametrize(
    ("x", "bumps"),
    [(np.zeros((4, 2)), 1), (np.repeat(inputs(2, 3), 4, axis=0), 3), (inputs(2, 2), 2), (np.full((1, 1), 0.5), 8)],
    ids=["one place", "three places", "two data", "one datum"],
)
def test_noise_fields_of_few_places_are_finite(x, bumps, x64):
    field = noise_field(x, 8)
    assert field.centres.shape == (bumps, x.shape[1])
    assert field.width > 0
    assert np.isfinite(field.features(x)).all()


@rows
def test_sd_has_geometric_mean_sigma_over_the_data(name, x64):
    likelihood, x = LIKELIHOODS[name], inputs(1)
    features = likelihood.field(x).features(x)
    values = {"sigma": jnp.asarray(SD), "noise_weight": np.linspace(-1, 1, features.shape[1])}
    sd = np.asarray(likelihood.sd(values, features))
    np.testing.assert_allclose(np.exp(np.mean(np.log(sd))), SD, rtol=1e-8)
    assert (sd.std() > 0.05) == (likelihood.noise == "varying")


@rows
def test_mixing_weights_divide_the_variance_of_their_datum(name, x64):
    likelihood, features = LIKELIHOODS[name], jnp.zeros((3, 0))
    values = {"sigma": jnp.asarray(SD), "mixing": jnp.array([0.25, 1.0, 4.0])}
    factor = [2.0, 1.0, 0.5] if isinstance(likelihood, StudentT) else np.ones(3)
    np.testing.assert_allclose(likelihood.data_sd(values, features), SD * np.asarray(factor), rtol=1e-8)
    np.testing.assert_allclose(likelihood.sd(values, features), SD, rtol=1e-8)


@rows
def test_noise_never_falls_below_the_floor(name, x64):
    sd = LIKELIHOODS[name].sd({"sigma": jnp.zeros(())}, jnp.zeros((3, 0)))
    np.testing.assert_allclose(sd, FLOOR)


@rows
@pytest.mark.parametrize("g", [0, 4])
def test_starts_lie_inside_the_support(name, g, x64):
    likelihood = LIKELIHOODS[name]
    start, table = likelihood.start(5, g), likelihood.sites(5, g)
    assert set(start) == set(table)
    for site, prior in table.items():
        assert start[site].shape == prior.shape()
        assert prior.support(start[site])


REFUSED = [
    (lambda: Normal("wild"), "Expected `noise` to be one of 'constant', 'varying', got 'wild'"),
    (lambda: Normal(scale=0.0), "Expected `scale` to be a number above 0"),
    (lambda: Normal(n_bumps=0), "Expected `n_bumps` to be an integer of at least 1"),
    (lambda: StudentT(df=2.0), "Expected `df` above 2, so that the noise has a variance, got 2.0"),
    (lambda: StudentT(df=np.inf), "Expected `df` to be a number above 0, got inf"),
    (lambda: StudentT("wild"), "Expected `noise`"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_numbers_are_checked(make, words):
    with pytest.raises(BayesplatError) as refusal:
        make()
    assert words in str(refusal.value)
