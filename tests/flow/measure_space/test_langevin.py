"""Particles at a temperature end where theory says; planted faults end elsewhere."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from statistical import P_VALUE, mean_p_value

from bayesplat.flow.measure_space import langevin
from bayesplat.flow.measure_space.field import alone, measure_of, of_splats
from bayesplat.flow.measure_space.functional import NegLogLikelihood
from bayesplat.scales import Full
from tests.flow.measure_space.cases import GAUSSIAN, energy_of
from tests.flow.measure_space.cases import measure_of as splats

# ---------------------------------------------------------------- Langevin: the posterior of a splat's centre

SIGMA, WIDE, TRUTH = 0.5, 1.0, np.array([0.3, -0.2])


@pytest.fixture(scope="module")
def linearised():
    """Log density of the shift of all centres of a measure, to first order, and its precision and mean (conjugate)."""
    with jax.enable_x64(True):
        x = np.random.default_rng(4).uniform(size=(20, 2))
        here, J = (np.asarray(part) for part in (splats()(x), -splats().gradient(x)[:, 0]))
        y = here + (J @ TRUTH)[:, None] + SIGMA * np.random.default_rng(5).normal(size=here.shape)
        fit = NegLogLikelihood(y, SIGMA)

    def log_density(shift):
        return -fit.value(here + (J @ shift)[:, None]) - 0.5 * jnp.sum(jnp.square(shift / WIDE))

    precision = J.T @ J / SIGMA**2 + np.eye(2) / WIDE**2
    return log_density, precision, np.linalg.solve(precision, J.T @ (y - here)[:, 0] / SIGMA**2)


@pytest.fixture(scope="module")
def posterior_p_value(linearised):
    """P-value of the moments of particles against the law of Langevin steps of length dt."""
    log_density, precision, mean = linearised

    @jax.jit
    def particles(dt, temperature):
        move = langevin.langevin(alone(log_density), dt)
        start = jnp.zeros((2000, 2))
        return langevin.evolve(jax.random.key(0), start, [move], langevin.geometric(temperature, 1.0), 1000)

    def p_value(step, law, temperature=1.0):
        """With steps and the law's steps in units of the longest stable one."""
        longest = 2 / np.linalg.eigvalsh(precision).max()
        offset = np.asarray(particles(step * longest, temperature)) - mean
        covariance = np.linalg.inv(precision @ (np.eye(2) - 0.5 * law * longest * precision))
        products = offset[:, :, None] * offset[:, None, :] - covariance
        return mean_p_value(np.column_stack([offset, products[:, *np.tril_indices(2)]]), 0.0)

    return p_value


def test_langevin_ends_at_the_posterior(posterior_p_value, x64):
    assert posterior_p_value(0.01, law=0.0) > P_VALUE


def test_bias_of_a_long_step_is_the_known_one(posterior_p_value, x64):
    """A step dt leaves the covariance (H - dt H^2 / 2)^-1 for the precision H."""
    assert posterior_p_value(0.3, law=0.3) > P_VALUE
    assert posterior_p_value(0.3, law=0.0) < P_VALUE


def test_planted_fault_noise_without_its_square_root_of_two_is_caught(posterior_p_value, x64):
    assert posterior_p_value(0.01, law=0.0, temperature=0.5) < P_VALUE


# ---------------------------------------------------------------- birth-death: two wells

SHARE, APART, BANDWIDTH = 0.7, 3.5, 0.5


def log_two_wells(place):
    """Unit wells at -+APART, the right one with its share of the mass."""
    wells = -0.5 * jnp.square(place[0] + APART * jnp.array([1.0, -1.0]))
    return jax.nn.logsumexp(wells + jnp.log(jnp.array([1 - SHARE, SHARE])))


WELLS = alone(log_two_wells)


def reversed_birth_death(dt):
    """The planted fault: births where there should be deaths."""

    def move(key, particles, temperature):
        rate = langevin.birth_death_rate(particles, WELLS(particles, particles), BANDWIDTH, temperature)
        return langevin.replace(key, particles, -rate, dt)

    return move


@pytest.fixture(scope="module")
def ensembles():
    """Eight ensembles that start in the left well: (8, k) places after a time of 30, with births and deaths over dt."""

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None, None, None, None))
    def many(key, dt, wrong_dt, start, ratio):
        moves = [
            langevin.langevin(WELLS, 0.05),
            langevin.birth_death(WELLS, dt, BANDWIDTH),
            reversed_birth_death(wrong_dt),
        ]
        particles = jax.random.normal(jax.random.key(1), (150, 1)) - APART
        return langevin.evolve(key, particles, moves, langevin.geometric(start, ratio), 600)[:, 0]

    @functools.cache
    def places(dt, wrong_dt=0.0, start=1.0, ratio=1.0):
        return np.asarray(many(jax.random.split(jax.random.key(2), 8), dt, wrong_dt, start, ratio))

    return places


