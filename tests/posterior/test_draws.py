"""Complete draws: what follows from a position, and draws from the prior, repulsive ones included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from posterior.problems import OVERLAP, N, X, problem_of
from scipy import stats
from statistical import P_VALUE, law_p_value, mean_p_value
from tables import PRIORS

from bayesplat import symptoms
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.model import bind
from bayesplat.posterior import draws
from bayesplat.posterior.prior import repelled
from bayesplat.priors import Repulsive, Ridge
from bayesplat.priors.sites import constrain, draw
from bayesplat.specification import Specification
from bayesplat.trend import PRIOR_SD

K, CHAINS, LENGTH = 3, 2, 64


@pytest.fixture(scope="module")
def completed():
    """A problem without a trend, values of the sites in two chains and their complete draws."""
    with jax.enable_x64(True):
        problem = problem_of(Ridge(), K, likelihood=StudentT(), trend="none")
        rng = np.random.default_rng(0)
        table = problem.sites()
        positions = {name: 0.5 * rng.normal(size=(CHAINS, LENGTH, *prior.shape())) for name, prior in table.items()}
        values = jax.vmap(jax.vmap(lambda position: constrain(table, position)[0]))(positions)
        return problem, values, draws.complete_all(problem, values, jax.random.key(0))


REPULSION = Repulsive(Ridge(scale=0.7), 3.0)


@pytest.fixture(scope="module")
def prior():
    """A problem of two splats that repel each other, and draws from its prior."""
    with jax.enable_x64(True):
        problem = problem_of(REPULSION, k=2)
        done = draws.prior_draws(problem, 40 * draws.BATCH, jax.random.key(0))
        return problem, jax.tree.map(lambda leaf: np.asarray(leaf)[0], done)


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_can_be_drawn_from(name, x64):
    problem = problem_of(PRIORS[name], K)
    done = draws.prior_draws(problem, 3, jax.random.key(0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(done))


# ---------------------------------------------------------------- draws from a posterior


def test_values_come_back_in_their_places(completed):
    _, values, done = completed
    assert set(done.values) == set(values)
    for name, value in values.items():
        np.testing.assert_array_equal(done.values[name], value)


def test_the_repulsion_is_kept_beside_the_priors(prior, completed, x64):
    _, drawn = prior
    kept = drawn.log_prior["repulsion"]
    np.testing.assert_allclose(kept, jax.vmap(REPULSION.log_penalty)(drawn.A, drawn.b), rtol=1e-9, atol=1e-12)
    assert np.ptp(kept) > 0.1
    assert (completed[2].log_prior["repulsion"] == 0).all()


# jax's own jit, which keeps no compiled code of another size of batch
complete_batch = jax.jit(lambda *given: draws._complete_batch.__wrapped__(*given))


def test_draws_are_the_same_one_at_a_time(completed, monkeypatch, x64):
    problem, values, done = completed
    monkeypatch.setattr(draws, "ENTRIES", 1)
    first = jax.tree.map(lambda leaf: leaf[0], values)
    alone = complete_batch(problem, first, jax.random.key(0), 0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-8, atol=1e-12), alone, done)


@pytest.mark.parametrize("likelihood", [Normal(), StudentT()], ids=repr)
def test_memory_of_draws_is_bounded(likelihood, x64):
    n, k = 50_000, 20
    x = np.random.default_rng(0).uniform(size=(n, 1))
    problem = bind(Specification(k, likelihood=likelihood), x, x[:, 0], likelihood.field(x))
    keys = jax.random.split(jax.random.key(0), draws.BATCH)
    values = jax.eval_shape(jax.vmap(lambda key: draw(problem.sites(), key)), keys)
    memory = complete_batch.lower(problem, values, keys[0], 0).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 8 * 8 * draws.ENTRIES < 8 * draws.BATCH * n * k


def columns_of(done):
    """Heights (chains, draws, n, k) of the splats at the data."""
    return np.exp(-0.5 * ((X[:, 0, None] - done.b[..., None, :, 0]) / done.A[..., None, :, 0, 0]) ** 2)


def test_functions_are_the_sums_of_the_splats(completed):
    _, _, done = completed
    assert done.trend.shape == (CHAINS, LENGTH, 0)
    f = np.einsum("csnk,csk->csn", columns_of(done), done.amplitude)
    np.testing.assert_allclose(done.f, f, rtol=1e-8, atol=1e-10)
    terms = columns_of(done) * done.amplitude[..., None, :]
    np.testing.assert_allclose(done.contribution, np.sqrt(np.mean(terms**2, -2)), rtol=1e-8)


def test_likelihood_is_that_of_each_datum_given_f(completed):
    problem, _, done = completed
    expected = stats.t(4.0, done.f, done.values["sigma"][..., None]).logpdf(np.asarray(problem.y))
    np.testing.assert_allclose(done.log_likelihood, expected, rtol=1e-6)
    assert not np.allclose(done.log_likelihood, done.loo_log_density, rtol=1e-3)


def conditional(problem, done, c, s, rows):
    """Mean and covariance of the amplitudes of one draw given some rows of data, dense."""
    columns = columns_of(done)[c, s]
    prior = np.full(K, done.values["tau"][c, s] / np.sqrt(K * OVERLAP)) ** 2
    noise = np.diag(done.values["sigma"][c, s] ** 2 / done.values["mixing"][c, s][rows])
    gain = (prior[:, None] * columns[rows].T) @ np.linalg.inv((columns[rows] * prior) @ columns[rows].T + noise)
    return gain @ np.asarray(problem.y)[rows], np.diag(prior) - gain @ (columns[rows] * prior)


def test_amplitudes_are_drawn_given_the_rest(completed):
    problem, _, done = completed
    z = []
    for c, s in np.ndindex(CHAINS, LENGTH):
        mean, covariance = conditional(problem, done, c, s, np.arange(N))
        z.append(np.linalg.solve(np.linalg.cholesky(covariance), done.amplitude[c, s] - mean))
    z = np.array(z)
    assert mean_p_value(z, 0.0) > P_VALUE
    assert mean_p_value(z**2, 1.0) > P_VALUE
    assert mean_p_value(2 * z**2, 1.0) < P_VALUE


def test_leave_one_out_integrates_the_amplitudes(completed):
    problem, _, done = completed
    c, s, i = 0, 3, 6
    mean, covariance = conditional(problem, done, c, s, np.delete(np.arange(N), i))
    column = columns_of(done)[c, s, i]
    f = column @ mean + np.sqrt(column @ covariance @ column) * stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    law = stats.t(4.0, f, done.values["sigma"][c, s])
    y = np.asarray(problem.y)[i]
    np.testing.assert_allclose(np.exp(done.loo_log_density[c, s, i]), law.pdf(y).mean(), rtol=1e-3)
    np.testing.assert_allclose(done.loo_cdf[c, s, i], law.cdf(y).mean(), atol=1e-3)


def test_replicates_scatter_about_f_as_the_noise_does(completed):
    _, _, done = completed
    sigma = done.values["sigma"][..., None]
    noise = (done.replicate - done.f) / sigma
    assert law_p_value(noise, stats.t(4.0).cdf) > P_VALUE
    assert law_p_value(1.4 * noise, stats.t(4.0).cdf) < P_VALUE
    assert stats.spearmanr(noise.ravel(), (done.f / sigma).ravel()).pvalue > P_VALUE
    assert stats.spearmanr((noise - done.f / sigma).ravel(), (done.f / sigma).ravel()).pvalue < P_VALUE


def test_log_prior_has_a_part_per_site_and_one_for_the_amplitudes(completed, x64):
    problem, _, done = completed
    assert set(done.log_prior) == {*problem.sites(), "amplitude", "trend", "repulsion"}
    tau, sigma = done.values["tau"], done.values["sigma"]
    np.testing.assert_allclose(done.log_prior["tau"], stats.halfnorm.logpdf(tau), rtol=1e-10)
    np.testing.assert_allclose(done.log_prior["sigma"], stats.halfnorm.logpdf(sigma), rtol=1e-10)
    scale = (tau / np.sqrt(K * OVERLAP))[..., None]
    np.testing.assert_allclose(done.log_prior["amplitude"], stats.norm(0, scale).logpdf(done.amplitude).sum(-1))
    np.testing.assert_array_equal(done.log_prior["trend"], 0.0)


# ---------------------------------------------------------------- splats to worry about

BUMP, RAMP = np.exp(-0.5 * ((X[:, 0] - 0.5) / 0.1) ** 2), X[:, 0]
SPIKE = (np.arange(N) == 4).astype(float)

ASIDE = np.sin(50 * X[:, 0])
ASIDE -= BUMP * (ASIDE @ BUMP) / (BUMP @ BUMP)
ASIDE *= np.linalg.norm(BUMP) / np.linalg.norm(ASIDE)

PAIRS = {
    "a cancelling pair": ([BUMP, -0.9 * BUMP, RAMP], 1),
    "a pair that adds up": ([BUMP, 0.9 * BUMP, RAMP], 0),
    "opposite, of unequal size": ([BUMP, -0.3 * BUMP, RAMP], 0),
    "a pair too small to matter": ([1e-3 * BUMP, -1e-3 * BUMP, RAMP], 0),
    "not quite opposite": ([BUMP, -0.88 * (0.88 * BUMP + np.sqrt(1 - 0.88**2) * ASIDE), RAMP], 0),
    "three that cancel": ([BUMP, -BUMP, BUMP], 2),
}
SPIKES = {
    "one datum": ([SPIKE, BUMP], [1.0, 1.0], 1),
    "one datum, too small to matter": ([SPIKE, BUMP], [1e-3, 1.0], 0),
    "two data": ([SPIKE + np.roll(SPIKE, 1), BUMP], [1.0, 1.0], 0),
    "no data": ([0 * SPIKE, BUMP], [1.0, 1.0], 0),
    "two spikes": ([SPIKE, np.roll(SPIKE, 3)], [1.0, -2.0], 2),
}


@pytest.mark.parametrize("name", PAIRS)
def test_cancelling_pairs_are_counted(name, x64):
    terms, count = PAIRS[name]
    assert symptoms.cancelling_pairs(np.column_stack(terms)) == count


@pytest.mark.parametrize("name", SPIKES)
def test_spikes_on_one_datum_are_counted(name, x64):
    heights, amplitude, count = SPIKES[name]
    heights = np.column_stack(heights)
    assert symptoms.spikes(heights, heights * amplitude) == count


def test_drifting_splats_reach_no_datum(completed):
    _, _, done = completed
    np.testing.assert_array_equal(done.drifting, (columns_of(done).max(-2) < 0.01).sum(-1))


# ---------------------------------------------------------------- draws from the prior


def test_prior_draws_come_from_every_site(prior, x64):
    problem, done = prior
    assert done.f.shape == (40 * draws.BATCH, N)
    assert set(done.values) == set(problem.sites())
    assert law_p_value(done.values["tau"], stats.halfnorm.cdf) > P_VALUE
    assert law_p_value(done.values["sigma"], stats.halfnorm.cdf) > P_VALUE
    assert stats.spearmanr(done.values["tau"], done.values["sigma"]).pvalue > P_VALUE
    assert law_p_value(done.values["tau"] + 0.1, stats.halfnorm.cdf) < P_VALUE


def test_prior_draws_have_the_promised_sd_of_f(prior):
    """Given the geometry, f - trend has variance scale^2 sum_i h_i^2 / (k overlap) at a datum with heights h_i."""
    _, done = prior
    splats = np.mean((done.f - done.trend) ** 2, 1)
    expected = 0.7**2 * np.mean(np.sum(columns_of(done) ** 2, -1), 1) / (2 * OVERLAP)
    assert mean_p_value(splats - expected, 0.0) > P_VALUE
    assert mean_p_value(splats - 1.6 * expected, 0.0) < P_VALUE
    assert mean_p_value(done.trend[:, 0] ** 2, PRIOR_SD**2) > P_VALUE


@pytest.fixture(scope="module")
def pairs(prior):
    """Draws of two splats without repulsion, by SciPy, and the log of the repulsion between them."""
    problem, _ = prior
    rng, size = np.random.default_rng(0), 4000
    values = {
        "location": 0.5 * np.log(1 / N) + 0.7 * rng.normal(size=(size, 1)),
        "spread": 0.6 * np.exp(0.4 * rng.normal(size=size)),
        "deviation": rng.standard_t(4, size=(size, 2, 1)),
        "centre": rng.uniform(-0.1, 1.1, size=(size, 2, 1)),
    }

    def log_penalty(values):
        geometry = problem.geometry(values)
        return REPULSION.log_penalty(geometry.A, geometry.b)

    with jax.enable_x64(True):
        return values, np.asarray(jax.jit(jax.vmap(log_penalty))(values))


def apart(values, name):
    return np.abs(values[name][:, 0, 0] - values[name][:, 1, 0])


STATISTICS = {
    "distance": lambda values: apart(values, "centre"),
    "location": lambda values: values["location"][:, 0],
    "spread": lambda values: values["spread"],
    "difference in length": lambda values: np.sqrt(apart(values, "deviation")),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_repelled_draws_agree_with_importance_weighting(prior, pairs, name):
    plain, log_penalty = pairs
    weight = np.exp(log_penalty) / np.mean(np.exp(log_penalty))
    before, after = STATISTICS[name](plain), STATISTICS[name](prior[1].values)
    expected = np.mean(weight * before)
    error = np.std(weight * (before - expected)) / np.sqrt(before.size)
    assert mean_p_value(after, expected, error) > P_VALUE
    if name == "distance":
        assert mean_p_value(before, expected, error) < P_VALUE  # as if nothing had been repelled


def test_many_splats_have_moved_far_enough_to_repel_each_other(x64):
    """A round that starts where the last one ended changes nothing; one that starts from independent splats does."""
    problem, many = problem_of(REPULSION, k=20), 200
    once = jax.jit(jax.vmap(lambda values, key: repelled(problem, values, key)))
    rounds = [jax.vmap(lambda key: draw(problem.sites(), key))(jax.random.split(jax.random.key(0), many))]
    for key in jax.random.split(jax.random.key(1), 3):
        rounds.append(once(rounds[-1], jax.random.split(key, many)))

    def p_value(before, after):
        return min(stats.ks_2samp(before[name].ravel(), after[name].ravel()).pvalue for name in ("location", "spread"))

    assert p_value(rounds[1], rounds[3]) > P_VALUE
    assert p_value(rounds[0], rounds[1]) < P_VALUE


def test_priors_without_repulsion_are_left_alone(x64):
    values = {"centre": jnp.zeros((2, 1))}
    assert repelled(problem_of(Ridge(), k=2), values, jax.random.key(0)) is values
