"""Convergence: every planted failure gets its own sentence, and good draws get none."""

import numpy as np
import pytest
import xarray as xr
from diagnostics.trees import CHAINS, DRAWS, K, N, nuts_groups, svi_groups, tree_of
from scipy import stats

from bayesplat.diagnostics.convergence import convergence, effective_draws, judged, pareto_khat
from bayesplat.diagnostics.evidence import with_evidence
from bayesplat.diagnostics.pool import chain_weights
from bayesplat.tables import sliced


def judge(groups):
    return convergence(tree_of(groups), "nuts")


def test_good_draws_pass():
    report = judge(nuts_groups())
    assert report.ok
    assert report.notes == ()
    assert report.table["r_hat"].max() < 1.01
    # independent draws: as many effective ones as there are
    np.testing.assert_allclose(report.table.loc["sigma", "ess_bulk"], CHAINS * DRAWS, rtol=0.15)
    assert "Converged: nothing failed." in str(report)
    assert "25% of teleports accepted" in str(report)
    assert list(report.table.index) == ["f (worst point)", "sigma", "log density"]


def test_data_that_no_splat_reaches_say_nothing_of_convergence():
    """Without a trend f is 0 there in all draws, and a statistic of what never changes is not a number."""
    groups = nuts_groups()
    groups["posterior"]["f"][..., 17] = 0.0
    report = judge(groups)
    assert report.ok
    assert 1 < report.table.loc["f (worst point)", "r_hat"] < 1.01
    groups["posterior"]["f"][2, :, 5] += 0.1
    assert "R-hat above 1.01 for f (worst point)" in str(judge(groups))


def test_chains_that_never_move_are_no_such_data():
    groups = nuts_groups()
    for name in ("f", "sigma"):
        groups["posterior"][name][:] = groups["posterior"][name][:1, :1]
    assert "R-hat above 1.01 for sigma (nan)" in str(judge(groups))


def test_the_tail_is_judged_beside_the_bulk():
    tree = tree_of(nuts_groups())
    found, draws = convergence(tree, "nuts").table, judged(tree)
    for kind in ("bulk", "tail"):
        assert found.loc["sigma", f"ess_{kind}"] == float(effective_draws(draws, kind)["sigma"])


def shift_one_chain_at_one_point(groups):
    groups["posterior"]["f"][2, :, 17] += 0.1


def shift_sigma(groups):
    groups["posterior"]["sigma"][1] += 0.1


def walk(groups):
    """Draws of sigma that repeat each other: the same values, each held 20 times."""
    sigma = groups["posterior"]["sigma"]
    groups["posterior"]["sigma"] = np.repeat(sigma[:, ::20], 20, axis=1)


def lonely(groups):
    for content in groups.values():
        for name in content:
            content[name] = content[name][:1]


def diverge(groups):
    groups["sample_stats"]["diverging"][3, 7] = True


def slow_energy(groups):
    energy = np.cumsum(np.random.default_rng(2).normal(size=(CHAINS, DRAWS)), axis=1)
    groups["sample_stats"]["energy"][1] = energy[1]


