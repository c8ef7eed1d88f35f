"""Transport: its Gauss-Newton matrix by dense algebra, and where it ends against another optimiser."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest
from jax.flatten_util import ravel_pytree

from bayesplat import SplatModel, likelihoods
from bayesplat.bound import bind_table
from bayesplat.devices import inference
from bayesplat.flow import transport
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.joint import squared_error
from bayesplat.flow.position import Particles, geometry, particles
from bayesplat.mothers import Box
from tests.flow.bumps import N, X, bumps, energy_of, problem_of
from tests.flow.dense import Dense


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


# ---------------------------------------------------------------- its matrix

K = 3
LIVE = np.array([True, False, True])


def oblique(energy, seed):
    """A position with splats of every shape in the square."""
    rng, at = np.random.default_rng(seed), energy.start(K)
    parts = (rng.normal(-1.5, 0.4, (K, 2)), rng.normal(0, 0.5, (K, 1)), rng.uniform(0.1, 0.9, (K, 2)))
    return at._replace(**Particles(*map(jnp.asarray, parts))._asdict())


@pytest.fixture(scope="module")
def square():
    """A problem with two inputs and missing data."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(35, 2))
    y = np.sin(5 * x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=35)
    return problem_of(np.where(np.arange(35) % 10 == 3, np.nan, y), x, K, trend="none")


@pytest.fixture(scope="module")
def curvature():
    def matrix(energy, at, live):
        place = geometry(energy.problem, at)
        return transport.curvature(energy, place, energy.system_at(place, at, live), live)

    return eqx.filter_jit(matrix)


def pairs(live):
    """Entries of the matrix that belong to live splats."""
    alive = np.tile(live, 5)
    return np.ix_(alive, alive)


def test_matrix_is_the_expected_curvature_and_the_priors(square, curvature):
    """E[a a^T | y] * (T^T C^-1 T) + prior precision, by blocks of the frame."""
    energy = neg_log_evidence(square)
    at = oblique(energy, 0)
    found, expected = np.asarray(curvature(energy, at, jnp.asarray(LIVE))), Dense(energy, at, LIVE).curvature()
    np.testing.assert_allclose(found[pairs(LIVE)], expected[pairs(LIVE)], rtol=1e-5, atol=1e-5)


def test_matrix_is_at_least_the_prior_wherever_the_splats_are(square, curvature):
    energy = neg_log_evidence(square)
    for seed in range(20):
        at, live = oblique(energy, seed), np.random.default_rng(seed).uniform(size=K) < 0.7
        prior = np.diag(Dense(energy, at, live).splats.prior_precision.reshape(-1))
        matrix = np.asarray(curvature(energy, at, jnp.asarray(live)))
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
        assert np.linalg.eigvalsh(matrix).min() > 0
        assert np.linalg.eigvalsh((matrix - prior)[pairs(live)]).min(initial=0.0) > -1e-9 * matrix.max()


@pytest.mark.parametrize("kind", [likelihoods.Normal, likelihoods.StudentT])
def test_noise_steps_by_its_fisher_information(kind):
    """2 J^T J of the log sds of the observed data, and a unit prior; J holds -1/2 for a datum's own mixing weight."""
    y = np.where(np.arange(N) % 7 == 2, np.nan, bumps(0.3))
    energy = energy_of(y, likelihood=kind("varying", n_bumps=3))
    at, F, seen = energy.start(1), np.asarray(energy.problem.noise_features), ~np.isnan(y)
    at = at._replace(noise={**at.noise, "noise_weight": jnp.array([0.5, -1.0, 0.3])})
    columns = {"mixing": -0.5 * np.eye(N), "noise_weight": F, "sigma": np.ones((N, 1))}
    J = seen[:, None] * np.column_stack([columns[name] for name in sorted(at.noise)])
    H = 2 * J.T @ J + np.eye(J.shape[1])
    rng = np.random.default_rng(0)
    gradient = {name: jnp.asarray(rng.normal(size=np.shape(value))) for name, value in at.noise.items()}
    step = transport._noise_step(energy, at, gradient, jnp.asarray(0.3))
    expected = -np.linalg.solve(H + 0.3 * np.diag(np.diag(H)), ravel_pytree(gradient)[0])
    np.testing.assert_allclose(ravel_pytree(step)[0], expected, rtol=1e-5, atol=1e-7)


