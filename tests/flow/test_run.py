"""The assembled flow: it goes down, it can be repeated, stopped and compiled once, and it finds what is there."""

import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import model
from bayesplat._checks import BayesplatError
from bayesplat.flow import run
from bayesplat.flow.chain_start import chain_start
from bayesplat.flow.result import point_fit
from bayesplat.scaling import Scaling
from bayesplat.tables import Data
from tests.flow.bumps import NOISE, SETTINGS, K, N, X, energy_of, on_a_thread, two_bumps


def greedy(energy):
    """Centres in the order of their births."""
    position, live, _ = on_a_thread(run._greedy, energy, jax.random.key(0), jnp.asarray(0.0))
    assert live.all()
    return position.centre[:, 0]


def near(centres, bumps):
    """Whether each of the bumps, 0.05 wide, has one of the centres within a third of its width."""
    return bool((np.abs(centres[:, None] - np.asarray(bumps)).min(0) < 0.017).all())


def test_greedy_start_puts_its_first_splats_on_well_separated_bumps(flows, x64):
    first, second = greedy(flows.first), greedy(flows.second)
    assert near(first[:2], [0.25, 0.7])
    assert near(second[:2], [0.4, 0.85])
    assert not near(first[:2], [0.4, 0.85])


def misfit(energy, done, first, second):
    """Root mean square distance of a point fit from the truth, in sds of the noise."""
    y = two_bumps(first, second)
    truth = (two_bumps(first, second, noise=0.0) - y.mean()) / y.std()
    return np.sqrt(np.mean((fitted(energy, done) - truth) ** 2)) * y.std() / NOISE


def test_flow_finds_the_truth_to_within_the_noise(flows):
    assert misfit(flows.first, flows.runs[0], 0.25, 0.7) < 0.8  # 11 free numbers and 40 data: about 0.5
    assert misfit(flows.second, flows.other[0], 0.4, 0.85) < 0.8
    assert misfit(flows.first, flows.runs[0], 0.25, 0.75) > 0.8


def fitted(energy, done):
    """Values of the point fit at the data, by NumPy."""
    at = done.state.position
    length = np.exp(at.excess[:, 0]) + 0.25 * float(jnp.minimum(energy.problem.spacing, energy.problem.grid))
    columns = np.exp(-0.5 * ((X - at.centre[:, 0]) / length) ** 2)
    return columns @ done.amplitude + done.trend[0]


def falls(history):
    """Whether an energy never rises."""
    return bool((np.diff(history) <= 0).all())


def test_energy_falls_along_every_history(flows):
    for done in (*flows.runs, *flows.other):
        assert falls(done.history)
        assert done.history[-1] < done.history[0]
        assert done.history[-1] == done.state.energy
        assert not falls(done.history[::-1])


def test_reported_energy_is_that_of_the_reported_position(flows, x64):
    value = eqx.filter_jit(lambda energy, state: energy.value(state.position, jnp.asarray(state.live)))
    for done in flows.runs:
        np.testing.assert_allclose(value(flows.first, done.state), done.state.energy, rtol=1e-9)
        assert not np.isclose(value(flows.second, done.state), done.state.energy, rtol=1e-3)


def test_best_start_comes_first_and_starts_differ(flows):
    energies = [float(done.state.energy) for done in flows.runs]
    assert energies == sorted(energies)
    assert flows.runs[0].history[0] != flows.runs[1].history[0]


def test_same_key_gives_the_same_flow(flows):
    with jax.enable_x64(True):
        again = run.run_flow(flows.first, jax.random.key(0), 2, SETTINGS)
        other = run.run_flow(flows.first, jax.random.key(1), 2, SETTINGS)
    for before, after in zip(flows.runs, again, strict=True):
        np.testing.assert_array_equal(after.history, before.history)
        jax.tree.map(np.testing.assert_array_equal, after.state, before.state)
    assert not all(np.array_equal(a.history, b.history) for a, b in zip(flows.runs, other, strict=True))


def test_every_piece_is_compiled_once_for_data_of_one_shape(flows, traces):
    assert flows.traced == [dict.fromkeys(traces, 1)] * 2
    before, shorter = dict(traces), energy_of(two_bumps(0.2, 0.5)[1:], X[1:])
    with jax.enable_x64(True):
        jax.eval_shape(lambda key: run._greedy(shorter, key, jnp.asarray(0.0))[1], jax.random.key(0))
    assert traces == {**before, "greedy": before["greedy"] + 1}


# ---------------------------------------------------------------- pieces of a step


def state_of(done):
    return jax.tree.map(jnp.asarray, done.state)


def test_transport_lowers_the_energy_and_keeps_what_it_cannot_better(flows, x64):
    position, live, value = on_a_thread(run._greedy, flows.first, jax.random.key(0), jnp.asarray(0.0))
    start = jax.tree.map(jnp.asarray, run.State(position, live, value))
    moved = on_a_thread(run._transport, flows.first, start, start.position, jnp.asarray(20))
    assert moved.energy < value - 1.0
    still = on_a_thread(run._transport, flows.first, start, start.position, jnp.asarray(0))
    jax.tree.map(np.testing.assert_array_equal, still, jax.tree.map(np.asarray, start))


