"""Overfitting: leave-one-out scores against refits, and a sentence for each planted sign."""

import arviz as az
import numpy as np
import pytest
import xarray as xr
from arviz_stats.base.array import array_stats
from diagnostics.trees import CHAINS, DIMS, DRAWS, SIGMA, K, N, alone, fit_groups, tree_of
from scipy import special, stats

from bayesplat.diagnostics.active import active_splats
from bayesplat.diagnostics.evidence import with_evidence
from bayesplat.diagnostics.loo import leave_one_out, smoothed
from bayesplat.diagnostics.overfitting import overfitting


def test_a_sound_fit_shows_no_sign():
    report = overfitting(tree_of(fit_groups()))
    assert report.ok, report.signs
    assert "No sign of overfitting." in str(report)
    assert report.loo.n_bad == 0
    # nothing was fitted but 0.02 of wobble: p_loo is its share of the noise variance, summed over the data
    p_loo = report.table.loc["effective parameters p_loo", "value"]
    np.testing.assert_allclose(p_loo, 2 * 0.02**2 * N / SIGMA**2 / 2, rtol=0.6)


def test_leave_one_out_scores_are_those_of_refits():
    """y_i ~ N(f_i, 1) and f_i ~ N(0, 1), nothing shared: f_i | y_i ~ N(y_i / 2, 1 / 2) and p(y_i | y_-i) = N(0, 2)."""
    rng = np.random.default_rng(5)
    y = rng.normal(size=N)
    f = 0.5 * y + np.sqrt(0.5) * rng.normal(size=(CHAINS, 4 * DRAWS, N))
    groups = fit_groups()
    groups["loo_predictive"] = {"y": stats.norm.logpdf(y, f, 1.0), "pit": stats.norm.cdf(y, f, 1.0)}
    loo = leave_one_out(tree_of(groups))
    expected = stats.norm(0.0, np.sqrt(2.0))
    good = loo.khat < 0.7
    assert good.mean() > 0.8
    np.testing.assert_allclose(loo.elpd_i[good], expected.logpdf(y)[good], atol=0.1)
    np.testing.assert_allclose(loo.pit[good], expected.cdf(y)[good], atol=0.04)
    assert np.abs(stats.norm.logpdf(y, f, 1.0).mean((0, 1)) - expected.logpdf(y)).max() > 0.3  # in-sample is not


def wild_weights(groups):
    """One datum whose leave-one-out weights have no variance."""
    tail = np.random.default_rng(6).uniform(size=(CHAINS, DRAWS))
    groups["loo_predictive"]["y"][:, :, 8] = 2.0 * np.log(tail)


def degenerate_weights(groups):
    """One datum that is impossible under almost every draw: its Pareto k is not a number."""
    groups["loo_predictive"]["y"][:, :, 8] = -np.inf


def too_many_parameters(groups):
    groups["log_likelihood"]["y"] += 0.5


def narrow(groups):
    y, f = groups["observed_data"]["y"], groups["posterior"]["f"]
    groups["loo_predictive"]["pit"] = stats.norm.cdf(y, f, 0.3 * SIGMA)


def wide(groups):
    y, f = groups["observed_data"]["y"], groups["posterior"]["f"]
    groups["loo_predictive"]["pit"] = stats.norm.cdf(y, f, 3 * SIGMA)


def shifted(groups):
    y, f = groups["observed_data"]["y"], groups["posterior"]["f"]
    groups["loo_predictive"]["pit"] = stats.norm.cdf(y, f - SIGMA, SIGMA)


def counted(name, number):
    def plant(groups):
        groups["posterior"][name] += number

    return plant


def alike(groups):
    groups["loo_predictive"]["pit"] = np.broadcast_to(np.linspace(0.01, 0.99, N), groups["loo_predictive"]["pit"].shape)


SIGNS = {
    "residuals": (alike, "Predictions err alike at neighbouring data (correlation"),
    "heavy weights": (wild_weights, f"1 of {N} leave-one-out terms cannot be trusted"),
    "weights that are no numbers": (degenerate_weights, f"1 of {N} leave-one-out terms cannot be trusted"),
    "parameters": (too_many_parameters, "effective parameters for"),
    "narrow bands": (narrow, "bands are too narrow"),
    "wide bands": (wide, "bands are too wide"),
    "shifted bands": (shifted, "data lie above the predictions"),
    "spikes": (counted("spikes", 1.0), "About 1.0 splats rest on a single datum"),
    "cancelling": (counted("cancelling", 2.0), "About 2.0 pairs of splats cancel"),
    "drifting": (counted("drifting", 3.0), f"About 3.0 of {K} splats reach no datum"),
}


@pytest.mark.parametrize("name", SIGNS)
def test_every_sign_has_its_sentence(name):
    plant, sentence = SIGNS[name]
    groups = fit_groups()
    plant(groups)
    report = overfitting(tree_of(groups))
    assert not report.ok
    assert any(sentence in sign for sign in report.signs), report.signs


def without_noise(groups):
    groups["posterior"]["sigma"] *= 1e-5


def test_calibration_is_not_judged_where_noise_is_at_its_floor():
    groups = fit_groups()
    wide(groups)
    assert "bands are too wide" in str(overfitting(tree_of(groups)))
    without_noise(groups)
    report = overfitting(tree_of(groups))
    assert report.ok, report.signs
    assert "The noise is at its floor, 1e-05 sds of y" in str(report)


