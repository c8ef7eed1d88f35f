"""Stacking of chains: weights against closed forms, and what predicts with them."""

import made_up
import numpy as np
import pytest
import xarray as xr
from diagnostics.trees import CHAINS, SIGMA, fit_groups, nuts_groups, tree_of
from scipy import optimize, special, stats

import bayesplat as bs
from bayesplat.diagnostics.convergence import convergence
from bayesplat.diagnostics.loo import leave_one_out
from bayesplat.diagnostics.overfitting import overfitting
from bayesplat.diagnostics.pool import chain_weights, picks, pooled
from bayesplat.diagnostics.stacking import mode_weights, stacked, stacking_weights

# ---------------------------------------------------------------- weights


def score(weights, elpd):
    """Mean log score of the mixture."""
    return special.logsumexp(np.log(weights)[:, None] + elpd, axis=0).mean()


def test_weights_maximise_the_score_of_the_mixture():
    rng = np.random.default_rng(0)
    y = np.concatenate([rng.normal(-2, 1, 70), rng.normal(2, 1, 30)])
    elpd = stats.norm.logpdf(y, np.array([-2.0, 2.0, 9.0])[:, None], 1.0)
    weights = stacking_weights(elpd)
    best = optimize.minimize_scalar(lambda w: -score(np.array([w, 1 - w]), elpd[:2]), bounds=(0.01, 0.99))
    np.testing.assert_allclose(weights, [best.x, 1 - best.x, 0.0], atol=1e-3)
    np.testing.assert_allclose(weights.sum(), 1.0)


def test_weights_are_found_where_models_differ_by_next_to_nothing():
    elpd = np.random.default_rng(0).normal(size=1000) + np.array([[0.0], [-0.001], [-0.002]])
    weights = stacking_weights(elpd)
    assert 1000 * (elpd[0].mean() - score(weights, elpd)) < 1e-3  # nats; the first alone is best
    with_prior = stacking_weights(elpd, 5.0)
    assert with_prior[0] > with_prior[1] > with_prior[2] > 0.3


def test_weights_survive_densities_that_underflow():
    elpd = np.random.default_rng(1).normal(size=(2, 50))
    np.testing.assert_allclose(stacking_weights(elpd - 2000.0), stacking_weights(elpd), atol=1e-8)


def test_equal_models_share_the_weight():
    elpd = np.tile(np.random.default_rng(2).normal(size=50), (3, 1))
    np.testing.assert_allclose(stacking_weights(elpd), 1 / 3)


# ---------------------------------------------------------------- chains in two modes

SHARE = 0.75
"""Of the data lie about +1, the rest about -1."""


def two_modes(n=600, draws=100):
    """Data from 0.75 N(1, SIGMA) + 0.25 N(-1, SIGMA); one chain predicts the first, three predict the second.

    Without parameters to learn from y_i, scores of left-out data are those of the data themselves.
    """
    rng = np.random.default_rng(3)
    at, most = (CHAINS, draws), round(SHARE * n)
    quantiles = [stats.norm.ppf((np.arange(m) + 0.5) / m) for m in (most, n - most)]
    y = np.concatenate([1 + SIGMA * quantiles[0], -1 + SIGMA * quantiles[1]])
    f = np.array([1.0, -1.0, -1.0, -1.0])[:, None, None] + 0.02 * rng.normal(size=(*at, n))
    groups = {**fit_groups(), "sample_stats": {"lp": rng.normal(size=at), "energy": rng.normal(size=at)}}
    groups["sample_stats"] |= {"diverging": np.zeros(at, bool), "reached_max_tree_depth": np.zeros(at, bool)}
    groups["sample_stats"]["teleported"] = np.zeros(at)
    for name in ("posterior", "log_prior"):
        groups[name] = {site: value[:, :draws] for site, value in groups[name].items()}
    groups["posterior"] |= {"f": f, "sigma": SIGMA + 0.01 * rng.normal(size=at)}
    groups["log_likelihood"]["y"], groups["observed_data"]["y"] = stats.norm.logpdf(y, f, SIGMA), y
    groups["loo_predictive"] = {"y": stats.norm.logpdf(y, f, SIGMA), "pit": stats.norm.cdf(y, f, SIGMA)}
    groups["constant_data"]["x"] = rng.uniform(size=n)
    return tree_of(groups)


def log_truth(y):
    """Log density of the truth."""
    each = stats.norm.logpdf(y, [[1.0], [-1.0]], SIGMA)
    return special.logsumexp(each, axis=0, b=[[SHARE], [1 - SHARE]])