# ---------------------------------------------------------------- where it ends


@pytest.fixture(scope="module")
def squares():
    """The paper's energy of two bumps, and two splats near them."""
    energy = squared_error(problem_of(bumps(0.25, 0.7), k=2))
    at = energy.start(2)
    excess = jnp.full((2, 1), np.log(0.08))
    return energy, at._replace(centre=jnp.array([[0.2], [0.75]]), excess=excess), jnp.ones(2, bool)


@pytest.fixture(scope="module")
def lowest(squares):
    """The optimum near the start, by Levenberg and Marquardt on the residuals."""
    energy, at, live = squares

    @jax.jit
    def solve(at):
        solver = optimistix.LevenbergMarquardt(rtol=1e-9, atol=1e-9)
        found = optimistix.least_squares(
            lambda moved, _: energy.residual(at._replace(**moved._asdict()), live), solver, particles(at)
        )
        return 0.5 * jnp.sum(energy.residual(at._replace(**found.value._asdict()), live) ** 2)

    return float(solve(at))


@pytest.mark.parametrize("left", [0.295, X[12, 0]], ids=["between data", "on a datum"])
def test_noise_follows_where_edges_stand_still(left):
    """A box that explains all data in small noise: nothing but the noise has far to go, and joint steps do not."""
    y = ((X[:, 0] > 0.3) & (X[:, 0] < 0.7)) + 1e-4 * np.random.default_rng(0).normal(size=N)
    box, right, live = Box(1024), 0.705, jnp.ones(1, bool)
    energy = energy_of(y, k=1, mother=box)
    length = jnp.full((1, 1), 0.5 * (right - left) / box.radius(1))
    at = energy.start(1)._replace(centre=jnp.array([[0.5 * (left + right)]]), excess=energy.problem.box.excess(length))
    joint, moved = (
        jax.jit(lambda method=method: getattr(transport, method)(energy, at, live, jnp.asarray(15)))()
        for method in ("gauss_newton", "transport")
    )

    def by_noise(position):
        values = [position._replace(noise={"sigma": jnp.asarray(log)}) for log in np.linspace(-12.0, 0.0, 121)]
        return min(float(energy.value(value, live)) for value in values)

    np.testing.assert_allclose(energy.value(moved[0], live), moved[1], rtol=1e-9)
    assert moved[1] < by_noise(moved[0]) + 0.1
    assert joint[1] > by_noise(joint[0]) + 50.0  # without settling


def transported(method, squares, counts):
    energy, at, live = squares
    compiled = jax.jit(lambda steps: getattr(transport, method)(energy, at, live, steps)[1])
    moved, value = jax.jit(lambda steps: getattr(transport, method)(energy, at, live, steps))(jnp.asarray(counts[-1]))
    np.testing.assert_allclose(energy.value(moved, live), value, rtol=1e-9)
    return [float(compiled(jnp.asarray(steps))) for steps in counts]


def test_gauss_newton_ends_where_levenberg_and_marquardt_end(squares, lowest):
    begin, soon, later = transported("gauss_newton", squares, [0, 20, 200])
    assert begin > 50 * lowest
    np.testing.assert_allclose([soon, later], lowest, rtol=1e-4)


def test_lbfgs_gets_there_too(squares, lowest):
    begin, first, later = transported("lbfgs", squares, [0, 1, 200])
    assert begin > first > later
    np.testing.assert_allclose(later, lowest, rtol=1e-3)


