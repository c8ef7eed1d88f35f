"""The assembled flow: it goes down, finds what is there from every start, can be repeated, stopped and continued."""

import copy
import dataclasses
import threading
from collections import Counter
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from endurance.journals import killed

from bayesplat import prefetch, symptoms, threads
from bayesplat._checks import BayesplatError
from bayesplat.checkpoint import NO_JOURNAL, Folder
from bayesplat.devices import inference
from bayesplat.flow import birth_death, certificate, descent, run, step, turn
from bayesplat.flow.certificate import Candidates
from bayesplat.flow.chain_start import chain_start
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.joint import squared_error
from bayesplat.flow.position import Particles, geometry, particles
from bayesplat.flow.result import point_fit
from bayesplat.flow.step import State
from bayesplat.flow.turn import Standing, due
from bayesplat.prefetch import Cores
from bayesplat.priors import R2D2, RegularizedHorseshoe
from bayesplat.scaling import Scaling
from bayesplat.tables import Data
from tests.flow.bumps import SETTINGS, WIDTH, K, N, X, bumps, energy_of, fitted, misfit, problem_of, rms

ENDLESS = SETTINGS._replace(trial=10_000, rounds=10_000, patience=10_000)
SCALING = Scaling(np.array([-3.0]), np.array([20.0]), 7.0, 0.5)


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
    for done in (*flows.runs, *flows.other):
        assert done.certificate == done.certificates[-1] < 0


def test_certificates_before_births_are_those_of_their_states(flows):
    """Two births from one state have one certificate, and there was none before the first birth."""
    for done in flows.runs:
        assert done.certificates.shape == done.history.shape
        looked = np.flatnonzero(np.isfinite(done.certificates))
        assert len(looked) > 2
        assert np.isnan(done.certificates[: np.argmin(done.alive)]).all()  # while splats are dropped nobody looks
        same = np.flatnonzero(done.history == done.history[-1])
        np.testing.assert_allclose(done.certificates[np.intersect1d(looked, same)], done.certificate, rtol=1e-9)


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


def test_the_first_start_is_greedy_and_the_others_go_by_chance(flows):
    with inference():
        other = run.run_flow(flows.first, jax.random.key(1), 2, SETTINGS._replace(trial=1, rounds=1))
    before, after = ({round(float(done.history[0]), 6) for done in runs} for runs in (flows.runs, other))
    assert len(before) == len(after) == 2
    assert len(before & after) == 1


# ---------------------------------------------------------------- how it does where splats are plenty

LOUD, PLENTY = 0.2, 20


def told(make, k, seed, **settings):
    """What the best start says of two bumps in loud noise, in sds of the noise that was drawn."""
    y, truth = (bumps(0.25, 0.7, noise=noise, seed=seed) for noise in (LOUD, 0.0))
    with inference():
        energy = make(problem_of(y, k=k))
        done = run.run_flow(energy, jax.random.key(seed), 2, SETTINGS._replace(**settings))[0]
        sd = float(energy.noise(done.state.position)["sigma"]) * y.std()
        at, live = geometry(energy.problem, done.state.position), done.state.live
        heights = energy.problem.columns(at.A, at.b)[:, live]
        terms = heights * done.amplitude[live]
        signs = {"spikes": int(symptoms.spikes(heights, terms)), "pairs": int(symptoms.cancelling_pairs(terms))}
    f, drawn = y.mean() + y.std() * fitted(energy, done), rms(y - truth)
    return SimpleNamespace(
        live=int(done.state.live.sum()),
        sd=sd / drawn,
        misfit=rms(f - truth) / drawn,
        residual=rms(f - y) / drawn,
        **signs,
    )


@pytest.mark.parametrize("seed", range(3))
def test_splats_to_spare_do_not_make_it_overfit(flows, seed):
    few, many = (told(neg_log_evidence, k, seed, patience=6) for k in (K, PLENTY))
    assert abs(many.live - few.live) <= 1
    assert many.live <= 4
    for found in (few, many):
        assert 0.8 < found.sd < 1.2
        assert 0.8 < found.residual < 1.0
        assert found.spikes == found.pairs == 0
    assert many.misfit < min(few.misfit + 0.15, 0.7)


