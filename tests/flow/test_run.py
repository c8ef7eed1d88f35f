"""The assembled flow: it goes down, finds what is there from every start, can be repeated, stopped and continued."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat._checks import BayesplatError
from bayesplat.devices import inference
from bayesplat.flow import birth_death, run
from bayesplat.flow.chain_start import chain_start
from bayesplat.flow.energy import neg_log_evidence
from bayesplat.flow.position import geometry
from bayesplat.flow.result import point_fit
from bayesplat.priors import R2D2, RegularizedHorseshoe
from bayesplat.scaling import Scaling
from bayesplat.tables import Data
from tests.flow.bumps import NOISE, SETTINGS, K, N, X, bumps, energy_of, problem_of

ENDLESS = SETTINGS._replace(rounds=10_000, patience=10_000)
SCALING = Scaling(np.array([-3.0]), np.array([20.0]), 7.0, 0.5)


def fitted(energy, done):
    """Values of the point fit at the data, by NumPy."""
    at = done.state.position
    length = np.exp(at.excess[:, 0]) + 0.25 * float(jnp.minimum(energy.problem.spacing, energy.problem.grid))
    columns = np.exp(-0.5 * ((X - at.centre[:, 0]) / length) ** 2)
    return columns @ done.amplitude + done.trend[0]


def misfit(energy, done, *places):
    """Root mean square distance of a point fit from the truth, in sds of the noise."""
    y = bumps(*places)
    truth = (bumps(*places, noise=0.0) - y.mean()) / y.std()
    return np.sqrt(np.mean((fitted(energy, done) - truth) ** 2)) * y.std() / NOISE


def falls(history):
    """Whether an energy never rises."""
    return bool((np.diff(history) <= 0).all())


# ---------------------------------------------------------------- what it finds


def test_every_start_finds_the_truth_to_within_the_noise(flows):
    for done in flows.runs:
        assert misfit(flows.first, done, 0.25, 0.7) < 0.8  # 8 free numbers and 40 data: about 0.45
    for done in flows.other:
        assert misfit(flows.second, done, 0.4, 0.85) < 0.8
    assert misfit(flows.first, flows.runs[0], 0.25, 0.75) > 0.8


def test_only_splats_that_earn_their_place_stay(flows):
    for done in (*flows.runs, *flows.other):
        assert done.state.live.sum() == 2
        assert done.alive[0] == K
        np.testing.assert_array_equal(done.amplitude == 0, ~done.state.live)


def test_no_further_splat_would_help_at_the_end(flows):
    assert all(done.certificate < 0 for done in (*flows.runs, *flows.other))


def test_starts_differ_and_end_alike(flows):
    energies = [float(done.state.energy) for done in flows.runs]
    assert energies == sorted(energies)
    assert np.ptp(energies) < 0.5
    assert flows.runs[0].history[0] != flows.runs[1].history[0]


def test_energy_falls_along_every_history(flows):
    for done in (*flows.runs, *flows.other):
        assert falls(done.history)
        assert done.history[-1] < done.history[0]
        assert done.history[-1] == done.state.energy
        assert not falls(done.history[::-1])


def test_same_key_gives_the_same_flow(flows):
    with inference():
        again = run.run_flow(flows.first, jax.random.key(0), 2, SETTINGS)
        other = run.run_flow(flows.first, jax.random.key(1), 2, SETTINGS)
    for before, after in zip(flows.runs, again, strict=True):
        np.testing.assert_array_equal(after.history, before.history)
        jax.tree.map(np.testing.assert_array_equal, after.state, before.state)
    assert not all(np.array_equal(a.history, b.history) for a, b in zip(flows.runs, other, strict=True))


# ---------------------------------------------------------------- what it compiles


def test_every_piece_is_compiled_once_for_data_of_one_shape(flows):
    first, second = flows.compiled
    assert {"fill", "_transport", "certificate", "death", "exact"} <= set(first)
    assert set(first.values()) == {1}
    assert not set(second) & set(first)


@pytest.mark.parametrize("prior", [RegularizedHorseshoe(n_active=2.0), R2D2()], ids=repr)
def test_all_amplitude_priors_share_the_compiled_flow(flows, compiled, prior):
    before = compiled.copy()
    with inference():
        energy = neg_log_evidence(problem_of(bumps(0.25, 0.7), prior=prior))
        run.run_flow(energy, jax.random.key(0), 1, SETTINGS._replace(rounds=2))
    assert compiled - before == {}


# ---------------------------------------------------------------- room, stopping, going on


def test_room_grows_while_every_splat_earns_its_place():
    energy = energy_of(bumps(0.12, 0.37, 0.62, 0.87))
    with inference():
        done = run.run_flow(energy, jax.random.key(0), 1, SETTINGS._replace(room=2, rounds=60))[0]
    assert done.alive.max() > 2
    assert done.state.live.sum() == 4
    assert misfit(energy, done, 0.12, 0.37, 0.62, 0.87) < 1.0


def test_a_flow_goes_on_where_it_was_left(flows):
    with inference():
        short = run.run_flow(
            flows.first, jax.random.key(3), 1, SETTINGS._replace(rounds=1, first_steps=3, last_steps=1)
        )
        on = run.run_flow(flows.first, jax.random.key(4), 1, SETTINGS, resume=tuple(short))[0]
    assert on.history[0] == short[0].state.energy
    assert falls(on.history)
    assert on.state.energy < short[0].state.energy - 1.0
    assert abs(on.state.energy - flows.runs[0].state.energy) < 0.5


def one_run(energy, settings, stop=None):
    with inference():
        return run._Start(energy, settings, jax.random.key(0), 0.0).run(stop or threading.Event())


REASONS = [
    (SETTINGS._replace(rounds=2, patience=9), "the budget of moves is spent"),
    (SETTINGS._replace(rounds=90, patience=2), "no move lowered the energy in 2 tries"),
]


@pytest.mark.parametrize(("settings", "words"), REASONS)
def test_a_run_says_why_it_stopped(flows, settings, words):
    done = one_run(flows.first, settings)
    assert words in done.reason
    assert len(done.history) == len(done.alive) <= settings.rounds + 2


def test_a_stopped_start_keeps_what_it_has(flows):
    stop = threading.Event()
    stop.set()
    done = one_run(flows.first, ENDLESS, stop)
    assert "interrupted; this is the best so far" in done.reason
    assert len(done.history) == 2
    assert np.isfinite(done.certificate)


def test_an_interrupt_ends_all_starts_and_keeps_the_best(flows):
    seen = []

    def report(progress):
        seen.append(progress)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with inference():
        runs = run.run_flow(flows.first, jax.random.key(0), 2, ENDLESS, report)
    assert len(runs) == 2
    assert all("interrupted" in done.reason for done in runs)
    assert seen[-1].done == sum(len(done.history) for done in runs)
    assert seen[-1].total == 2 * 10_002
    assert seen[-1].energy == runs[0].state.energy


# ---------------------------------------------------------------- moves


@pytest.fixture(scope="module")
def end(flows):
    """The end of a run, as the flow holds it."""
    with inference():
        return jax.tree.map(jnp.asarray, flows.runs[0].state)


def test_death_takes_the_splat_that_is_worth_least(flows, end, float64):
    worth = jax.jit(lambda p, live: flows.first.worth(flows.first.system(p, live), p))(end.position, end.live)
    _, live = birth_death.death(flows.first, end.position, end.live, jax.random.key(0), 0.0)
    gone = np.flatnonzero(np.asarray(end.live & ~live))
    assert list(gone) == [np.argmin(np.where(end.live, worth, np.inf))]


def test_a_split_that_is_merged_again_is_the_same_function(flows, end, float64):
    position, live = birth_death.split(flows.first, end.position, end.live, jax.random.key(0), 0.0)
    assert live.sum() == end.live.sum() + 1
    merged, again = birth_death.merge(flows.first, position, live, jax.random.key(0), 0.0)
    np.testing.assert_array_equal(again.sum(), end.live.sum())
    np.testing.assert_allclose(places(merged, again), places(end.position, end.live), atol=0.02)


def places(position, live):
    """Centres of the live splats in order."""
    return np.sort(np.asarray(position.centre)[np.asarray(live), 0])


def test_a_lost_bump_is_where_the_certificate_points(flows, end, float64):
    """Planted fault: without the splat on the second bump, the birth goes there and brings the energy back."""
    centre = np.where(end.live, end.position.centre[:, 0], np.inf)
    lost = int(np.argmin(np.abs(centre - 0.7)))
    live = end.live.at[lost].set(False)
    state = run.State(end.position, live, jnp.asarray(np.inf))
    after = run.advance(flows.first, SETTINGS, state, ("birth",), jax.random.key(0), 60)
    born = np.asarray(after.position.centre)[np.asarray(after.live & ~live), 0]
    np.testing.assert_allclose(born, [0.7], atol=0.02)
    assert after.energy < end.energy + 0.5


# ---------------------------------------------------------------- where the flow's end goes


def test_a_chain_starts_at_the_point_fit_with_spare_splats_spread_over_the_data(flows, float64):
    problem, done = flows.first.problem, flows.runs[0]
    values = chain_start(problem, flows.first, done)
    table = problem.sites()
    assert set(values) == set(table)
    assert all(np.all(table[site].support(values[site])) for site in table)
    at, expected = problem.geometry(values), geometry(problem, done.state.position)
    live = np.flatnonzero(done.state.live)
    np.testing.assert_allclose(np.sort(at.b[:2, 0]), np.sort(np.asarray(expected.b)[live, 0]), rtol=1e-8)
    assert np.ptp(np.asarray(at.b)[2:, 0]) > 0.3
    assert np.isfinite(problem.log_joint(values))


@pytest.fixture(scope="module")
def fit(flows):
    """The first fit in a user's units."""
    x, y = SCALING.low + SCALING.extent * X, 7.0 + 0.5 * np.asarray(flows.first.problem.y)
    with inference():
        return point_fit(flows.first.problem.spec, flows.first, flows.runs, SCALING, Data(x, y, ("x", "y")))


