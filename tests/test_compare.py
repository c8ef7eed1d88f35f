"""Comparison: ranks, standard errors and stacking weights against closed forms; different data are refused by name."""

import dataclasses

import made_up
import numpy as np
import pytest
from diagnostics.trees import SIGMA, N, fit_groups, svi_groups, tree_of
from scipy import stats

import bayesplat as bs
from bayesplat.scaling import fit_scaling


def posterior(groups, seconds=1.0):
    """A posterior that holds these groups."""
    x = groups["constant_data"]["x"][:, None]
    scaling = fit_scaling(x, groups["observed_data"]["y"])
    info = {"method": "nuts", "seed": 0, "seconds": seconds}
    return bs.Posterior(bs.SplatModel(4, prior=bs.Ridge()), scaling, ("x", "y"), tree_of(groups), info)


def blurred(factor):
    """The sound fit with its predictive sd multiplied by `factor`."""
    groups = fit_groups()
    y, f = groups["observed_data"]["y"], groups["posterior"]["f"]
    groups["loo_predictive"]["y"] = stats.norm.logpdf(y, f, factor * SIGMA)
    return posterior(groups, seconds=factor)


@pytest.fixture(scope="module")
def comparison():
    return bs.compare({"wide": blurred(4.0), "right": blurred(1.0), "nearly": blurred(1.05)})


def test_models_are_ranked_by_their_scores(comparison):
    table = comparison.table
    assert list(table.index) == ["right", "nearly", "wide"]
    assert list(table["seconds"]) == [1.0, 1.05, 4.0]
    assert (table["active"] == 2.0).all()
    assert table.loc["right", ["elpd_diff", "dse"]].tolist() == [0.0, 0.0]


def test_differences_carry_the_standard_error_of_paired_scores(comparison):
    groups = fit_groups()
    y, line = groups["observed_data"]["y"], np.linspace(-1.0, 1.0, N)
    gap = stats.norm.logpdf(y, line, 4 * SIGMA) - stats.norm.logpdf(y, line, SIGMA)
    row = comparison.table.loc["wide"]
    np.testing.assert_allclose(row["elpd_diff"], gap.sum(), rtol=0.02)
    np.testing.assert_allclose(row["dse"], np.sqrt(N) * gap.std(), rtol=0.05)
    # far below the errors of the two scores, which move together
    assert comparison.table.loc["nearly", "dse"] < 0.2 * comparison.table.loc["nearly", "se"]


def test_the_sentence_tells_noise_from_a_lead(comparison):
    assert "'right' scores highest, but its lead over 'nearly' is within the noise" in comparison.verdict
    clear = bs.compare({"wide": blurred(4.0), "right": blurred(1.0)})
    assert clear.verdict == "'right' predicts best, by more than the noise in these scores."
    assert clear.verdict in str(clear)


@pytest.mark.parametrize("order", [("broken", "sound"), ("sound", "broken")])
def test_a_score_that_is_no_number_comes_last_and_is_no_lead(order):
    groups = fit_groups()
    groups["loo_predictive"]["y"][:, :, 0] = np.nan
    made = {"broken": posterior(groups), "sound": blurred(1.0)}
    found = bs.compare({name: made[name] for name in order})
    assert list(found.table.index) == ["sound", "broken"]
    assert "predicts best" not in found.verdict


def test_equal_scores_have_no_first_place():
    same = blurred(1.0)
    verdict = bs.compare({"a": same, "off": same}).verdict
    assert verdict == "'a', 'off' have the same scores, datum by datum: are they the same fit?"


def test_a_first_place_by_untrusted_terms_means_nothing():
    groups = fit_groups()
    heavy = np.abs(np.random.default_rng(0).standard_cauchy(groups["loo_predictive"]["y"][:, :, :9].shape))
    groups["loo_predictive"]["y"][:, :, :9] = -np.minimum(heavy, 300.0)  # weights exp(heavy): no tail is heavier
    groups["loo_predictive"]["y"][:, :, 9:] += 60.0
    verdict = bs.compare({"wild": posterior(groups), "right": blurred(1.0)}).verdict
    assert verdict.startswith(f"'wild' scores highest, but 9 of its {N} LOO terms cannot be trusted")