def test_squared_error_takes_the_noise_for_structure_where_splats_are_to_spare():
    """Planted fault: an energy in which splats cost nothing; 60 free numbers and 40 data."""
    found = told(squared_error, PLENTY, 2, trial=4, rounds=4)
    assert found.live > 15
    assert found.residual < 0.3
    assert found.misfit > 0.8
    assert found.spikes > 5  # splats on one datum,
    assert found.pairs > 0  # and splats that cancel


# ---------------------------------------------------------------- what it compiles


def test_every_piece_is_compiled_once_for_data_of_one_shape(flows):
    first, second = flows.compiled
    assert {"_fill", "_transport", "certificate", "death", "exact"} <= set(first)
    assert set(first.values()) == {1}
    assert not set(second) & set(first)


@pytest.mark.parametrize("prior", [RegularizedHorseshoe(n_active=2.0), R2D2()], ids=repr)
def test_all_amplitude_priors_share_the_compiled_flow(flows, compiled, prior):
    before = compiled.copy()
    with inference():
        energy = neg_log_evidence(problem_of(bumps(0.25, 0.7), prior=prior))
        run.run_flow(energy, jax.random.key(0), 1, SETTINGS._replace(trial=2, rounds=2))
    assert compiled - before == {}


# ---------------------------------------------------------------- cores


def on_cores(count, monkeypatch, **settings):
    """The ends of starts on so many cores, and the moves that were computed: many lower the energy, many do not."""
    computed, outcome = [], descent.Descent._outcome

    def counted(self, turn, interrupted):
        computed.append(turn.move)
        return outcome(self, turn, interrupted)

    monkeypatch.setattr(descent.Descent, "_outcome", counted)
    monkeypatch.setattr(prefetch, "cores", lambda: count)
    with inference():
        energy = energy_of(bumps(0.12, 0.37, 0.62, 0.87))
        hasty = SETTINGS._replace(begin="random", first_steps=3, steps=3)
        runs = run.run_flow(energy, jax.random.key(0), 2, hasty._replace(**settings))
    monkeypatch.setattr(descent.Descent, "_outcome", outcome)
    return runs, computed


def same(runs, others):
    """Whether two flows are equal to the last bit."""
    names = ("state", "amplitude", "history", "alive", "certificates", "reason")
    ends = ([[getattr(done, name) for name in names] for done in some] for some in (runs, others))
    bits = ([np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(end)] for end in ends)
    return next(bits) == next(bits)


@pytest.mark.parametrize("settings", [{}, {"room": 2, "trial": 6}], ids=["room for all", "wider and wider"])
def test_the_flow_is_the_same_to_the_last_bit_on_any_number_of_cores(monkeypatch, settings):
    (one, needed), (many, computed) = (on_cores(count, monkeypatch, **settings) for count in (1, 4))
    assert len(computed) > len(needed)
    assert step.CLEARING in needed
    assert same(one, many)


def test_moves_begun_before_another_lowered_the_energy_are_of_no_use(monkeypatch):
    """Planted fault: they are of the state as it was."""
    one, _ = on_cores(1, monkeypatch)
    monkeypatch.setattr(prefetch.Series, "changed", lambda self: None)
    many, _ = on_cores(4, monkeypatch)
    assert not same(one, many)


# ---------------------------------------------------------------- stopping, going on


def test_a_flow_goes_on_where_it_was_left(flows):
    with inference():
        hasty = SETTINGS._replace(trial=1, rounds=1, first_steps=3, last_steps=1)
        short = run.run_flow(flows.first, jax.random.key(3), 1, hasty)
        on = run.run_flow(flows.first, jax.random.key(4), 1, SETTINGS, resume=[short[0].state])[0]
    assert on.history[0] == short[0].state.energy
    assert falls(on.history)
    assert on.state.energy < short[0].state.energy - 1.0
    assert abs(on.state.energy - flows.runs[0].state.energy) < 0.5


def one_run(energy, settings, stop=None):
    with inference():
        start = descent.Descent(energy, settings, jax.random.key(0), 0.0, Cores())
        start.run(settings.rounds, stop or threading.Event())
        return start.end()


REASONS = [
    (SETTINGS._replace(rounds=2, patience=9), "the budget of moves is spent"),
    (SETTINGS._replace(rounds=90, patience=2), "no move lowered the energy in 2 tries"),
]