@pytest.mark.parametrize("terms", [0, 1])
def test_the_floor_of_the_noise_is_in_units_of_y_as_the_model_has_it(terms):
    """About zero without a trend, about the mean with one."""
    groups = fit_groups()
    groups["observed_data"]["y"] = groups["observed_data"]["y"] + 1000.0
    groups["posterior"]["sigma"] = np.full_like(groups["posterior"]["sigma"], 0.01)
    groups["posterior"]["trend"] = np.zeros((*groups["posterior"]["sigma"].shape, terms))
    tree = az.from_dict(groups, dims={**DIMS, "trend": ["trend_term"]})
    assert ("The noise is at its floor" in str(overfitting(tree))) == (terms == 0)


def test_runs_that_have_missed_the_posterior_lend_no_draws_to_leave_one_out_scores():
    groups = fit_groups()
    tree = with_evidence(tree_of(groups), np.array([0.0, -30.0, -40.0, -50.0]))
    alone = smoothed(tree["loo_predictive"].to_dataset().isel(chain=[0]))
    found = leave_one_out(tree)
    np.testing.assert_array_equal(found.khat, alone.khat)
    np.testing.assert_array_equal(found.elpd_i, alone.elpd_i)
    assert found.good_k == alone.good_k < leave_one_out(tree_of(groups)).good_k
    half = leave_one_out(with_evidence(tree_of(groups), np.array([0.0, 0.0, -40.0, -50.0])))
    assert alone.good_k < half.good_k


def test_chains_lend_their_draws_by_weight():
    rng, weights, dims = np.random.default_rng(0), np.array([0.8, 0.2]), ("chain", "draw", "obs")
    y, pit = rng.normal(size=(2, 10, 3)), rng.uniform(size=(2, 10, 3))  # too few draws to be smoothed
    coords = {"chain": [0, 1], "draw": range(10), "obs": range(3)}
    found = smoothed(xr.Dataset({"y": (dims, y), "pit": (dims, pit)}, coords), weights)
    share = weights[:, None, None] / 10
    np.testing.assert_allclose(found.elpd_i, -special.logsumexp(-y, axis=(0, 1), b=share))
    np.testing.assert_allclose(found.pit, (share * np.exp(-y) * pit).sum((0, 1)) / (share * np.exp(-y)).sum((0, 1)))
    np.testing.assert_allclose(found.good_k, 1 - 1 / np.log10(10 / 0.68))


def test_parameters_are_counted_by_the_data_and_not_by_the_splats():
    groups = fit_groups()
    groups["log_likelihood"]["y"] += 0.1
    report = overfitting(tree_of(groups))
    assert 0.3 * K < report.table.loc["effective parameters p_loo", "value"] < 0.3 * N
    assert report.ok, report.signs


def test_parameters_are_not_counted_by_terms_that_cannot_be_trusted():
    groups = fit_groups()
    too_many_parameters(groups)
    groups["loo_predictive"]["y"][:, :, : N // 2 + 1] = -np.inf
    signs = overfitting(tree_of(groups)).signs
    assert any("cannot be trusted" in sign for sign in signs)
    assert not any("effective parameters" in sign for sign in signs)


def test_active_splats_are_those_whose_term_is_large():
    assert active_splats(tree_of(fit_groups())) == 2.0


def test_weights_that_cannot_be_smoothed_are_taken_raw_and_never_trusted(monkeypatch):
    def lost(log_ratio, r_eff):
        return np.full_like(log_ratio, np.nan), np.full(len(log_ratio), 0.1)

    monkeypatch.setattr(array_stats, "psislw", lost)
    groups = fit_groups()
    loo = leave_one_out(tree_of(groups))
    score = groups["loo_predictive"]["y"].reshape(-1, N)
    np.testing.assert_allclose(loo.elpd_i, -special.logsumexp(-score - np.log(len(score)), axis=0), rtol=1e-6)
    assert loo.n_bad == N


def test_active_splats_go_by_the_sd_of_y():
    groups = fit_groups()
    groups["observed_data"]["y"] = 10 * groups["observed_data"]["y"]
    assert active_splats(tree_of(groups)) == 2.0


def test_active_splats_go_by_the_weights_of_chains():
    groups = fit_groups()
    groups["posterior"]["contribution"][0] = 1.0
    assert active_splats(alone(tree_of(groups))) == K


def test_a_stuck_chain_and_a_handful_of_draws_are_scored():
    stuck, few = fit_groups(), fit_groups()
    for name in ("y", "pit"):
        stuck["loo_predictive"][name][:] = stuck["loo_predictive"][name][:, :1]
        few["loo_predictive"][name] = few["loo_predictive"][name][:, :4]
    score = stuck["loo_predictive"]["y"][:, 0]
    expected = -special.logsumexp(-score - np.log(CHAINS), axis=0)  # four draws, each many times
    np.testing.assert_allclose(leave_one_out(tree_of(stuck)).elpd_i, expected, rtol=1e-3)
    loo = leave_one_out(tree_of({"loo_predictive": few["loo_predictive"], "posterior": few["posterior"]}))
    assert np.isfinite(loo.elpd)
    assert loo.n_bad == N