def test_chains_get_the_weights_of_the_mixture_and_not_of_their_number():
    tree = two_modes()
    np.testing.assert_array_equal(chain_weights(tree), 0.25)
    weights = chain_weights(stacked(tree))
    # up to the data that each chain is worth before it is looked at
    np.testing.assert_allclose([weights[0], weights[1:].sum()], [SHARE, 1 - SHARE], atol=0.02)


def test_a_datum_that_no_splat_reaches_does_not_hide_that_chains_disagree():
    tree = two_modes(150)
    expected = chain_weights(stacked(tree))
    tree["posterior"]["f"].values[..., 7] = 0.0
    np.testing.assert_array_equal(chain_weights(stacked(tree)), expected)


def test_the_stacked_score_is_that_of_the_truth_and_the_plain_average_is_not():
    tree = two_modes()
    truth = log_truth(tree["observed_data"]["y"].values).sum()
    np.testing.assert_allclose(leave_one_out(stacked(tree)).elpd, truth, atol=2.0)
    assert leave_one_out(tree).elpd < truth - 100


def test_stacked_predictions_are_calibrated_and_plain_averages_are_not():
    tree = two_modes()
    report, plain = overfitting(stacked(tree)), overfitting(tree)
    row = "LOO-PIT uniformity p"
    assert report.table.loc[row, "value"] > 0.5
    assert plain.table.loc[row, "value"] < 1e-3
    gap = report.table.loc["in-sample score per datum", "value"] - report.table.loc["LOO score per datum", "value"]
    assert abs(gap) < 0.01


def test_a_chain_that_predicts_nothing_has_no_say():
    elpd = np.random.default_rng(4).normal(size=(3, 80))
    elpd[1] -= 20
    weights = mode_weights(elpd)
    assert weights[1] == 0
    np.testing.assert_allclose(weights[[0, 2]], 0.5, atol=0.2)


@pytest.mark.parametrize(("chains", "data"), [(4, 1), (4, 3), (16, 12), (2, 1)])
def test_fewer_data_than_chains_leave_weights_that_add_up(chains, data):
    elpd = 0.2 * np.random.default_rng(5).normal(size=(chains, data))
    weights = mode_weights(elpd)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(), 1)


def test_a_datum_without_a_score_has_no_say_in_who_is_preferred():
    elpd = np.random.default_rng(4).normal(size=(3, 80))
    elpd[1] -= 20
    gap = np.concatenate([elpd, np.full((3, 40), np.nan)], 1)
    np.testing.assert_array_equal(mode_weights(gap), mode_weights(elpd))


def test_the_report_names_the_weights():
    report = convergence(stacked(two_modes()), "nuts")
    assert any("weights 0.7" in failure and "stacking" in failure for failure in report.failures)


def test_chains_that_agree_are_left_alone():
    groups = fit_groups()
    groups["posterior"]["sigma"] = nuts_groups()["posterior"]["sigma"]
    tree = tree_of({**groups, "sample_stats": nuts_groups()["sample_stats"]})
    assert stacked(tree) is tree


# ---------------------------------------------------------------- pooling


@pytest.mark.parametrize("weights", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.3, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)])
def test_every_chain_gives_its_share_of_the_sample(weights):
    chosen = picks(np.array(weights), 500)
    assert chosen.size == 2000
    np.testing.assert_allclose(np.bincount(chosen // 500, minlength=4) / 2000, weights, atol=1e-3)
    for chain in np.flatnonzero(weights):
        np.testing.assert_allclose(np.mean(chosen[chosen // 500 == chain] % 500), 249.5, atol=1)


def test_equal_weights_keep_every_draw_once():
    tree = two_modes()
    f = tree["posterior"]["f"].values
    f = f.reshape(-1, f.shape[-1])
    np.testing.assert_array_equal(pooled(tree, "posterior")["f"].values, f)


def test_predictions_and_files_keep_the_weights(tmp_path):
    post = made_up.posterior(1)
    tree = post.data.copy()
    tree["stacking"] = xr.DataTree(xr.Dataset({"weight": ("chain", [0.0, 1.0])}))
    weighted = bs.Posterior(post.spec, post.scaling, post.names, tree, post.info)
    alone = post.data.copy()
    alone["posterior"] = xr.DataTree(post.data["posterior"].to_dataset().isel(chain=[1]))
    only = bs.Posterior(post.spec, post.scaling, post.names, alone, post.info)
    x = np.linspace(1, 9, 7)
    np.testing.assert_allclose(weighted.predict(x).mean, only.predict(x).mean, rtol=1e-12)
    assert np.abs(weighted.predict(x).mean - post.predict(x).mean).max() > 0.1
    weighted.save(tmp_path / "run.nc")
    np.testing.assert_array_equal(bs.load(tmp_path / "run.nc").chain_weights, [0.0, 1.0])
