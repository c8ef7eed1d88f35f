"""Gibbs moves that need no gradient: each alone leaves its target as it is, and planted faults do not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from posterior.moves import drift_p_value, sites_of, weigh
from posterior.problems import SQUARE, N, X, problem_of, thinned
from scipy import special
from statistical import P_VALUE, mean_p_value

from bayesplat.mothers import Box, Gaussian, Mixed
from bayesplat.posterior import teleport
from bayesplat.posterior.interweave import interweave
from bayesplat.priors import Flat, FreeLengths, Lengths, RegularizedHorseshoe, Repulsive
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import draw

K, POOL, DRAWS = 3, 6, 4000


INPUTS = {"one input": X, "two inputs": SQUARE}
"""With two inputs a full scale has two lengths and a shear."""


def horseshoe(x=X):
    with jax.enable_x64(True):
        return problem_of(RegularizedHorseshoe(n_active=1.0), k=K, x=x)


@pytest.fixture(scope="module")
def problem():
    return horseshoe()


def before_and_after(problem, move):
    """Statistics (s, q) of prior draws, and of the same draws after one move."""

    def one(key):
        first, second = jax.random.split(key)
        values = draw(problem.sites(), first)
        return sites_of(values), sites_of(move(values, second))

    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), DRAWS)))


# ---------------------------------------------------------------- teleports


@pytest.mark.parametrize("error", [None, np.linspace(0.2, 1.0, N)], ids=["no errors", "known errors"])
def test_pool_weights_are_the_log_joint_up_to_a_constant(error, x64):
    """Rank-one gains, repulsion and all: against the full density with each candidate put in place."""
    problem, slot = problem_of(Repulsive(RegularizedHorseshoe(n_active=1.0)), k=K, error=error), jnp.asarray(1)

    @jax.jit
    def look(first, second):
        values = draw(problem.sites(), first)
        some = teleport.candidates(problem, values, slot, second, POOL)
        weights, placed = weigh(problem, values, slot, some)
        return weights - some.log_ratio, jax.vmap(problem.log_rest)(placed), problem.log_rest(values)

    found, expected, now = look(jax.random.key(1), jax.random.key(2))
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(expected[0], now, rtol=1e-12)  # the first candidate is the splat itself


@pytest.mark.parametrize("slot", [1, 2])
def test_candidates_have_the_mother_of_their_slot(slot, x64):
    """With boxes in every other slot: against the full density with each candidate put in place."""
    mother = Mixed((Gaussian(), Box(8)))
    problem, at = problem_of(RegularizedHorseshoe(n_active=1.0), k=K, mother=mother), jnp.asarray(slot)

    @jax.jit
    def look(first, second):
        values = draw(problem.sites(), first)
        some = teleport.candidates(problem, values, at, second, POOL)
        weights, placed = weigh(problem, values, at, some)
        return weights - some.log_ratio, jax.vmap(problem.log_rest)(placed)

    found, expected = look(jax.random.key(1), jax.random.key(2))
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("lengths", [Lengths(), FreeLengths()], ids=["lengths", "free lengths"])
def test_candidates_follow_the_prior_of_one_splat_when_weighed(lengths, x64):
    problem = problem_of(RegularizedHorseshoe(n_active=1.0), k=K, lengths=lengths)

    def one(key):
        first, second = jax.random.split(key)
        values = draw(problem.sites(), first)
        some = teleport.candidates(problem, values, jnp.asarray(0), second, POOL)
        fresh = {name: leaf[1] for name, leaf in some.sites.items()}
        own = {name: leaf[0] for name, leaf in some.sites.items()}
        return sites_of(own), sites_of(fresh), jnp.exp(some.log_ratio[1])

    keys = jax.random.split(jax.random.key(3), 2 * DRAWS)
    own, fresh, weight = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys))
    assert mean_p_value(own - weight[:, None] * fresh, 0.0) > P_VALUE
    assert mean_p_value(own - weight[:, None] * fresh + 0.05, 0.0) < P_VALUE
    if type(lengths) is Lengths:  # free lengths are those of the prior otherwise, and need no weights
        assert mean_p_value(own - fresh, 0.0) < P_VALUE


def test_candidates_whose_density_is_no_number_are_never_chosen(x64):
    problem, slot = problem_of(RegularizedHorseshoe(n_active=1.0), k=K), jnp.asarray(1)

    @jax.jit
    def look(first, second):
        values = draw(problem.sites(), first)
        some = teleport.candidates(problem, values, slot, second, POOL)
        broken = some._replace(columns=jnp.asarray(some.columns).at[:, 2].set(jnp.nan))
        return weigh(problem, values, slot, broken)[0]

    weights = look(jax.random.key(1), jax.random.key(2))
    assert np.isneginf(weights[2])
    assert np.isfinite(np.delete(weights, 2)).all()


@pytest.fixture(scope="module")
def teleported():
    """Function of a problem: prior draws before and after one sweep, their log likelihood, and the share that moved."""

    def one(problem, key):
        first, second = jax.random.split(key)
        values = draw(problem.sites(), first)
        after, moved = teleport.teleport(problem, values, second, POOL)
        return sites_of(values), sites_of(after), problem.log_rest(values), moved

    def run(problem):
        keys = jax.random.split(jax.random.key(4), 2 * DRAWS)
        with jax.enable_x64(True):
            # compiled anew, since a test may change what is called
            compiled = eqx.filter_jit(lambda problem, keys: jax.vmap(lambda key: one(problem, key))(keys))
            return jax.tree.map(np.asarray, compiled(problem, keys))

    return run


FAULTS = {
    # without data, to count the prior again is to drop the proposal's density from the ratio
    "local scales are counted twice": lambda pool: -jnp.log1p(pool.sites["lam"] ** 2),
    "the proposal of lengths is forgotten": lambda pool: -pool.log_ratio,
}


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_teleports_keep_the_prior_where_there_are_no_data(teleported, fault, inputs, monkeypatch):
    problem = horseshoe(INPUTS[inputs])
    if fault:
        right, wrong = teleport._log_weights, FAULTS[fault]
        monkeypatch.setattr(teleport, "_log_weights", lambda *known: right(*known) + wrong(known[-1]))
    before, after, *_ = teleported(problem.without_data())
    p = drift_p_value(after - before)
    assert (p < P_VALUE) if fault else (p > P_VALUE)


@pytest.mark.parametrize("inputs", INPUTS)
def test_teleports_keep_the_posterior(teleported, inputs):
    """Prior draws weighted by the likelihood stand for the posterior, and still do after a move that keeps it."""
    problem = horseshoe(INPUTS[inputs])
    before, after, log_weights, moved = teleported(thinned(problem, [4, 11]))
    weights = special.softmax(log_weights)
    assert 1 / np.sum(weights**2) > 500
    assert drift_p_value(weights[:, None] * (after - before)) > P_VALUE
    assert drift_p_value(after - before) < P_VALUE  # the prior is another distribution, and moves away from itself
    assert moved.mean() > 0.3


# ---------------------------------------------------------------- interweaving


@pytest.mark.parametrize(
    "prior", [RegularizedHorseshoe(1.0), Repulsive(RegularizedHorseshoe(1.0))], ids=["alone", "repulsive"]
)
def test_interweaving_keeps_every_length_and_scale(prior, x64):
    problem = problem_of(prior, k=K)

    def look(values):
        scales = prior.scales(values, problem.context, values["sigma"])
        return problem.lengths.excess(values), scales, problem.log_rest(values)

    @jax.jit
    def both(first, second):
        values = draw(problem.sites(), first)
        after = interweave(problem, values, second, 64)
        return values, after, look(values), look(after)

    values, after, expected, found = both(jax.random.key(5), jax.random.key(6))
    for part, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, value, rtol=1e-9)
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


def test_priors_without_shared_sites_are_left_alone(x64):
    values = {"centre": jnp.zeros((2, 1))}
    assert interweave(problem_of(Flat(), k=2), values, jax.random.key(0), 4) is values


def test_no_site_is_both_shared_and_of_one_splat(problem):
    assert Lengths().shared_sites.isdisjoint(PER_SPLAT)
    assert problem.spec.prior.shared_sites.isdisjoint(problem.spec.prior.own_sites)
