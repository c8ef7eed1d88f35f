"""Sequential Monte Carlo: its evidence and means are those of brute force, and a fault in its moves is caught."""

import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from endurance.journals import killed
from posterior.problems import from_prior, problem_of, thinned
from scipy import special
from statistical import P_VALUE, expectation, mean_p_value

from bayesplat import collapsed
from bayesplat.checkpoint import NO_JOURNAL, Folder
from bayesplat.devices import inference
from bayesplat.posterior import gibbs, smc
from bayesplat.priors import R2D2, Repulsive, Ridge
from bayesplat.priors.sites import draw

RUNS = 8
SETTINGS = smc.Settings(draws=150, sweeps=1, leapfrogs=8, pool=8)
BRUTE = 40_000


@pytest.fixture(scope="module")
def problem():
    """Few data, so that draws from the prior find the posterior."""
    with jax.enable_x64(True):
        return thinned(problem_of(Ridge(), k=2), range(0, 15, 3))


def statistics(problem, values):
    """E[f | values, y] at three points, and what scatters about it."""
    columns = problem.features(problem.geometry(values))[jnp.asarray([1, 7, 13])]
    f = columns @ collapsed.mean_coefficients(problem.factor(values))
    return jnp.concatenate([f, f**2, jnp.log(values["sigma"])[None], jnp.log(values["tau"])[None]])


@pytest.fixture(scope="module")
def brute(problem):
    """Log evidence and means by importance sampling from the prior, with their standard errors."""
    log_weights, found = from_prior(problem, statistics, BRUTE)
    relative = special.softmax(log_weights) * BRUTE
    log_evidence = special.logsumexp(log_weights) - np.log(BRUTE)
    return log_evidence, relative.std() / np.sqrt(BRUTE), *expectation(log_weights, found)


def run(problem):
    """Evidence of every run relative to brute force's, and means over its draws."""
    with jax.enable_x64(True):
        found = smc.run_smc(problem, RUNS, jax.random.key(1), SETTINGS)
        each = jax.jit(jax.vmap(jax.vmap(lambda values: statistics(problem, values))))(found.values)
    assert found.log_p.shape == found.acceptance.shape == (RUNS, SETTINGS.draws)
    return found, np.asarray(each).mean(1)


@pytest.mark.parametrize("fault", [None, "teleports that forget the data"])
def test_evidence_and_means_are_those_of_brute_force(problem, brute, fault, monkeypatch):
    if fault:
        right, rise, none = gibbs.teleport, smc._rise.__wrapped__, jnp.zeros(())
        monkeypatch.setattr(gibbs, "teleport", lambda problem, *rest: right(problem.tempered(none), *rest))
        monkeypatch.setattr(smc, "_rise", eqx.filter_jit(lambda *args: rise(*args)))  # compiled anew
    found, means = run(problem)
    log_evidence, relative_error, mean, error = brute
    share = np.exp(found.log_evidence - log_evidence)
    p = [mean_p_value(share[:, None], 1.0, error=relative_error), mean_p_value(means, mean, error=error)]
    assert (min(p) > P_VALUE) == (fault is None)


def test_at_power_zero_nothing_is_known_and_at_one_everything(problem, x64):
    values = draw(problem.sites(), jax.random.key(2))
    at = [float(problem.tempered(jnp.asarray(power)).log_rest(values)) for power in (0.0, 0.25, 1.0)]
    np.testing.assert_allclose(at, np.array([0.0, 0.25, 1.0]) * float(problem.log_likelihood(values)), rtol=1e-12)


def test_a_draw_whose_likelihood_is_no_number_counts_as_the_worst(problem, x64):
    """It must not take the population with it."""
    state = smc._start(problem, SETTINGS.draws, jax.random.key(0))
    best = int(jnp.argmax(state.log_likelihood))
    after = smc._rise(problem, SETTINGS, state._replace(log_likelihood=state.log_likelihood.at[best].set(jnp.nan)))
    assert np.isfinite(after.log_evidence)
    assert 0 < after.power < 1
    assert len(np.unique(np.asarray(after.z), axis=0)) > SETTINGS.draws / 2


def test_every_draw_from_a_prior_that_explains_all_has_a_likelihood():
    x = np.linspace(0, 1, 100)[:, None]
    with inference():
        problem = problem_of(R2D2(r2=0.99), 20, x=x, y=np.sin(6 * x[:, 0]))
    log_likelihood, _ = from_prior(problem, lambda problem, values: values["sigma"], 400)
    assert np.isfinite(log_likelihood).all()


def test_repulsion_belongs_to_the_prior_and_is_not_tempered(x64):
    problem = problem_of(Repulsive(Ridge()), k=2)
    values = draw(problem.sites(), jax.random.key(3))
    geometry = problem.geometry(values)
    penalty = float(problem.spec.prior.log_penalty(geometry.A, geometry.b))
    assert float(problem.tempered(jnp.zeros(())).log_rest(values)) == pytest.approx(penalty)


def test_an_interrupt_keeps_the_runs_that_are_done(problem, monkeypatch):
    def first_only(job, count, poll):
        with inference():  # as every thread does, so that nothing is compiled again
            job(0, threading.Event())
        return True

    monkeypatch.setattr(smc, "run_all", first_only)
    with jax.enable_x64(True):
        found = smc.run_smc(problem, 3, jax.random.key(4), SETTINGS)
    assert found.interrupted
    assert found.log_evidence.shape == (1,)
    monkeypatch.setattr(smc, "run_all", lambda job, count, poll: True)
    with pytest.raises(KeyboardInterrupt, match="before a run had reached"):
        smc.run_smc(problem, 3, jax.random.key(4), SETTINGS)


def test_a_killed_run_goes_on_to_the_same_bits(problem, tmp_path):
    def runs(journal):
        return smc.run_smc(problem, 2, jax.random.key(3), SETTINGS, journal=journal)

    with inference():
        whole = runs(NO_JOURNAL)
        assert killed(runs, tmp_path, 1)
        again = runs(Folder(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, again, whole)