def test_birth_death_finds_the_weights_of_the_wells(ensembles, x64):
    share = (ensembles(0.05) > 0).mean(1)
    assert mean_p_value(share, SHARE) > P_VALUE
    assert share.std() < 0.1


def test_langevin_alone_stays_in_its_well(ensembles, x64):
    share = (ensembles(0.0) > 0).mean(1)
    assert 0 < share.mean() < 0.2
    assert mean_p_value(share, SHARE) < P_VALUE


def test_planted_fault_in_the_sign_of_the_rate_is_caught(ensembles, x64):
    assert mean_p_value((ensembles(0.0, wrong_dt=0.05) > 0).mean(1), SHARE) < P_VALUE


def test_annealing_ends_at_the_bottom_of_the_deeper_well(ensembles, x64):
    frozen = ensembles(0.05, start=3.0, ratio=0.99)
    assert np.abs(frozen - APART).max() < 0.5
    assert frozen.std() < 0.15
    assert ensembles(0.05).std() > 1.0


def test_rate_is_the_first_variation_of_the_free_energy(x64):
    """T log mu_h + potential, centred; mu_h by SciPy."""
    particles, potential = np.random.default_rng(6).normal(size=(2, 7))
    estimate = stats.gaussian_kde(particles, BANDWIDTH / particles.std(ddof=1))
    expected = 0.4 * estimate.logpdf(particles) + potential
    rate = langevin.birth_death_rate(particles[:, None], potential, BANDWIDTH, 0.4)
    np.testing.assert_allclose(rate, expected - expected.mean(), rtol=1e-10, atol=1e-12)


def test_births_and_deaths_come_at_their_rate(x64):
    """A particle has 1 - dt rate k / (k - 1) descendants on average: its own, and those of the deaths of others."""
    dt, rate = 0.02, np.array([2.0, -1.0, 0.5, 0.0, -1.5])
    k = rate.size
    replace = jax.jit(jax.vmap(lambda key: langevin.replace(key, jnp.arange(k)[:, None] * 1.0, rate, dt)[:, 0]))
    labels = np.asarray(replace(jax.random.split(jax.random.key(3), 8000)))
    descendants = (labels[:, :, None] == np.arange(k)).sum(1)
    assert (descendants.sum(1) == k).all()
    drift = dt * rate * k / (k - 1)
    assert mean_p_value(descendants, 1 - drift, error=np.max(drift) ** 2) > P_VALUE
    assert mean_p_value(descendants, 1 + drift, error=np.max(drift) ** 2) < P_VALUE


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (langevin.constant(2.0), [2.0, 2.0, 2.0, 2.0]),
        (langevin.geometric(2.0, 0.5), [2.0, 1.0, 0.5, 0.0625]),
        (langevin.linear_to_zero(2.0, 4), [2.0, 1.5, 1.0, 0.0]),
    ],
)
def test_schedules(schedule, expected, x64):
    np.testing.assert_allclose([schedule(jnp.asarray(step)) for step in (0, 1, 2, 5)], expected)


def test_longer_runs_trace_no_more(x64):
    calls = []

    def counted(at, ensemble):
        calls.append(1)
        return WELLS(at, ensemble)

    moves = [langevin.langevin(counted, 0.1), langevin.birth_death(counted, 0.1, BANDWIDTH)]
    for steps in (2, 200):
        jax.eval_shape(
            lambda key, steps=steps: langevin.evolve(key, jnp.zeros((3, 1)), moves, langevin.constant(1.0), steps),
            jax.random.key(0),
        )
    assert len(calls) == 4


# ---------------------------------------------------------------- the field of splats


def test_splats_drift_down_the_first_variation_of_their_energy(x64):
    """The drift is k dE / d particles, as each has mass 1 / k; not so if the ensemble were moved with the place."""
    k, d, energy = 3, 2, energy_of()
    particles = 0.5 * np.random.default_rng(7).normal(size=(k, 1 + d + 1 + d))
    particles[:, 1 : 1 + d] -= 1.0
    field = of_splats(energy, GAUSSIAN, Full())

    def look(at):
        drift = at - langevin.langevin(field, 1.0)(jax.random.key(0), at, 0.0)
        free = jax.grad(lambda moved: jnp.sum(field(moved, moved)))(at)
        return drift, free, k * jax.grad(lambda at: energy.value(measure_of(at, GAUSSIAN, Full(), d)))(at)

    drift, free, expected = jax.jit(look)(particles)
    np.testing.assert_allclose(drift, expected, rtol=1e-9, atol=1e-12)
    assert not np.allclose(free, expected, rtol=1e-2)