@pytest.mark.parametrize(("settings", "words"), REASONS)
def test_a_run_says_why_it_stopped(flows, settings, words):
    done = one_run(flows.first, settings)
    assert words in done.reason
    assert len(done.history) == len(done.alive) <= settings.rounds + 2


@pytest.mark.parametrize("when", ["between two phases", "at the end"])
def test_an_interrupt_that_no_start_saw_is_told_all_the_same(flows, monkeypatch, when):
    """Ctrl-C after the last move of the trial, or in the last transport: the budget was not spent."""
    calls, whole = [], run.run_all

    def interrupted(job, count, poll, interval=0.2):
        calls.append(count)
        return whole(job, count, poll, interval) or len(calls) == (1 if when == "between two phases" else 3)

    monkeypatch.setattr(run, "run_all", interrupted)
    monkeypatch.setattr(run, "EQUAL", np.inf)  # both go on
    with inference():
        runs = run.run_flow(flows.first, jax.random.key(0), 2, SETTINGS._replace(trial=2, rounds=4, patience=99))
    assert len(calls) == (2 if when == "between two phases" else 3)
    assert [done.reason for done in runs] == [descent.INTERRUPTED] * 2


def test_starts_that_had_not_begun_at_the_interrupt_never_do(flows, monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 1)
    begun, seen = [], []
    monkeypatch.setattr(descent.Descent, "_begun", _counted(descent.Descent._begun, begun))

    def report(progress):
        seen.append(progress)
        if len(seen) == 1:
            raise KeyboardInterrupt

    with inference():
        runs = run.run_flow(flows.first, jax.random.key(0), 3, ENDLESS, report)
    assert len(runs) == len(begun) < 3
    assert all(done.reason == descent.INTERRUPTED for done in runs)


def _counted(function, calls):
    def counting(self):
        calls.append(None)
        return function(self)

    return counting


def test_a_stopped_start_keeps_what_it_has(flows):
    stop = threading.Event()
    stop.set()
    done = one_run(flows.first, ENDLESS, stop)
    assert "interrupted; this is the best so far" in done.reason
    assert len(done.history) == 2
    assert np.isfinite(done.certificate)


@pytest.mark.parametrize("trial", [10_000, 2], ids=["in the trial", "after it"])
def test_an_interrupt_ends_all_starts_and_keeps_the_best(flows, trial, monkeypatch):
    monkeypatch.setattr(run, "EQUAL", np.inf)  # both go on
    for module in (prefetch, threads):
        monkeypatch.setattr(module, "cores", lambda: 4)
    seen, interrupts = [], []

    def report(progress):
        seen.append(progress)
        if progress.done > 8 and not interrupts:  # of which the starts and a trial of 2 moves are 6
            interrupts.append(None)
            raise KeyboardInterrupt

    with inference():
        runs = run.run_flow(flows.first, jax.random.key(0), 2, ENDLESS._replace(trial=trial), report)
    assert len(runs) == 2
    assert all("interrupted" in done.reason for done in runs)
    assert runs[0].state.energy == min(done.history.min() for done in runs)
    assert seen[-1].done == sum(len(done.history) for done in runs)
    assert seen[-1].total == 2 * 10_002
    assert seen[-1].energy == runs[0].state.energy


@pytest.mark.parametrize("records", [1, 9, 16], ids=["at the start", "in the trial", "after it"])
def test_a_killed_flow_goes_on_to_the_same_end(flows, tmp_path, monkeypatch, records):
    monkeypatch.setattr(run, "EQUAL", np.inf)  # both go on
    monkeypatch.setattr(prefetch, "cores", lambda: 4)
    monkeypatch.setattr(descent, "RECORD_EVERY", 0.0)

    def flow(journal):
        return run.run_flow(flows.first, jax.random.key(0), 2, SETTINGS._replace(trial=6), journal=journal)

    with inference():
        whole = flow(NO_JOURNAL)
        assert killed(flow, tmp_path, records)
        again = flow(Folder(tmp_path))
        assert not killed(flow, tmp_path, 10)  # what is done is only read
    for before, after in zip(whole, again, strict=True):
        for name in ("state", "amplitude", "history", "alive", "certificate"):
            jax.tree.map(np.testing.assert_array_equal, getattr(after, name), getattr(before, name))
        assert after.reason == before.reason


