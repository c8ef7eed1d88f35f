"""NUTS with its Gibbs moves draws from the posterior: the prior with the data off, importance sampling with them."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from posterior.problems import from_prior, problem_of, thinned
from scipy import special, stats
from statistical import P_VALUE, batch_means, expectation, mean_p_value

from bayesplat.posterior import nuts
from bayesplat.posterior.program import potential
from bayesplat.priors import Ridge
from bayesplat.priors.sites import draw, unconstrain

K, CHAINS = 2, 4
SETTINGS = nuts.Settings(warmup=500, draws=2500, max_tree_depth=4, pool=5)


ROWS = {"off": [], "on": [0, 3, 6, 9, 12]}


@pytest.fixture(scope="module")
def problem():
    with jax.enable_x64(True):
        return problem_of(Ridge(), k=K)


def statistics(problem, values):
    """Scalars (s, q) of site values: what is compared."""
    geometry = problem.geometry(values)
    lengths = jnp.sort(jnp.log(jnp.diagonal(geometry.A, axis1=-2, axis2=-1)).ravel())
    centres = jnp.sort(geometry.b.ravel())
    parts = [lengths, centres, jnp.log(values["sigma"])[None], jnp.log(values["tau"])[None], values["location"]]
    return jnp.concatenate([*parts, jnp.log(values["spread"])[None]])


@pytest.fixture(scope="module")
def sampled(problem):
    """Statistics (chains, draws, q) of the sampler's draws and its chains, with the data off and on."""

    def run(rows):
        with jax.enable_x64(True):
            switch, table = thinned(problem, rows), problem.sites()
            keys = jax.random.split(jax.random.key(1), CHAINS)
            starts = [unconstrain(table, draw(table, key)) for key in keys]
            chains = nuts.run_nuts(switch, starts, jax.random.key(2), SETTINGS)
            found = jax.vmap(jax.vmap(lambda values: statistics(problem, values)))(chains.values)
            return np.asarray(found), chains

    return {name: run(rows) for name, rows in ROWS.items()}


@pytest.fixture(scope="module")
def plain(problem):
    """Independent draws from the prior: the log likelihood (s,) of the data that are on, and statistics (s, q)."""
    return from_prior(thinned(problem, ROWS["on"]), statistics, 200_000)


@pytest.fixture(scope="module")
def share(problem):
    """Share of splats that teleport with the data off, and its error: candidates differ by their proposal alone."""
    with jax.enable_x64(True):
        rng, size, shortest = np.random.default_rng(0), (200_000, 1), float(np.log(problem.box.floor))
        location = np.log(problem.lengths.median(problem.box)) + 0.7 * rng.normal(size=size)
    spread = 0.6 * np.exp(0.4 * rng.normal(size=size))
    excess = location + spread * rng.standard_t(4, size=(size[0], SETTINGS.pool + 1))
    free = rng.uniform(size=excess.shape) < 0.5
    free[:, 0] = False  # the splat itself
    excess = np.where(free, rng.uniform(shortest, 0.0, size=excess.shape), excess)
    prior = stats.t(4).pdf((excess - location) / spread) / spread
    weights = prior / (0.5 * prior + 0.5 * ((excess > shortest) & (excess < 0)) / -shortest)
    moved = 1 - weights[:, 0] / weights.sum(1)
    return moved.mean(), moved.std() / np.sqrt(len(moved))


def test_the_prior_is_recovered_with_the_data_off(sampled, plain, share):
    before, (found, chains) = plain[1], sampled["off"]
    error = before.std(0) / np.sqrt(len(before))
    assert mean_p_value(batch_means(found), before.mean(0), error) > P_VALUE
    assert mean_p_value(batch_means(found**2), (before**2).mean(0), (before**2).std(0) / np.sqrt(len(before))) > P_VALUE
    assert mean_p_value(batch_means(found + 0.2 * found.std((0, 1))), before.mean(0), error) < P_VALUE
    assert mean_p_value(chains.stats["teleported"].reshape(-1, 100).mean(1), *share) > P_VALUE
    assert chains.stats["diverging"].mean() < 0.01