def test_scores_that_cannot_be_trusted_are_said_to_be():
    groups = fit_groups()
    groups["loo_predictive"]["y"][:, :, 0] = -np.inf
    table = bs.compare({"broken": posterior(groups), "right": blurred(1.0)})
    assert table.table.loc["broken", "bad_k"] == 1
    assert "Scores of 'broken' rest on data" in table.verdict


def test_approximations_that_cannot_be_trusted_are_named():
    wide, narrow = (approximated(scale) for scale in (1.02, 0.25))
    assert "approximation" not in bs.compare({"wide": wide, "right": blurred(1.0)}).verdict
    verdict = bs.compare({"narrow": narrow, "wide": wide, "right": blurred(1.0)}).verdict
    assert "'narrow' is an approximation that should not be trusted" in verdict
    assert "'wide' are approximations" not in verdict


def approximated(scale):
    """A posterior whose draws come from a Gaussian of this scale in place of the standard one."""
    groups, stats_of = fit_groups(), svi_groups(scale)["sample_stats"]
    shape = groups["posterior"]["sigma"].shape
    groups["sample_stats"] = {name: np.resize(value, shape) for name, value in stats_of.items()}
    post = posterior(groups)
    return dataclasses.replace(post, info={**post.info, "method": "svi"})


def test_test_data_are_scored_beside():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(2, 8, 9), 100 + 20 * rng.normal(size=9)
    y[0] = np.nan
    post = made_up.posterior(1)
    table = bs.compare({"a": post, "b": post}, x, y).table
    scores = post.log_predictive_density(x, y)[1:]
    np.testing.assert_allclose(table["elpd_test"], scores.sum())
    np.testing.assert_allclose(table["se_test"], np.sqrt(8) * scores.std())
    with pytest.raises(bs.BayesplatError, match="together"):
        bs.compare({"a": post, "b": post}, x)


# ---------------------------------------------------------------- all of them together


def test_models_predict_together_by_their_weights():
    post = made_up.posterior(1)
    tree = post.data.copy()
    tree["posterior"] = tree["posterior"].to_dataset().assign(trend=tree["posterior"]["trend"] + 40.0)
    rng = np.random.default_rng(0)
    y = tree["loo_predictive"]["y"]
    tree["loo_predictive"] = tree["loo_predictive"].to_dataset().assign(y=y + rng.normal(size=y.sizes["obs"]))
    lifted = bs.Posterior(post.spec, post.scaling, post.names, tree, post.info)
    both = {"as it was": post, "lifted": lifted}
    found = bs.compare(both)
    weight, x = found.table["weight"], np.linspace(1, 9, 30)
    assert 0.2 < weight["lifted"] < 0.8
    assert list(found.posteriors) == list(found.table.index)
    means = {name: both[name].predict(x).mean for name in both}
    expected = sum(weight[name] * means[name] for name in both)
    # the mixture keeps whole draws of the hundred
    np.testing.assert_allclose(found.predict(x).mean, expected, atol=6)
    densities = {name: post.log_predictive_density(x, means["lifted"]) for name, post in both.items()}
    score = found.log_predictive_density(x, means["lifted"])
    np.testing.assert_allclose(
        score, np.logaddexp(*(np.log(weight[name]) + densities[name] for name in both)), atol=0.3
    )
    assert np.abs(score - densities["as it was"]).max() > 0.3


# ---------------------------------------------------------------- misuse


def other(group, name, change):
    groups = fit_groups()
    groups[group][name] = change(groups[group][name])
    return posterior(groups)


DIFFERENT = {
    "another y": (other("observed_data", "y", lambda y: y + 0.1), "different `y` in 'a' and 'b'"),
    "another x": (other("constant_data", "x", lambda x: x + 0.1), "different `x` in 'a' and 'b'"),
    "another order": (other("observed_data", "y", lambda y: y[::-1]), "different `y` in 'a' and 'b'"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_different_data_are_refused_by_name(case):
    post, message = DIFFERENT[case]
    with pytest.raises(bs.BayesplatError) as caught:
        bs.compare({"a": blurred(1.0), "b": post})
    assert message in str(caught.value)


def test_one_posterior_is_no_comparison():
    with pytest.raises(bs.BayesplatError, match="at least two posteriors"):
        bs.compare({"a": blurred(1.0)})