# ---------------------------------------------------------------- the trial

AHEAD = [
    ([7.0], {7.0}),
    ([0.0, 93.0], {0.0}),
    ([93.0, 0.0, 50.0], {0.0, 50.0}),
    ([3.0, 1.0, 9.0, 10.9], {1.0, 3.0, 9.0, 10.9}),
    ([1.0, 50.0, 93.0, 95.0], {1.0, 50.0}),
]


def tried(energies, reasons=()):
    """Starts after their trial, the first with a reason of its own."""
    reasons = [*reasons, *[run.BUDGET_SPENT] * len(energies)]
    pairs = zip(energies, reasons, strict=False)
    return [standing([99.0] * 51 + [energy], reason) for energy, reason in pairs]


def standing(history, reason):
    start = object.__new__(descent.Descent)
    start.at = Standing(history, [], [], reason=reason, trial=len(history))
    return start


@pytest.mark.parametrize(("energies", "expected"), AHEAD)
def test_the_lower_half_and_its_equals_go_on(energies, expected):
    assert {start.after_trial for start in run._ahead(tried(energies))} == expected


def test_a_start_that_fell_behind_says_so():
    ahead, behind = tried([0.0, 93.2])
    assert run._ahead([behind, ahead]) == [ahead]
    assert behind.at.reason == "93 nats above another start after 51 moves"
    assert ahead.at.reason == run.BUDGET_SPENT


def test_a_start_that_no_move_helped_is_done_and_keeps_its_reason():
    done, other, last = tried([0.0, 9.0, 93.0], ["no move lowered the energy"])
    none = standing([], run.BUDGET_SPENT)
    assert run._ahead([none, last, other, done]) == [other]
    assert done.at.reason == "no move lowered the energy"


@pytest.mark.parametrize(("equal", "moves"), [(np.inf, [8, 8]), (-1.0, [3, 8])], ids=["equal", "behind"])
def test_all_starts_have_the_trial_and_some_the_rest(flows, monkeypatch, equal, moves):
    monkeypatch.setattr(run, "EQUAL", equal)
    with inference():
        runs = run.run_flow(flows.first, jax.random.key(0), 2, SETTINGS._replace(trial=3, rounds=8, patience=99))
    runs = sorted(runs, key=lambda done: len(done.history))
    assert [len(done.history) - 2 for done in runs] == moves  # one more for the start, and one for the end
    assert all(len(done.alive) == len(done.history) and falls(done.history) for done in runs)
    assert ("nats above another start" in runs[0].reason) == (moves[0] < 8)


# ---------------------------------------------------------------- moves


def test_a_budget_below_the_trial_holds(flows):
    with inference():
        done = run.run_flow(flows.first, jax.random.key(0), 1, SETTINGS._replace(trial=9, rounds=2, patience=99))[0]
    assert len(done.history) == 2 + 2


SINGLE = set(step.CYCLE) - {step.SLIDE, step.CLEARING}
TURNS = [
    (0, {step.BIRTH}),
    (1, {step.REBIRTH, step.BIRTH, step.SPLIT}),
    (2, SINGLE),
    (4, SINGLE),
    (6, SINGLE - {step.BIRTH, step.SPLIT}),
]


def turns(flows, live, history):
    """Moves that have their turn in a start with so many splats that has come this far."""
    state = State(flows.runs[0].state.position, np.arange(K) < live, np.zeros(()))
    at = Standing(history, [live] * len(history), [0.0] * len(history), dropping=False, trial=len(history))
    return {due(flows.first, state, at._replace(turn=turn)).move for turn in range(len(step.CYCLE))}


@pytest.mark.parametrize(("live", "expected"), TURNS)
def test_every_move_that_there_are_splats_and_slots_for_has_its_turn(flows, live, expected):
    assert turns(flows, live, []) == expected
    assert turns(flows, live, [9.0, 7.0, 6.9, *[3.0] * (step.STALLED - 2), 0.0]) == expected


@pytest.mark.parametrize("gained", [0.0, 0.9], ids=["nothing", "little"])
def test_clearings_have_their_turn_once_single_moves_gain_next_to_nothing(flows, gained):
    stalled = [90.0, *[gained] * step.STALLED, 0.0]
    assert turns(flows, 4, stalled) == SINGLE | {step.CLEARING}
    assert turns(flows, 2, stalled) == SINGLE  # of two splats, single moves leave any explanation


