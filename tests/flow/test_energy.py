"""The flow's energy, its births and deaths and its masses, against dense linear algebra at one position."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bayesplat import collapsed
from bayesplat.flow import birth_death, reaction
from bayesplat.trend import PRIOR_SD
from tests.flow.bumps import K, N, X

LIVE = np.array([True, True, False, True])


@pytest.fixture(scope="module")
def here(flows):
    """The energy of the first data set and a position off its minimum; the dead splat is far from the others."""
    with jax.enable_x64(True):
        position = jax.tree.map(jnp.asarray, flows.runs[0].state.position)
        centre = (position.centre + 0.03).at[2].set(9.0)
        yield flows.first, position._replace(centre=centre, log_tau=position.log_tau + 0.2)


@pytest.fixture(scope="module")
def value_and_grad(here):
    compiled = eqx.filter_jit(jax.value_and_grad(lambda position, live: here[0].value(position, live)))
    return lambda position, live=LIVE: jax.tree.map(np.asarray, compiled(position, jnp.asarray(live)))


@pytest.fixture(scope="module")
def around(here):
    """What births, deaths and the reaction say at the position, from one compiled pass."""
    energy, position = here

    def look(position, live, key):
        slot = birth_death.weakest(energy, position, live, key, 0.0)
        birth = birth_death.certificate(energy, position, live, key, 0.0)
        warm = birth_death.certificate(energy, position, live, key, 3.0)
        born, alive = birth_death.give_birth(position, jnp.asarray(2), birth), live.at[2].set(True)
        return {
            "slot": slot,
            "birth": birth,
            "warm": warm,
            "before": collapsed.log_density(energy.system(position, live)),
            "after": collapsed.log_density(energy.system(born, alive)),
            "born": born,
            "masses": reaction.exact(energy, position, live),
            "reborn": birth_death.rebirth(energy, born, alive, key, jnp.asarray(0.0)),
        }

    return jax.tree.map(np.asarray, jax.jit(look)(position, jnp.asarray(LIVE), jax.random.key(0)))


class Dense:
    """The same model by NumPy, one input and a constant trend."""

    def __init__(self, energy, position):
        self.problem, self.position = energy.problem, position
        self.sigma = float(np.exp(position.noise["sigma"]))
        self.floor = 0.25 * float(min(self.problem.spacing, self.problem.grid))

    def column(self, centre, length):
        return np.exp(-0.5 * ((X[:, 0] - centre) / length) ** 2)

    def columns(self, live):
        at = self.position
        lengths = np.exp(np.asarray(at.excess)[:, 0]) + self.floor
        splats = [self.column(b, length) for b, length in zip(np.asarray(at.centre)[:, 0], lengths, strict=True)]
        return np.column_stack([np.array(splats)[live].T, np.ones(N)])

    def scales(self, count):
        return np.append(np.full(count, float(np.exp(self.position.log_tau))), PRIOR_SD)

    def covariance(self, columns):
        scaled = columns * self.scales(columns.shape[1] - 1)
        return scaled @ scaled.T + (self.sigma**2 + 1e-10) * np.eye(N)

    def log_evidence(self, columns):
        return stats.multivariate_normal(np.zeros(N), self.covariance(columns)).logpdf(np.asarray(self.problem.y))

    def masses(self, live):
        columns = self.columns(live)
        prior = self.scales(columns.shape[1] - 1) ** 2
        return prior * (columns.T @ np.linalg.solve(self.covariance(columns), np.asarray(self.problem.y)))


@pytest.fixture(scope="module")
def dense(here):
    return Dense(*here)


def repulsion(length, b):
    """Log of prod (1 - c^2) over pairs of splats, c their Bhattacharyya coefficient."""
    i, j = np.triu_indices(len(b), 1)
    width = length[i] ** 2 + length[j] ** 2
    c = np.sqrt(2 * length[i] * length[j] / width) * np.exp(-0.25 * (b[i] - b[j]) ** 2 / width)
    return np.log(1 - c**2).sum()


def test_energy_is_minus_the_log_evidence_and_log_prior(here, value_and_grad, dense):
    """The prior: lengths, their location, tau and noise, with the log volume of every splat and their repulsion."""
    _, at = here
    median, tau = 0.5 * np.log(1 / N), np.log(1 / np.sqrt(K * 0.15))
    excess = np.asarray(at.excess)[LIVE, 0]
    log_prior = (
        stats.t(4, float(at.location[0]), 0.6).logpdf(excess).sum()
        + stats.norm(median, 0.7).logpdf(float(at.location[0]))
        + stats.norm(tau, 1.0).logpdf(float(at.log_tau))
        + stats.halfnorm.logpdf(dense.sigma)
        + np.log(dense.sigma)
        + np.log(np.exp(excess) + dense.floor).sum()
        + repulsion(np.exp(excess) + dense.floor, np.asarray(at.centre)[LIVE, 0])
    )
    found, _ = value_and_grad(at)
    np.testing.assert_allclose(found, -(dense.log_evidence(dense.columns(LIVE)) + log_prior), rtol=1e-8)


def test_gradient_of_the_energy_equals_finite_differences(here, value_and_grad):
    flat, unravel = jax.flatten_util.ravel_pytree(here[1])
    direction, step = np.random.default_rng(0).normal(size=flat.shape), 1e-6
    gradient = jax.flatten_util.ravel_pytree(value_and_grad(here[1])[1])[0]
    up, down = (value_and_grad(unravel(flat + sign * step * direction))[0] for sign in (1, -1))
    np.testing.assert_allclose(gradient @ direction, (up - down) / (2 * step), rtol=1e-5)


def test_dead_splats_out_of_reach_count_for_nothing(here, value_and_grad):
    _, at = here
    moved = at._replace(centre=at.centre.at[2].add(1.0), excess=at.excess.at[2].add(0.5))
    assert value_and_grad(moved)[0] == value_and_grad(at)[0]
    assert value_and_grad(moved, np.ones(K, bool))[0] != value_and_grad(at, np.ones(K, bool))[0]


def test_masses_are_the_conditional_mean(around, dense):
    amplitude, trend = around["masses"]
    expected = dense.masses(LIVE)
    np.testing.assert_allclose(amplitude[LIVE], expected[:-1], rtol=1e-7)
    np.testing.assert_allclose(trend, expected[-1:], rtol=1e-7)
    assert amplitude[2] == 0.0


def test_certificate_is_the_evidence_that_the_birth_adds(around, dense):
    birth = around["birth"]
    np.testing.assert_allclose(birth.gain, around["after"] - around["before"], rtol=1e-8)
    columns = dense.columns(LIVE)
    born = dense.column(birth.centre[0], np.exp(birth.excess[0]) + dense.floor)
    gain = dense.log_evidence(np.column_stack([born, columns])) - dense.log_evidence(columns)
    np.testing.assert_allclose(birth.gain, gain, rtol=1e-6)


def gains(dense):
    """Evidence added by every round splat at a datum with a length on the ladder."""
    columns = dense.columns(LIVE)
    ladder = np.geomspace(2 * dense.floor, 0.5, birth_death.RUNGS)
    tried = [np.column_stack([dense.column(x, length), columns]) for length in ladder for x in X[:, 0]]
    return np.array([dense.log_evidence(one) for one in tried]) - dense.log_evidence(columns)


def test_birth_is_the_best_of_all_data_and_lengths_unless_it_is_warm(around, dense):
    every = gains(dense)
    np.testing.assert_allclose(around["birth"].gain, every.max(), rtol=1e-6)
    assert around["warm"].gain < every.max() - 1e-6
    assert np.abs(every - around["warm"].gain).min() < 1e-6


def test_a_birth_is_round_and_takes_only_its_slot(here, around):
    _, at = here
    born, birth = around["born"], around["birth"]
    np.testing.assert_array_equal(born.centre[2], birth.centre)
    np.testing.assert_array_equal(born.excess[2], birth.excess)
    assert np.abs(X[:, 0] - birth.centre[0]).min() < 1e-12
    for before, after in zip(at[:3], born[:3], strict=True):
        np.testing.assert_array_equal(np.delete(after, 2, 0), np.delete(before, 2, 0))
    jax.tree.map(np.testing.assert_array_equal, tuple(born[3:]), tuple(at[3:]))


def loss(dense, live):
    """Evidence lost with each of the live splats; infinite for the dead one."""
    full = dense.log_evidence(dense.columns(live))
    rest = [dense.log_evidence(dense.columns(live & (np.arange(K) != i))) for i in range(K)]
    return np.where(live, full - np.array(rest), np.inf)


def test_the_weakest_splat_dies(around, dense):
    assert around["slot"] == np.argmin(loss(dense, LIVE))
    born = Dense.__new__(Dense)
    born.__dict__ = {**dense.__dict__, "position": around["born"]}
    changed = np.flatnonzero((around["reborn"].excess != around["born"].excess).any(1))
    assert list(changed) == [np.argmin(loss(born, np.ones(K, bool)))]


def test_rebirth_keeps_every_shape(here, around):
    assert jax.tree.map(jnp.shape, around["reborn"]) == jax.tree.map(jnp.shape, here[1])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(around["reborn"]))
