"""Predictions against measures evaluated draw by draw, NumPy quantiles, simulation and the mixture's own cdf."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from statistical import P_VALUE, share_p_value
from tables import LIKELIHOODS

from bayesplat.likelihoods import FLOOR, noise_field
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Gaussian
from bayesplat.posterior.predict import Component, Sample, cdf, log_predictive_density, partial_dependence, predict
from bayesplat.priors import Ridge
from bayesplat.specification import Specification

S, K, M, PROB = 40, 3, 300, 0.8  # 300 rows: one block of 256 and one filled up
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(M, 2))
FIELD = noise_field(RNG.uniform(size=(50, 2)), 4)
A = 0.2 * np.tril(RNG.uniform(0.5, 1.5, size=(S, K, 2, 2)))
B = RNG.uniform(size=(S, K, 2))
COEFFICIENTS = RNG.normal(size=(S, K + 1))
NOISE = {"sigma": RNG.uniform(0.2, 0.5, size=S), "noise_weight": RNG.normal(size=(S, 4))}
SAMPLE = Sample(A, B, COEFFICIENTS, NOISE)

KINDS = ("varying normal", "varying student-t")
likelihoods = pytest.mark.parametrize("name", KINDS)


def alone(name):
    """A mixture of one."""
    return (Component(Specification(K, Ridge(), LIKELIHOODS[name]), SAMPLE, FIELD),)


@pytest.fixture(scope="module")
def f():
    """Function values (s, m) of every draw, by its measure."""

    def one(A, b, a):
        return SplatMeasure.from_amplitude(a[:K, None], A, b, Gaussian())(X)[:, 0] + a[K]

    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(one))(A, B, COEFFICIENTS))


@pytest.fixture(scope="module")
def sd():
    """Noise sds (s, m) of every draw."""
    with jax.enable_x64(True):
        features = np.asarray(FIELD.features(jnp.asarray(X)))
    return np.hypot(NOISE["sigma"][:, None] * np.exp(NOISE["noise_weight"] @ features.T), FLOOR)


def law(name, f, sd):
    """The law of a new observation given a draw."""
    return stats.norm(f, sd) if name == "varying normal" else stats.t(8.0, f, sd)


@pytest.fixture(scope="module")
def observed():
    """Predicted observations, by likelihood."""
    with jax.enable_x64(True):
        return {name: predict(alone(name), X, PROB, "observation") for name in KINDS}


@pytest.mark.parametrize("prob", [0.5, PROB, 0.99])
def test_functions_have_the_moments_and_quantiles_of_the_draws(f, prob, x64):
    found = predict(alone("varying normal"), X, prob, "function")
    tails = (1 - prob) / 2, (1 + prob) / 2
    expected = f.mean(0), f.std(0), *np.quantile(f, tails, axis=0)
    for part, value in zip(found[:4], expected, strict=True):
        np.testing.assert_allclose(part, value, rtol=1e-9, atol=1e-10)
    assert (found.prob, found.kind) == (prob, "function")
    assert not np.allclose(found.upper, np.quantile(f, tails[1] - 0.05, axis=0), atol=1e-3)


@likelihoods
def test_the_noise_has_the_moments_and_quantiles_of_the_draws(sd, name, x64):
    found = predict(alone(name), X, PROB, "noise")
    expected = sd.mean(0), sd.std(0), *np.quantile(sd, ((1 - PROB) / 2, (1 + PROB) / 2), axis=0)
    for part, value in zip(found[:4], expected, strict=True):
        np.testing.assert_allclose(part, value, rtol=1e-9)


@likelihoods
def test_observations_have_the_moments_of_the_mixture(observed, f, sd, name):
    variance = f.var(0) + (law(name, f, sd).var()).mean(0)
    np.testing.assert_allclose(observed[name].mean, f.mean(0), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(observed[name].sd, np.sqrt(variance), rtol=1e-8)


@likelihoods
def test_observation_intervals_hold_their_probability(observed, f, sd, name):
    mixture = law(name, f, sd)
    for end, share in ((observed[name].lower, (1 - PROB) / 2), (observed[name].upper, (1 + PROB) / 2)):
        np.testing.assert_allclose(mixture.cdf(end).mean(0), share, atol=1e-8)
    assert np.abs(law(name, f, 1.05 * sd).cdf(observed[name].upper).mean(0) - (1 + PROB) / 2).max() > 1e-3


@likelihoods
def test_simulated_observations_fall_into_the_intervals_as_often_as_promised(observed, f, sd, name):
    rng = np.random.default_rng(1)
    draws = rng.integers(S, size=3000)
    y = law(name, f[draws, :20], sd[draws, :20]).rvs(random_state=rng)
    below = y < observed[name].lower[:20]
    assert share_p_value(below, (1 - PROB) / 2) > P_VALUE
    assert share_p_value(y < observed[name].upper[:20], (1 + PROB) / 2) > P_VALUE
    assert share_p_value(below, 0.8 * (1 - PROB) / 2) < P_VALUE


@likelihoods
def test_log_predictive_density_is_that_of_the_mixture(f, sd, name, x64):
    y = f.mean(0) + np.random.default_rng(2).normal(size=M)
    found = log_predictive_density(alone(name), X, y)
    expected = special.logsumexp(law(name, f, sd).logpdf(y), 0) - np.log(S)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)
    assert not np.allclose(found, special.logsumexp(law(name, f, 1.01 * sd).logpdf(y), 0) - np.log(S), atol=1e-4)


@likelihoods
def test_the_distribution_function_is_that_of_the_mixture(f, sd, name, x64):
    y = f.mean(0) + np.random.default_rng(2).normal(size=M)
    np.testing.assert_allclose(cdf(alone(name), X, y), law(name, f, sd).cdf(y).mean(0), atol=1e-9)


ERROR = RNG.uniform(0.1, 1.5, size=M)


def with_errors(name, f, sd, y):
    """Log density and distribution function of y (m,) given a draw, known errors convolved with the noise."""
    if name == "varying normal":
        total = stats.norm(f, np.hypot(sd, ERROR))
        return total.logpdf(y), total.cdf(y)
    # noise of scale sd / sqrt(w), w ~ Gamma(4, 4): midpoints of 2000 equal shares of w
    w = stats.gamma(4.0, scale=0.25).ppf((np.arange(2000) + 0.5) / 2000)[:, None, None]
    total = stats.norm(f[:, :20], np.sqrt(sd[:, :20] ** 2 / w + ERROR[:20] ** 2))
    return np.log(total.pdf(y[:20]).mean(0)), total.cdf(y[:20]).mean(0)


@likelihoods
def test_known_errors_add_to_the_noise_of_new_observations(f, sd, name, x64):
    y = f.mean(0) + np.random.default_rng(4).normal(size=M)
    log_density, below = with_errors(name, f, sd, y)
    rows = log_density.shape[1]
    found = log_predictive_density(alone(name), X, y, ERROR), cdf(alone(name), X, y, ERROR)
    np.testing.assert_allclose(found[0][:rows], special.logsumexp(log_density, 0) - np.log(S), atol=2e-3)
    np.testing.assert_allclose(found[1][:rows], below.mean(0), atol=1e-3)
    # a fault: errors forgotten
    assert np.abs(log_predictive_density(alone(name), X, y) - found[0])[:rows].max() > 0.1


@likelihoods
def test_intervals_of_new_observations_with_known_errors_hold_their_probability(f, sd, name, x64):
    rows = slice(0, 20)
    found = predict(alone(name), X[rows], PROB, "observation", ERROR[rows])
    variance = f.var(0) + law(name, f, sd).var().mean(0) + ERROR**2
    np.testing.assert_allclose(found.sd, np.sqrt(variance)[rows], rtol=1e-8)
    for end, share in ((found.lower, (1 - PROB) / 2), (found.upper, (1 + PROB) / 2)):
        np.testing.assert_allclose(cdf(alone(name), X[rows], end, ERROR[rows]), share, atol=1e-8)


ROWS = {
    "one": [7],
    "a few": [0, 299, 3],
    "shuffled": np.random.default_rng(3).permutation(M),
    "one block": np.arange(256),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
@pytest.mark.parametrize("kind", ["function", "observation"])
def test_rows_are_predicted_whatever_their_company(observed, kind, rows, x64):
    only = alone("varying normal")
    whole = observed["varying normal"] if kind == "observation" else predict(only, X, PROB, kind)
    part = predict(only, X[rows], PROB, kind)
    assert part.mean.shape == (len(rows),)
    for here, there in zip(part[:4], whole[:4], strict=True):
        np.testing.assert_allclose(here, there[rows], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS.keys())
def test_rows_are_scored_whatever_their_company(rows, x64):
    only, y = alone("varying normal"), np.random.default_rng(2).normal(size=M)
    whole = log_predictive_density(only, X, y)
    part = log_predictive_density(only, X[rows], y[rows])
    np.testing.assert_allclose(part, whole[rows], rtol=1e-10)


def test_predictions_say_what_they_are(observed):
    assert (
        str(observed["varying normal"]) == "Prediction of the observation at 300 rows, with 80% equal-tailed intervals"
    )
    assert "with 99.5% equal-tailed" in str(observed["varying normal"]._replace(prob=0.995))


def test_partial_dependence_is_the_average_over_the_data(x64):
    at, data = np.array([0.2, 0.5, 0.9]), X[:100]
    found = partial_dependence(*alone("varying normal"), data, 1, at, PROB)
    for i, value in enumerate(at):
        held = np.stack([data[:, 0], np.full(100, value)], 1)
        drawn = [
            np.mean(np.asarray(SplatMeasure.from_amplitude(a[:K, None], A[s], B[s], Gaussian())(held))) + a[K]
            for s, a in enumerate(COEFFICIENTS)
        ]
        expected = (np.mean(drawn), np.std(drawn), *np.quantile(drawn, (0.1, 0.9)))
        np.testing.assert_allclose([leaf[i] for leaf in found[:4]], expected, rtol=1e-9)


def test_a_long_partial_dependence_takes_draws_evenly_and_data_from_slices(x64):
    draws = jax.tree.map(lambda leaf: np.repeat(leaf, 20, 0), SAMPLE)  # 800 draws, of which every other counts
    (only,) = alone("varying normal")
    few, many = (
        partial_dependence(only._replace(sample=sample), np.repeat(X[:16], times, 0), 0, np.array([0.3]), PROB)
        for sample, times in ((SAMPLE, 1), (draws, 16))
    )
    np.testing.assert_allclose(few.mean, many.mean, rtol=0.02)
    np.testing.assert_allclose(few.sd, many.sd, rtol=0.02)


# ---------------------------------------------------------------- mixtures of posteriors

FEW, SHIFT = 10, 3.0


@pytest.fixture(scope="module")
def mixed():
    """A component of 40 draws, and one of ten whose level is higher and whose noise has heavy tails."""
    (one,), (other,) = alone("varying normal"), alone("varying student-t")
    sample = jax.tree.map(lambda leaf: leaf[:FEW], SAMPLE)
    lifted = sample.coefficients + SHIFT * np.eye(K + 1)[K]
    return one, other._replace(sample=sample._replace(coefficients=lifted))


def mixed_laws(f, sd):
    """The laws of a new observation under both, one row a draw."""
    return law("varying normal", f, sd), law("varying student-t", f[:FEW] + SHIFT, sd[:FEW])


def test_a_mixture_has_the_moments_and_quantiles_of_all_draws(mixed, f, x64):
    drawn = np.concatenate([f, f[:FEW] + SHIFT])
    found = predict(mixed, X, PROB, "function")
    expected = drawn.mean(0), drawn.std(0), *np.quantile(drawn, ((1 - PROB) / 2, (1 + PROB) / 2), axis=0)
    for part, value in zip(found[:4], expected, strict=True):
        np.testing.assert_allclose(part, value, rtol=1e-9, atol=1e-10)


def test_observations_of_a_mixture_keep_the_noise_of_each_part(mixed, f, sd, x64):
    found, laws = predict(mixed, X, PROB, "observation"), mixed_laws(f, sd)
    means, variances = (np.concatenate([getattr(each, name)() for each in laws]) for name in ("mean", "var"))
    np.testing.assert_allclose(found.sd, np.sqrt(means.var(0) + variances.mean(0)), rtol=1e-8)
    for end, share in ((found.lower, (1 - PROB) / 2), (found.upper, (1 + PROB) / 2)):
        below = np.concatenate([each.cdf(end) for each in laws])
        np.testing.assert_allclose(below.mean(0), share, atol=1e-8)
        # weighing both parts alike, whatever their draws, would be seen
        assert np.abs(0.5 * (below[:S].mean(0) + below[S:].mean(0)) - share).max() > 0.01


def test_the_density_of_a_mixture_is_the_mean_over_all_draws(mixed, f, sd, x64):
    y = f.mean(0) + np.random.default_rng(2).normal(size=M)
    each = np.concatenate([law.logpdf(y) for law in mixed_laws(f, sd)])
    expected = special.logsumexp(each, 0) - np.log(S + FEW)
    np.testing.assert_allclose(log_predictive_density(mixed, X, y), expected, rtol=1e-8, atol=1e-9)