FAULTS = {
    "one chain elsewhere at one point": (shift_one_chain_at_one_point, "R-hat above 1.01 for f (worst point)"),
    "one chain elsewhere in sigma": (shift_sigma, "R-hat above 1.01 for sigma"),
    "draws that repeat": (walk, "ESS below 400 for sigma"),
    "one chain": (lonely, "Only one chain ran"),
    "a divergence": (diverge, "1 divergent transition:"),
    "slow energy": (slow_energy, "Energy mixes slowly (BFMI"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_failure_has_its_sentence(name):
    spoil, sentence = FAULTS[name]
    groups = nuts_groups()
    spoil(groups)
    report = judge(groups)
    assert not report.ok
    assert any(sentence in failure for failure in report.failures), report.failures
    assert f"! {report.failures[0]}" in str(report)


@pytest.mark.parametrize(
    ("busy", "remedy"),
    [(2, "run longer (warmup, draws)"), (4, "4 of 4 splats are at work, so raise `n_splats`")],
)
def test_chains_that_disagree_without_a_splat_to_spare_need_more_of_them(busy, remedy):
    groups = nuts_groups()
    groups["posterior"]["contribution"] = np.tile(np.where(np.arange(K) < busy, 1.0, 0.0), (CHAINS, DRAWS, 1))
    assert judge(groups).ok
    shift_one_chain_at_one_point(groups)
    assert any("Chains disagree" in failure and remedy in failure for failure in judge(groups).failures)


def test_draws_that_are_no_numbers_do_not_pass():
    groups = nuts_groups()
    groups["posterior"]["f"][:, :, 5] = np.nan
    assert not judge(groups).ok


def test_the_depth_limit_is_noted_where_draws_are_too_few():
    groups = nuts_groups()
    groups["sample_stats"]["reached_max_tree_depth"][:, ::4] = True
    assert judge(groups).ok
    assert judge(groups).notes == ()
    walk(groups)
    assert "25% of draws used the longest trajectory" in judge(groups).notes[0]


def test_f_is_judged_on_at_most_200_points():
    groups = nuts_groups()
    groups["posterior"]["f"] = np.repeat(groups["posterior"]["f"], 10, axis=2)
    assert groups["posterior"]["f"].shape[2] == 10 * N
    assert judge(groups).ok
    design = set(sliced(10 * N, 200).tolist())
    for point in (min(design), min(set(range(10 * N)) - design)):
        spoilt = {**groups, "posterior": {**groups["posterior"], "f": groups["posterior"]["f"].copy()}}
        spoilt["posterior"]["f"][2, :, point] += 0.5
        assert judge(spoilt).ok == (point not in design)


# ---------------------------------------------------------------- populations


def population(log_evidence):
    groups = nuts_groups()
    groups["sample_stats"] = {"lp": groups["sample_stats"]["lp"]}
    return with_evidence(tree_of(groups), np.asarray(log_evidence, float))


def test_runs_that_agree_pass_and_report_the_evidence():
    log_z = np.array([-10.1, -9.9, -10.05, -9.95])
    report = convergence(population(log_z), "smc")
    assert report.ok
    z = np.exp(log_z)
    np.testing.assert_allclose(report.log_evidence.log, np.log(z.mean()))
    np.testing.assert_allclose(report.log_evidence.error, z.std(ddof=1) / 2 / z.mean())
    assert "log evidence -10.00 (standard error 0.05)" in str(report)


def test_a_run_that_found_less_weighs_less():
    tree = population([-900.0, -3000.0, -900.0, -900.0])
    np.testing.assert_allclose(chain_weights(tree), [1 / 3, 0, 1 / 3, 1 / 3], atol=1e-12)
    assert convergence(tree, "smc").ok  # three runs agree on the evidence, and the fourth does not count


@pytest.mark.parametrize(("log_evidence", "error"), [((0, -8, -9, 0), "0.58"), ((0, -1000, -2000, -3000), "1.00")])
def test_evidence_that_half_of_the_runs_have_missed_is_said_to_be_hardly_known(log_evidence, error):
    report = convergence(population(log_evidence), "smc")
    assert f"standard error of its log is {error} nats, above 0.5" in str(report)
    assert not report.ok


# ---------------------------------------------------------------- approximations

SCALES = {"nearly the target": (1.02, True), "a little wide": (1.2, True), "much too narrow": (0.25, False)}


@pytest.mark.parametrize("name", SCALES)
def test_an_approximation_is_trusted_only_where_it_covers_the_target(name):
    scale, trusted = SCALES[name]
    report = convergence(tree_of(svi_groups(scale)), "svi")
    assert report.ok == trusted
    assert ("should not be trusted" in str(report)) != trusted


def test_one_poor_approximation_among_several_is_enough():
    good, poor = svi_groups(1.02), svi_groups(0.25)
    both = {name: {at: np.concatenate([of[at], poor[name][at]]) for at in of} for name, of in good.items()}
    report = convergence(tree_of(both), "laplace")
    assert "should not be trusted" in str(report)


def test_approximations_at_several_modes_name_their_weights():
    groups = {name: {at: np.repeat(of, 2, 0) for at, of in group.items()} for name, group in svi_groups(1.02).items()}
    tree = tree_of(groups)
    assert convergence(tree, "laplace").ok
    tree["stacking"] = xr.DataTree(xr.Dataset({"weight": ("chain", [0.7, 0.3])}))
    report = convergence(tree, "laplace")
    assert not report.ok
    assert "weights 0.70, 0.30" in str(report)


@pytest.mark.parametrize("shape", [0.3, 0.6, 1.0])
def test_khat_estimates_the_shape_of_a_pareto_tail(shape):
    """Weights u^(-shape), u uniform, have exactly this tail."""
    u = np.random.default_rng(3).uniform(size=20_000)
    np.testing.assert_allclose(pareto_khat(-shape * np.log(u)), shape, atol=0.12)


def test_khat_of_weights_that_are_no_numbers_is_infinite():
    assert pareto_khat(np.full(1000, np.nan)) == np.inf
    assert pareto_khat(np.zeros(24)) == np.inf  # too few for a tail
    assert np.isfinite(pareto_khat(np.random.default_rng(0).normal(size=30)))


def test_khat_counts_an_impossible_draw_as_weight_zero():
    log_weights = 0.1 * stats.norm.rvs(size=2000, random_state=4)
    log_weights[5] = -np.inf
    assert pareto_khat(log_weights) < 0.5
