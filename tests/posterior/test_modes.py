"""One splat, two bumps: samplers visit both explanations as often as the posterior says, which brute force knows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from posterior.problems import from_prior, problem_of
from statistical import P_VALUE, batch_means, expectation, mean_p_value

from bayesplat import collapsed
from bayesplat.posterior import nuts, smc
from bayesplat.priors import Ridge
from bayesplat.priors.sites import draw, unconstrain

CHAINS = 4
BRUTE = 2_000_000
BUMPS, HEIGHTS = np.array([0.25, 0.75]), np.array([1.04, 1.0])
X = np.linspace(0, 1, 50)[:, None]


@pytest.fixture(scope="module")
def problem():
    """With these heights and this noise, the right bump is nearly three times as likely to be the one explained."""
    y = np.exp(-0.5 * ((X - BUMPS) / 0.07) ** 2) @ HEIGHTS + 0.05 * np.random.default_rng(0).normal(size=len(X))
    with jax.enable_x64(True):
        return problem_of(Ridge(), k=1, x=X, y=(y - y.mean()) / y.std())


def statistics(problem, values):
    """Whether the splat stands on each bump, and E[f | values, y] at the datum next to it."""
    near = jnp.abs(values["centre"][0, 0] - BUMPS) < 0.1
    f = problem.features(problem.geometry(values)) @ collapsed.mean_coefficients(problem.factor(values))
    return jnp.concatenate([near.astype(float), f[jnp.abs(X - BUMPS).argmin(0)]])


@pytest.fixture(scope="module")
def brute(problem):
    """Expectations of the statistics by importance sampling from the prior, and their standard errors."""
    mean, error = expectation(*from_prior(problem, statistics, BRUTE))
    left, right = mean[:2]
    assert left + right > 0.8  # two modes,
    assert right - left > 20 * error[:2].max()  # and not halves
    return mean, error


def all_found(problem, values):
    """Statistics (..., s) of all draws."""
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(jax.vmap(lambda values: statistics(problem, values))))(values))


@pytest.fixture(scope="module", params=[5, 0], ids=["teleports", "plain"])
def chains(request, problem):
    """Statistics (chains, draws, s) of chains that all begin on the left bump."""
    settings = nuts.Settings(warmup=300, draws=2500, max_tree_depth=4, pool=request.param)
    with jax.enable_x64(True):
        table = problem.sites()
        left = draw(table, jax.random.key(1)) | {"centre": jnp.full((1, 1), BUMPS[0])}
        found = nuts.run_nuts(problem, [unconstrain(table, left)] * CHAINS, jax.random.key(2), settings)
    return request.param, all_found(problem, found.values)


def test_every_chain_weighs_both_modes_by_teleports_alone(chains, brute):
    """Without, each chain tells of the mode that it happened to stay in."""
    (pool, found), (mean, error) = chains, brute
    worst = np.abs(found.mean(1) - mean)[:, :2].max()
    if pool:
        assert mean_p_value(batch_means(found), mean, error) > P_VALUE
        assert worst < 0.15
    else:
        assert worst > 0.3


def test_populations_hold_both_modes_by_their_weights(problem, brute):
    settings = smc.Settings(draws=200, sweeps=1, leapfrogs=8, pool=8)
    with jax.enable_x64(True):
        runs = smc.run_smc(problem, 16, jax.random.key(3), settings)
    means = all_found(problem, runs.values).mean(1)
    assert mean_p_value(means, *brute) > P_VALUE
    assert mean_p_value(means + np.array([0.1, -0.1, 0, 0]), *brute) < P_VALUE
