"""Exact refits: the datum is left out, its score is that of the refit, and everything downstream takes it."""

import sys
from dataclasses import replace

import made_up
import numpy as np
import pytest
import xarray as xr

import bayesplat as bs
from bayesplat import plots
from bayesplat.diagnostics.loo import leave_one_out
from bayesplat.report.findings import find
from bayesplat.report.methods import check_sentences

BUDGET = {"chains": 2, "warmup": 60, "draws": 60}
BAD = 7


@pytest.fixture(scope="module")
def data():
    return made_up.bump()


@pytest.fixture(scope="module")
def post(data):
    """A posterior in which one datum's weights are no numbers."""
    found = bs.SplatModel(3, prior=bs.Ridge()).sample(*data, **BUDGET)
    scores = found.data["loo_predictive"].to_dataset().copy(deep=True)
    scores["y"].loc[{"obs": scores["obs"][BAD]}] = -np.inf
    tree = found.data.copy()
    tree["loo_predictive"] = xr.DataTree(scores)
    return bs.Posterior(found.spec, found.scaling, found.names, tree, found.info)


@pytest.fixture(scope="module")
def exact(post):
    return bs.reloo(post, most=40)  # how many of such short chains are bad hangs on the last bits


def test_only_bad_data_are_refitted_and_the_rest_keep_their_scores(post, exact):
    before, after = leave_one_out(post.data), leave_one_out(exact.data)
    bad = ~(before.khat <= before.good_k)
    assert bad[BAD]
    assert after.n_bad == 0
    assert (before.refitted, after.refitted) == (0, bad.sum())
    np.testing.assert_array_equal(after.khat[bad], 0.0)
    np.testing.assert_array_equal(after.elpd_i[~bad], before.elpd_i[~bad])
    assert "reloo" not in post.data.children  # which is left as it was


def test_scores_that_are_known_stay_and_the_posterior_given_is_not_changed(exact):
    known = exact.data["reloo"].to_dataset().copy(deep=True)
    again = bs.reloo(exact)
    xr.testing.assert_equal(again.data["reloo"].to_dataset(), known)
    again.data["reloo"]["y"].values[BAD] = 0.0
    np.testing.assert_array_equal(exact.data["reloo"]["y"].values, known["y"].values)


def test_the_score_is_that_of_a_model_that_never_saw_the_datum(data, post, exact):
    x, y = data
    refit = post.spec.sample(np.delete(x, BAD), np.delete(y, BAD), **BUDGET)
    expected = refit.log_predictive_density(x[[BAD]], y[[BAD]])[0]
    assert leave_one_out(exact.data).elpd_i[BAD] == pytest.approx(expected, rel=1e-9)
    # a fault: the datum is left in
    seen = post.log_predictive_density(x[[BAD]], y[[BAD]])[0]
    assert abs(expected - seen) > 1e-6


SETTINGS = {
    "nuts": {"warmup": 30, "target_accept": 0.95, "max_tree_depth": 7},
    "svi": {"guide": "normal"},
    "laplace": {},
    "smc": {},
}


@pytest.mark.parametrize("method", SETTINGS)
def test_refits_are_made_as_the_posterior_was(post, method, monkeypatch):
    asked = []

    def refit(model, table, seed, sampling):
        asked.append((model, seed, sampling))
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["bayesplat.reloo"], "refit", refit)
    info = {"method": method, **SETTINGS[method]}
    bs.reloo(replace(post, info=info), most=40, seed=3)
    assert asked == [(post.spec, 3, {"chains": 2, "draws": 60, **info})]


def test_the_report_tells_exact_refits_from_importance_sampling(post, exact):
    before, after = (check_sentences(find(one)) for one in (post, exact))
    assert "refits" not in before
    count = leave_one_out(exact.data).refitted
    assert f"or unknown once {count} other" in after
    assert f"at 0: {count} by exact refits" in [panel.get_title() for panel in plots.checks(exact).axes][3]


def test_files_and_comparisons_take_the_exact_scores(post, exact, tmp_path):
    exact.save(tmp_path / "run.nc")
    again = bs.load(tmp_path / "run.nc")
    table = bs.compare({"raw": post, "exact": again}).table
    assert table.loc["exact", "bad_k"] == 0
    assert table.loc["raw", "bad_k"] > 0
    assert table.loc["exact", "elpd_loo"] == pytest.approx(leave_one_out(exact.data).elpd)


def test_too_many_refits_are_refused_with_the_way_out(post):
    with pytest.raises(bs.BayesplatError, match=r"at most 0 data to refit, got \d+; raise `most`, or use kfold"):
        bs.reloo(post, most=0)