@pytest.mark.parametrize("nudge", [1e-4, 1e-3, 1e-2, np.nan])
def test_transport_refuses_positions_that_are_no_better(flows, nudge, x64):
    state = state_of(flows.runs[0])
    worse = state.position._replace(centre=state.position.centre + nudge)
    kept = on_a_thread(run._transport, flows.first, state, worse, jnp.asarray(0))
    jax.tree.map(np.testing.assert_array_equal, kept, flows.runs[0].state)


def test_a_step_keeps_shapes_and_live_splats(flows, x64):
    state = state_of(flows.runs[0])
    after, info = on_a_thread(run.step, flows.first, SETTINGS, jax.random.key(3), state)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    np.testing.assert_array_equal(after.live, state.live)
    assert info.energy == after.energy <= state.energy
    assert info.accepted == (after.energy < state.energy)


# ---------------------------------------------------------------- stopping

ENDLESS = SETTINGS._replace(rounds=10_000, patience=10_000)


def one_run(energy, settings, stop=None):
    stop = stop or threading.Event()
    history = []
    done = on_a_thread(lambda: run._run_one(energy, settings, jax.random.key(0), 0.0, history, stop))
    assert list(done.history) == history
    return done


REASONS = [
    (SETTINGS._replace(rounds=2, patience=9), 4, "the budget of rounds is spent; raise `rounds`"),
    (SETTINGS._replace(rounds=50, patience=2, steps=0), None, "no rebirth lowered the energy in 2 tries"),
]


@pytest.mark.parametrize(("settings", "length", "words"), REASONS)
def test_a_run_says_why_it_stopped(flows, settings, length, words):
    done = one_run(flows.first, settings)
    assert words in str(done.reason)
    assert len(done.history) == length if length else len(done.history) < 52


def test_a_stopped_start_keeps_what_it_has(flows):
    stop = threading.Event()
    stop.set()
    done = one_run(flows.first, ENDLESS, stop)
    assert "interrupted; this is the best so far" in str(done.reason)
    assert len(done.history) == 2
    assert falls(done.history)
    assert np.isfinite(done.certificate)


def test_an_interrupt_ends_all_starts_and_keeps_the_best(flows):
    seen = []

    def report(progress):
        seen.append(progress)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with jax.enable_x64(True):
        runs = run.run_flow(flows.first, jax.random.key(0), 2, ENDLESS, report)
    assert len(runs) == 2
    assert all("interrupted" in done.reason for done in runs)
    assert all(2 <= len(done.history) < 10_000 for done in runs)
    assert seen[-1].done == sum(len(done.history) for done in runs)
    assert seen[-1].total == 2 * 10_002
    assert seen[-1].energy == runs[0].state.energy


# ---------------------------------------------------------------- where the flow's end goes


def test_a_chain_starts_at_the_point_fit(flows, x64):
    problem, done = flows.first.problem, flows.runs[0]
    values = chain_start(problem, flows.first, done)
    table = problem.sites()
    assert set(values) == set(table)
    assert all(np.all(table[site].support(values[site])) for site in table)

    def look(values, position):
        geometry = problem.geometry(values)
        return geometry, flows.first.geometry(position), problem.features(geometry), problem.log_joint(values)

    geometry, expected, columns, log_joint = jax.jit(look)(values, done.state.position)
    order = [int(np.argmin(np.abs(expected.b[:, 0] - b))) for b in geometry.b[:, 0]]
    assert sorted(order) == list(range(K))
    np.testing.assert_allclose(geometry.A, expected.A[np.array(order)], rtol=1e-8)
    assert falls(np.abs(done.amplitude[order]) * np.sqrt(np.mean(np.asarray(columns[:, :K]) ** 2, 0)))
    assert np.isfinite(log_joint)


SCALING = Scaling(np.array([-3.0]), np.array([20.0]), 7.0, 0.5)


def test_point_fit_speaks_the_users_units(flows):
    done = flows.runs[0]
    x, y = SCALING.low + SCALING.extent * X, 7.0 + 0.5 * np.asarray(flows.first.problem.y)
    with jax.enable_x64(True):
        fit = point_fit(flows.first.problem.spec, flows.first, flows.runs, SCALING, Data(x, y, ("x", "y")))
    np.testing.assert_allclose(fit.predict(x), 7.0 + 0.5 * fitted(flows.first, done), rtol=1e-9)
    assert fit.predict(x[:, 0]).shape == (N,)
    np.testing.assert_allclose(fit.measure.b[:, 0], -3.0 + 20.0 * done.state.position.centre[:, 0])
    np.testing.assert_allclose(fit.sigma, 0.5 * np.exp(done.state.position.noise["sigma"]), rtol=1e-9)
    assert fit.energy == done.state.energy
    assert done.reason in str(fit)
    with pytest.raises(BayesplatError, match="`x_new` with 1 input column, as in the fit"):
        fit.predict(np.zeros((3, 2)))


def test_features_are_those_of_the_model(flows, x64):
    done = flows.runs[0]
    geometry = flows.first.geometry(jax.tree.map(jnp.asarray, done.state.position))
    columns = model.features(flows.first.problem.spec, geometry, X)
    np.testing.assert_allclose(columns @ np.append(done.amplitude, done.trend), fitted(flows.first, done), rtol=1e-9)