def test_the_posterior_agrees_with_importance_sampling(sampled, plain):
    (log_weights, before), (found, chains) = plain, sampled["on"]
    expected, error = expectation(log_weights, before)
    assert mean_p_value(batch_means(found), expected, error) > P_VALUE
    tempered = special.softmax(0.5 * log_weights)
    assert mean_p_value(batch_means(found), tempered @ before, error) < P_VALUE
    assert chains.stats["teleported"].mean() < 5 / 6


def test_the_density_beside_a_draw_is_its_own(problem, sampled):
    """And not that of the position before the moves that came after it."""
    chains, on = sampled["on"][1], thinned(problem, ROWS["on"])
    some = jax.tree.map(lambda leaf: leaf[:, ::50].reshape(-1, *leaf.shape[2:]), (chains.values, chains.stats))
    with jax.enable_x64(True):
        own = jax.vmap(lambda values: potential(on, unconstrain(on.sites(), values)))(some[0])
    np.testing.assert_allclose(some[1]["potential_energy"], own, rtol=1e-8)
    assert np.ptp(own) > 1


def test_an_interrupt_keeps_as_many_draws_of_equally_long_chains_as_there_are():
    settings = nuts.Settings(warmup=30, draws=100)
    chunk = np.arange(nuts.CHUNK)

    def chain(chunks):
        return [({"z": chunk + i * nuts.CHUNK}, {"energy": chunk}) for i in range(chunks)]

    cut = nuts._gather([chain(6), chain(4)], settings, True)
    np.testing.assert_array_equal(cut.values["z"], np.tile(np.arange(30, 100), (2, 1)))
    assert cut.interrupted
    assert nuts._gather([chain(6), chain(6)], settings, False).values["z"].shape == (2, 100)
    for late in (0, 1, 2):  # not begun, in warm-up, hardly beyond: those that are done stay
        found = nuts._gather([chain(6), chain(6), chain(late), chain(0)], settings, True)
        np.testing.assert_array_equal(found.values["z"], np.tile(np.arange(30, 130), (2, 1)))
    with pytest.raises(KeyboardInterrupt):
        nuts._gather([chain(1), chain(0)], settings, True)


def test_the_mass_is_learnt_in_warmup_alone_and_not_at_its_end(problem, x64):
    settings = nuts.Settings(warmup=100)
    position = unconstrain(problem.sites(), draw(problem.sites(), jax.random.key(0)))
    state = nuts._start(problem, settings, position, jax.random.key(1))

    def learnt(i):
        hmc = state.hmc._replace(i=jnp.asarray(i), z_grad=5.0 * jnp.ones_like(state.hmc.z))
        return np.asarray(nuts._adapt(problem, settings, state._replace(hmc=hmc)).fisher)

    assert (learnt(50) > 1).all()
    for late in (95, 100, 1000):
        np.testing.assert_array_equal(learnt(late), 1.0)


def test_every_chain_has_a_key_of_its_own(monkeypatch):
    def advance(problem, settings, state):
        return state, ({"key": np.tile(state, (nuts.CHUNK, 1))}, {"diverging": np.zeros(nuts.CHUNK, bool)})

    monkeypatch.setattr(nuts, "_start", lambda problem, settings, position, key: np.asarray(jax.random.key_data(key)))
    monkeypatch.setattr(nuts, "_advance", advance)
    chains = inspect.unwrap(nuts.run_nuts)(None, [{}, {}], jax.random.key(0), nuts.Settings(warmup=25, draws=25))
    assert not np.array_equal(*chains.values["key"])


def test_chains_from_one_start_begin_apart(problem, x64):
    values = draw(problem.sites(), jax.random.key(0))
    one, two = (nuts.disperse(problem, values, jax.random.key(seed)) for seed in (1, 2))
    for name, at in unconstrain(problem.sites(), values).items():
        assert (np.abs(one[name] - at) < 0.2).all()
        assert not np.any(one[name] == two[name])