@pytest.mark.parametrize("live", [0, 1, 2])
def test_swarms_have_their_turn_where_hardly_a_splat_lives_and_much_is_refused(flows, float64, live):
    def when(energy):
        at = Standing([9.0] * 40, [live] * 40, [0.0] * 40, dropping=False)
        return [i for i in range(36) if due(energy, state, at._replace(refused=i)).move == step.SWARM]

    state = State(flows.runs[0].state.position, np.arange(K) < live, np.zeros(()))
    assert when(flows.first) == (list(step.SWARMS) if live < 2 else [])
    assert when(squared_error(flows.first.problem)) == []  # where a splat costs nothing


@pytest.fixture(scope="module")
def wave():
    """A wave with eight data to a crest: only together do splats pay."""
    return energy_of(np.sin(30 * X[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=N))


def test_a_start_left_without_splats_finds_a_wave_by_a_swarm(wave, monkeypatch):
    def ends():
        with inference():
            done = run.run_flow(wave, jax.random.key(0), 2, SETTINGS._replace(trial=40, patience=20))
        return [(int(end.state.live.sum()), round(float(end.state.energy))) for end in done]

    assert ends() == [(6, 51), (6, 51)]
    monkeypatch.setattr(turn, "SWARMS", ())
    assert ends() == [(6, 51), (0, 61)]


def test_a_swarm_compiles_nothing_of_its_own(wave, flows, compiled, float64):
    before, done = Counter(compiled), flows.runs[0].state
    step.swarm(wave, SETTINGS, State(done.position, np.zeros(K, bool), done.energy), jax.random.key(0))
    assert not compiled - before


def test_a_swarm_that_gains_less_than_a_nat_never_was(wave, float64):
    empty = State(wave.start(K), np.zeros(K, bool), np.asarray(62.0))
    key = jax.random.key(3)
    found = step.swarm(wave, SETTINGS, empty, key)
    assert found.live.sum() > 3
    almost = empty._replace(energy=found.energy + 0.9)
    assert step.swarm(wave, SETTINGS, almost, key) is almost


@pytest.fixture(scope="module")
def end(flows):
    """The end of a run, as the flow holds it."""
    with inference():
        return jax.tree.map(jnp.asarray, flows.runs[0].state)


def test_death_takes_the_splat_that_is_worth_least(flows, end, float64):
    worth = jax.jit(lambda p, live: flows.first.worth(flows.first.system(p, live), p))(end.position, end.live)
    _, live = birth_death.death(flows.first, end.position, end.live, jax.random.key(0))
    gone = np.flatnonzero(np.asarray(end.live & ~live))
    assert list(gone) == [np.argmin(np.where(end.live, worth, np.inf))]


def on_a_line(energy, centres):
    """A position with splats of one size at these centres."""
    return energy.start(len(centres))._replace(centre=jnp.asarray(centres, float)[:, None])


def test_a_clearing_takes_a_splat_and_one_to_five_others_the_nearest_or_any(flows, float64):
    """Every live splat has its turn, and one always stays; the dead one, in the middle of two, counts for nothing."""
    centres, live = np.array([0.0, 0.1, 0.3, 0.35, 0.62, 1.0]), np.arange(K) != 3
    position = on_a_line(flows.first, centres)
    clear = jax.jit(jax.vmap(lambda key, live: birth_death.clearing(flows.first, position, live, key), (0, None)))
    keys = jax.random.split(jax.random.key(0), 1000)
    moved, left = clear(keys, live)
    gone, times = np.unique(live & ~np.asarray(left), axis=0, return_counts=True)
    share = {tuple(np.flatnonzero(row).tolist()): count / 1000 for row, count in zip(gone, times, strict=True)}
    assert set(map(len, share)) == {2, 3, 4}
    assert not left[:, 3].any()
    # more than four of five never die
    fours = sum(times for who, times in share.items() if len(who) == 4)
    np.testing.assert_allclose(fours, 3 / 5, atol=0.05)
    # a fifth are pairs: half of these any of ten, half one of five and its nearest
    np.testing.assert_allclose(share[0, 5], 1 / 100, atol=0.009)
    np.testing.assert_allclose(share[0, 1], 1 / 100 + 1 / 25, atol=0.02)
    np.testing.assert_array_equal(moved.centre[0], position.centre)
    assert {int(row.sum()) for row in clear(keys, np.arange(K) < 3)[1]} == {1}


class Stop(threading.Event):
    """Set once it has been asked so many times."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def is_set(self):
        self.after -= 1
        return self.after < 0


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(("live", "move"), [(4, step.CLEARING), (0, step.SWARM)], ids=["excursion", "swarm"])
def test_an_excursion_or_swarm_cut_short_is_as_if_not_begun(flows, end, monkeypatch, float64, live, move, after):
    monkeypatch.setattr(prefetch, "cores", lambda: 1)
    start = descent.Descent(flows.first, SETTINGS._replace(patience=99), jax.random.key(0), 0.0, Cores())
    start.state = State(end.position, np.arange(K) < live, np.zeros(()))
    past, refused = step.STALLED + 1, step.SWARMS[0]
    start.at = Standing([9.0] * past, [live] * past, [0.0] * past, refused=refused, dropping=False, trial=past)
    if live:
        monkeypatch.setattr(turn, "CYCLE", (step.CLEARING,))
    assert due(flows.first, start.state, start.at).move == move
    before, stop = copy.deepcopy(start.at), Stop(after)
    with start.cores.series(lambda move, obsolete: start._outcome(move, stop.is_set)) as series:
        start._move(series, 9, threading.Event())
    assert start.at == before
    assert stop.after == -1


@pytest.mark.parametrize("live", [[True, False, False], [True, True, True]], ids=["room", "no room"])
def test_a_birth_takes_the_first_dead_slot_or_does_nothing(flows, float64, live):
    position, live = on_a_line(flows.first, [0.1, 0.2, 0.3]), jnp.asarray(live)
    slot = jnp.full(2, 3 if live.all() else 1)
    candidates = Candidates(particles(on_a_line(flows.first, [0.7, 0.9])), jnp.array([1.0, 2.0]), slot)
    after, alive = birth_death.birth(candidates, position, live, jax.random.key(0), 0.0)
    if live.all():
        jax.tree.map(np.testing.assert_array_equal, after, position)
        assert alive.all()
    else:
        np.testing.assert_array_equal(after.centre[:, 0], [0.1, 0.9, 0.3])
        np.testing.assert_array_equal(alive, [True, True, False])


def test_a_split_that_is_merged_again_is_the_same_function(flows, end, float64):
    position, live = birth_death.split(flows.first, end.position, end.live, jax.random.key(0))
    assert live.sum() == end.live.sum() + 1
    assert np.diff(places(position, live)).min() > WIDTH  # the halves stand apart
    merged, again = birth_death.merge(flows.first, position, live, jax.random.key(0))
    np.testing.assert_array_equal(again.sum(), end.live.sum())
    np.testing.assert_allclose(places(merged, again), places(end.position, end.live), atol=1e-3)
    np.testing.assert_allclose(flows.first.value(merged, again), end.energy, atol=0.2)
    assert flows.first.value(position, live) > end.energy + 10.0  # until transport has moved them


def places(position, live):
    """Centres of the live splats in order."""
    return np.sort(np.asarray(position.centre)[np.asarray(live), 0])


def test_a_lost_bump_is_where_the_certificate_points(flows, end, float64):
    """Planted fault: without the splat on the second bump, the birth goes there and brings the energy back."""
    centre = np.where(end.live, end.position.centre[:, 0], np.inf)
    lost = int(np.argmin(np.abs(centre - 0.7)))
    live = end.live.at[lost].set(False)
    state = State(end.position, live, jnp.asarray(np.inf))
    after = step.advance(flows.first, SETTINGS, state, ("birth",), jax.random.key(0), 60)
    born = np.asarray(after.position.centre)[np.asarray(after.live & ~live), 0]
    np.testing.assert_allclose(born, [0.7], atol=0.02)
    assert after.energy < end.energy + 0.5


@pytest.mark.parametrize("lost", [None, 0, 1])
def test_the_certificate_is_the_sup_over_all_splats(flows, end, float64, lost):
    """Against a dense grid of lengths and centres; the ladder that its ascent begins at stays short of it."""
    energy, live = flows.first, jnp.asarray(end.live)
    live = live if lost is None else live.at[np.flatnonzero(end.live)[lost]].set(False)
    lengths, centres = np.meshgrid(np.geomspace(2 * energy.problem.box.floor, 1.0, 80), np.linspace(-0.1, 1.1, 241))
    excess = energy.problem.box.excess(jnp.asarray(lengths.ravel()))[:, None]
    every = Particles(excess, jnp.zeros((lengths.size, 0)), jnp.asarray(centres.ravel())[:, None])
    system, key = energy.system(end.position, live), jax.random.key(0)
    sup = float(jnp.max(energy.gain(system, end.position, every)[1]))
    rows = certificate.random_rows(energy, key)
    found = certificate.certificate(energy, end.position, live, key, rows)
    start = certificate._ladder(energy, system, end.position, rows, key)
    short = sup - float(jnp.max(energy.gain(system, end.position, start)[1]))
    assert sup - float(jnp.max(found.gain)) < (0.1 if lost is None else 0.002 * sup)
    assert short > (0.3 if lost is None else 0.02 * sup)


def test_a_needle_among_many_data_is_seen_from_the_data_that_are_fitted_worst(float64):
    n, rng = 12_000, np.random.default_rng(0)
    x = np.linspace(0, 1, n)
    y = 0.1 * rng.normal(size=n) + np.exp(-0.5 * ((x - 0.6123) * n) ** 2)
    energy = neg_log_evidence(problem_of(y / y.std(), x[:, None]))
    position, live = energy.start(2), jnp.zeros(2, bool)
    position = position._replace(noise={"sigma": jnp.log(0.1 / y.std())})
    missed = [float(step.certify(energy, position, live, jax.random.key(i)).gain.max()) for i in range(4)]
    seen = step.certify(energy, position, live, jax.random.key(0), worst=True)
    assert min(missed) < 0.0 < 45.0 < float(seen.gain.max())
    best = int(jnp.argmax(seen.gain))
    np.testing.assert_allclose(seen.at.centre[best], 0.6123, atol=2 / n)


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
        return point_fit(flows.first.problem.spec, flows.first, flows.runs, SCALING, Data(x, y, ("x", "y")), "cpu:0")


def test_point_fit_speaks_the_users_units(flows, fit):
    done = flows.runs[0]
    np.testing.assert_allclose(fit.predict(fit.x), 7.0 + 0.5 * fitted(flows.first, done), rtol=1e-9)
    assert fit.predict(fit.x[:, 0]).shape == (N,)
    np.testing.assert_allclose(fit.measure.b[:, 0], -3.0 + 20.0 * done.state.position.centre[:, 0])
    np.testing.assert_allclose(fit.sigma, 0.5 * np.exp(done.state.position.noise["sigma"]), rtol=1e-9)
    assert done.reason in str(fit)
    assert "no single splat was found to lower the energy" in str(fit)
    assert f"  transport    {done.transport} on cpu:0\n" in str(fit)
    assert done.transport == "gauss-newton"
    with pytest.raises(BayesplatError, match="`x_new` with 1 input column, as in the fit"):
        fit.predict(np.zeros((3, 2)))


def test_known_errors_are_noise_too_where_residuals_are_judged(fit):
    quiet = dataclasses.replace(fit, sigma=0.0)
    assert not quiet._residual.any()
    assert dataclasses.replace(quiet, y_err=np.full(fit.y.shape, 0.1))._residual.any()


def test_a_sound_fit_has_nothing_to_report(fit):
    found = fit.report()
    assert found.ok
    assert "Nothing wrong" in str(found)
    assert found.to_frame().loc["live splats", "value"] == f"2 of {K}"


def test_a_report_is_about_the_best_start_and_the_best_two(fit):
    first, second = fit.runs
    spent = {"reason": run.BUDGET_SPENT}
    above = {"state": second.state._replace(energy=first.state.energy + 3.0)}

    def signs(*runs):
        return dataclasses.replace(fit, runs=runs).report().signs

    (sign,) = signs(first._replace(**spent), second)
    assert "still moving when its budget ended" in sign
    (sign,) = signs(first, second._replace(**above))
    assert "ended 3.0 nats apart" in sign
    assert signs(first, second._replace(**spent)) == ()
    assert signs(first, second, second._replace(**above)) == ()
    assert signs(first) == ()