def lows(steps):
    """Energies after so many steps from eight places near three wide splats that are the truth, compiled anew."""
    centres, width = np.array([0.3, 0.5, 0.75]), 0.2
    energy = energy_of(np.exp(-0.5 * ((X - centres) / width) ** 2) @ np.array([1.0, -0.8, 0.9]), k=3)
    compiled = jax.jit(lambda at: transport.gauss_newton(energy, at, jnp.ones(3, bool), jnp.asarray(steps))[1])

    def begin(seed):
        aside, longer = np.random.default_rng(seed).normal(size=(2, 3, 1))
        excess = jnp.asarray(np.log(width) + 0.3 * longer)
        return energy.start(3)._replace(centre=jnp.asarray(centres[:, None] + 0.04 * aside), excess=excess)

    return np.array([float(compiled(begin(seed))) for seed in range(8)])


def test_steps_that_bend_with_the_valley_get_further(monkeypatch):
    """Without noise the valley is narrow and bends: straight steps are tens of nats behind after as many."""
    bent = lows(40)
    monkeypatch.setattr(transport, "SLIGHT", 0.0)
    assert np.median(lows(40) - bent) > 10


# ---------------------------------------------------------------- which one


def sized(energy, n):
    """The energy with as many data, seen by their number alone."""
    return eqx.tree_at(lambda e: e.problem.x, energy, jnp.zeros((n, energy.problem.d)))


@pytest.fixture(scope="module")
def spiked():
    """Two bumps and one high datum, free of noise; splats upon them, the narrow one as near to the floor as can be."""
    x = np.linspace(0, 1, 100)
    y = np.exp(-0.5 * ((x - 0.3) / 0.15) ** 2) + 0.5 * np.exp(-0.5 * ((x - 0.8) / 0.1) ** 2)
    y[50] += 1
    energy = squared_error(bind_table(SplatModel(K, trend="none"), x, y).problem, 1e-14)
    floor = float(energy.problem.box.floor)
    centre, excess = np.array([x[50] + 3e-4, 0.28, 0.82]), np.log([0.5 * floor, 0.16, 0.11])
    at = energy.start(K)._replace(centre=jnp.asarray(centre[:, None]), excess=jnp.asarray(excess[:, None]))
    return energy, at, eqx.filter_jit(lambda at, live: transport.transport(energy, at, live, np.asarray(60)))


def test_a_splat_at_the_floor_of_lengths_holds_nobody_up(spiked):
    """Its excess must not be thrown so far that no step is taken ever after."""
    energy, at, flow = spiked
    floor = np.log(float(energy.problem.box.floor))
    for _ in range(3):
        at, lowest = flow(at, np.ones(K, bool))
    assert -60 < float(at.excess[0, 0]) - floor < -5
    assert lowest < 1e-7
    aside, _ = flow(at._replace(centre=at.centre.at[1, 0].add(0.01)), np.ones(K, bool))
    assert abs(float(aside.centre[1, 0]) - 0.3) < 1e-3


@pytest.mark.parametrize("excess", [-1e6, 1e3])
def test_a_dead_splat_may_be_anything(spiked, excess):
    """Its frame may be none; the others must not hear of it."""
    _, at, flow = spiked
    live = np.array([False, True, True])
    (found, lowest), (odd, value) = (flow(at._replace(excess=at.excess.at[0, 0].set(e)), live) for e in (-3.0, excess))
    np.testing.assert_allclose(value, lowest, rtol=1e-9)
    np.testing.assert_allclose(odd.centre[1:], found.centre[1:], rtol=1e-9)
    assert abs(float(odd.centre[1, 0]) - 0.3) < 0.02


def test_the_size_chooses_the_transport():
    energy = energy_of(bumps(0.3))
    assert transport.choose(energy, 1000) == "gauss-newton"  # two coordinates each
    assert transport.choose(energy, 1001) == "lbfgs"
    assert transport.choose(sized(energy, 2**14), 1000) == "gauss-newton"
    assert transport.choose(sized(energy, 2**15), 1000) == "lbfgs"
    outliers = energy_of(np.resize(bumps(0.3), 600), x=np.resize(X, (600, 1)), likelihood=likelihoods.StudentT())
    assert transport.choose(outliers, 6) == "gauss-newton"  # however many mixing weights there are
