"""Gibbs moves that need no gradient: each alone leaves its target as it is, and planted faults do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from posterior.problems import problem_of, thinned
from scipy import special
from statistical import P_VALUE, mean_p_value

from bayesplat.posterior import teleport
from bayesplat.posterior.interweave import interweave
from bayesplat.priors import Lengths, RegularizedHorseshoe, Repulsive
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import draw

K, POOL, DRAWS = 3, 6, 4000


@pytest.fixture(scope="module")
def problem():
    with jax.enable_x64(True):
        return problem_of(Repulsive(RegularizedHorseshoe(n_active=1.0)), k=K)


def sites_of(values):
    """What is compared of draws: bounded functions of every site, averaged over splats."""
    return jnp.stack([jnp.mean(jnp.tanh(value + shift)) for value in values.values() for shift in (-0.5, 0.5)])


def drift_p_value(change):
    """P-value of no drift, over the statistics (s, q) that move at all."""
    return mean_p_value(change[:, change.std(0) > 0], 0.0)


def before_and_after(problem, move):
    """Statistics (s, q) of prior draws, and of the same draws after one move."""

    def one(key):
        first, second = jax.random.split(key)
        values = draw(problem.sites(), first)
        return sites_of(values), sites_of(move(values, second))

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), DRAWS)))


# ---------------------------------------------------------------- teleports


def test_pool_weights_are_the_log_joint_up_to_a_constant(problem, x64):
    """Rank-one gains, repulsion and all: against the full density with each candidate put in place."""
    values, slot = draw(problem.sites(), jax.random.key(1)), jnp.asarray(1)
    candidates = teleport._candidates(problem, values, slot, jax.random.key(2), POOL)
    assert set(candidates) == {"centre", "deviation", "lam"}
    found = np.asarray(teleport._log_weights(problem, values, slot, candidates))
    placed = [
        {**values, **{name: values[name].at[slot].set(some[c]) for name, some in candidates.items()}}
        for c in range(POOL + 1)
    ]
    expected = np.array([float(problem.log_rest(one)) for one in placed])
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(expected[0], float(problem.log_rest(values)))  # the first candidate is the splat itself


def test_candidates_follow_the_prior_of_one_splat(problem, x64):
    def one(key):
        first, second = jax.random.split(key)
        values = draw(problem.sites(), first)
        some = teleport._candidates(problem, values, jnp.asarray(0), second, POOL)
        fresh = {name: leaf[1:] for name, leaf in some.items()}
        return sites_of({name: values[name] for name in fresh}), sites_of(fresh)

    own, fresh = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), DRAWS)))
    assert mean_p_value(own - fresh, 0.0) > P_VALUE
    assert mean_p_value(own - fresh + 0.05, 0.0) < P_VALUE


@pytest.mark.parametrize("fault", [None, "the prior is counted in the weights as well"])
def test_teleports_keep_the_prior_where_there_are_no_data(fault, monkeypatch, x64):
    free = problem_of(RegularizedHorseshoe(n_active=1.0), k=K).without_data()
    if fault:
        right = teleport._log_weights
        # the pool comes from the prior: to count it again is to drop the proposal's density from the ratio
        monkeypatch.setattr(
            teleport,
            "_log_weights",
            lambda problem, values, slot, some: right(problem, values, slot, some) - jnp.log1p(some["lam"] ** 2),
        )
    before, after = before_and_after(free, lambda values, key: teleport.teleport(free, values, key, POOL)[0])
    p = drift_p_value(after - before)
    assert (p < P_VALUE) if fault else (p > P_VALUE)


def test_teleports_keep_the_posterior(problem):
    """Prior draws weighted by the likelihood stand for the posterior, and still do after a move that keeps it."""
    few = thinned(problem, [4, 11])

    def one(key):
        first, second = jax.random.split(key)
        values = draw(few.sites(), first)
        after, moved = teleport.teleport(few, values, second, POOL)
        return sites_of(values), sites_of(after), few.log_rest(values), moved

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(4), 2 * DRAWS)
        before, after, log_weights, moved = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys))
    weights = special.softmax(log_weights) * len(log_weights)
    assert 1 / np.mean((weights / len(weights)) ** 2) / len(weights) > 500
    assert drift_p_value(weights[:, None] * (after - before)) > P_VALUE
    assert drift_p_value(after - before) < P_VALUE  # the prior is another distribution, and moves away from itself
    assert 0.3 < moved.mean() < POOL / (POOL + 1)


# ---------------------------------------------------------------- interweaving


def test_interweaving_keeps_every_length_and_scale(problem, x64):
    values = draw(problem.sites(), jax.random.key(5))
    after = interweave(problem, values, jax.random.key(6), 64)
    prior = problem.spec.prior
    np.testing.assert_allclose(problem.lengths.excess(after), problem.lengths.excess(values), rtol=1e-10)
    np.testing.assert_allclose(
        prior.scales(after, problem.context, after["sigma"]), prior.scales(values, problem.context, values["sigma"])
    )
    np.testing.assert_allclose(problem.log_rest(after), problem.log_rest(values), rtol=1e-9)
    for name in ("location", "spread", "tau"):
        assert not np.any(after[name] == values[name])


class Careless(Lengths):
    """Lengths that forget how the volume changes when deviations follow the shared sites."""

    def recentred(self, values, shared):
        moved, log_density = super().recentred(values, shared)
        return moved, log_density + moved["deviation"].size * jnp.log(shared["spread"])


@pytest.mark.parametrize("lengths", [Lengths(), Careless()], ids=["right", "without the Jacobian"])
def test_interweaving_keeps_the_prior(lengths, x64):
    bound = problem_of(RegularizedHorseshoe(n_active=1.0), k=K, lengths=lengths)
    before, after = before_and_after(bound, lambda values, key: interweave(bound, values, key, 16))
    p = drift_p_value(after - before)
    assert (p > P_VALUE) if type(lengths) is Lengths else (p < P_VALUE)


def test_priors_without_shared_sites_are_left_alone(problem):
    assert Lengths().shared_sites.isdisjoint(PER_SPLAT)
    assert problem.spec.prior.shared_sites.isdisjoint(problem.spec.prior.own_sites)