def test_point_fit_speaks_the_users_units(flows, fit):
    done = flows.runs[0]
    np.testing.assert_allclose(fit.predict(fit.x), 7.0 + 0.5 * fitted(flows.first, done), rtol=1e-9)
    assert fit.predict(fit.x[:, 0]).shape == (N,)
    np.testing.assert_allclose(fit.measure.b[:, 0], -3.0 + 20.0 * done.state.position.centre[:, 0])
    np.testing.assert_allclose(fit.sigma, 0.5 * np.exp(done.state.position.noise["sigma"]), rtol=1e-9)
    assert done.reason in str(fit)
    assert "no single splat can lower the energy" in str(fit)
    with pytest.raises(BayesplatError, match="`x_new` with 1 input column, as in the fit"):
        fit.predict(np.zeros((3, 2)))


def test_a_sound_fit_has_nothing_to_report(fit):
    found = fit.report()
    assert found.ok
    assert "Nothing wrong" in str(found)
    assert found.to_frame().loc["live splats", "value"] == f"2 of {K}"


def broken(fit, **changes):
    """The fit with other splats."""
    measure = fit.measure
    parts = {name: np.array(getattr(measure, name)) for name in ("v", "A", "b", "live")}
    for name, edit in changes.items():
        edit(parts[name])
    return type(fit)(**{**vars(fit), "measure": type(measure)(**parts, mother=measure.mother)})


def test_planted_failures_are_reported(fit):
    first, second, spare = [*np.flatnonzero(fit.measure.live), int(np.argmin(fit.measure.live))]

    def switch_on(live):
        live[spare] = True

    def clone(leaf):
        leaf[spare] = leaf[first]

    def opposite(v):
        v[spare] = -0.95 * v[first]

    pair = broken(fit, live=switch_on, A=clone, b=clone, v=opposite)
    assert "cancel in one place" in str(pair.report())
    drift = broken(fit, b=lambda b: b.__setitem__(second, 500.0))
    assert "reach no datum" in str(drift.report())
    spike = broken(fit, A=lambda A: A.__setitem__(first, 0.01), b=lambda b: b.__setitem__(first, fit.x[9]))
    spike = broken(spike, v=lambda v: v.__setitem__(first, 0.05))
    assert "rest on a single datum" in str(spike.report())
