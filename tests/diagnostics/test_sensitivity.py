"""Power-scaling sensitivity: against closed forms on a conjugate model, and what the report says of it."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from arviz_stats import psense
from diagnostics.trees import CHAINS, DRAWS, alone, fit_groups, tree_of
from scipy import stats

from bayesplat import Normal, SplatModel, StudentT
from bayesplat.devices import inference
from bayesplat.diagnostics.overfitting import overfitting
from bayesplat.diagnostics.sensitivity import BLOCKS, LIMIT, UNSCALED, _judged, _psense, sensitivity
from tests.tables import BASE_PRIORS

AT = (CHAINS, DRAWS)
PLANE = np.random.default_rng(0).uniform(size=(20, 2))


def conjugate(prior_mean, prior_sd, data_sd, site):
    """Posterior of f = m with prior N(prior_mean, prior_sd), the log density of `site`, and a datum 0 of sd data_sd."""
    precision = prior_sd**-2 + data_sd**-2
    mean, sd = prior_mean * prior_sd**-2 / precision, precision**-0.5
    # stratified, so that no Monte Carlo error is left
    draws = np.random.default_rng(0).permutation(stats.norm.ppf((np.arange(CHAINS * DRAWS) + 0.5) / (CHAINS * DRAWS)))
    m = (mean + sd * draws).reshape(AT)
    groups = fit_groups()
    groups["posterior"]["f"] = m[..., None]
    groups["log_likelihood"]["y"] = stats.norm.logpdf(0.0, m, data_sd)[..., None]
    groups["log_prior"] = {
        "tau": np.zeros(AT),
        "centre": np.zeros(AT),
        site: stats.norm.logpdf(m, prior_mean, prior_sd),
    }
    return tree_of({name: groups[name] for name in ("posterior", "log_likelihood", "log_prior")})


@pytest.mark.parametrize(
    ("site", "block"),
    [("tau", "v"), ("lam", "v"), ("deviation", "A"), ("shear", "A"), ("repulsion", "b"), ("sigma", "noise")],
)
def test_sites_count_for_their_block(site, block):
    table = sensitivity(conjugate(0.0, 1.0, 1.0, site))
    assert table.loc[block, "f"] > 0.5 * LIMIT
    others = table.drop([block, "likelihood"])
    np.testing.assert_array_equal(others["f"], 0.0)


def test_prior_and_likelihood_of_equal_strength_count_the_same():
    table = sensitivity(conjugate(0.0, 1.0, 1.0, "tau"))
    np.testing.assert_allclose(table.loc["v", "f"], table.loc["likelihood", "f"], rtol=0.02)


def test_a_wide_prior_does_not_matter_and_a_prior_in_conflict_does():
    wide, conflict = (sensitivity(conjugate(mean, sd, 1.0, "tau")) for mean, sd in ((0.0, 20.0), (6.0, 1.0)))
    assert wide.loc["v", "f"] < 0.1 * LIMIT
    assert conflict.loc["v", "f"] > 5 * LIMIT


def test_densities_with_a_flat_top_are_judged():
    groups = fit_groups()
    groups["log_prior"]["tau"] = np.minimum(groups["posterior"]["sigma"], groups["posterior"]["sigma"].mean())
    assert 0 < sensitivity(tree_of(groups)).loc["v", "sigma"] < LIMIT


def test_few_draws_say_nothing():
    groups = {name: {site: value[:, :5] for site, value in group.items()} for name, group in few().items()}
    assert np.isnan(sensitivity(tree_of(groups)).loc["v", "f"])


def few():
    """The groups that sensitivity needs."""
    return {name: fit_groups()[name] for name in ("posterior", "log_likelihood", "log_prior")}


def test_coefficients_are_not_scaled_beside_what_they_follow_from():
    tree = conjugate(0.0, 1.0, 1.0, "amplitude")
    assert sensitivity(tree).loc["v", "f"] == 0


def test_weights_of_heavy_tailed_noise_are_part_of_no_prior():
    """The likelihood integrates over them: one that pulls at f says nothing of the amplitudes."""
    table = sensitivity(conjugate(0.0, 1.0, 1.0, "mixing"))
    np.testing.assert_array_equal(table.drop("likelihood")["f"], 0.0)


@pytest.mark.parametrize("prior", BASE_PRIORS.values(), ids=BASE_PRIORS)
@pytest.mark.parametrize("likelihood", [Normal(), Normal(noise="varying"), StudentT()], ids=repr)
def test_every_site_of_a_model_is_in_one_block_or_unscaled_on_purpose(prior, likelihood):
    problem = SplatModel(6, prior=prior, likelihood=likelihood, covariance="full").numpyro(PLANE).problem
    with inference():
        sites = set(problem.sites())
    places = [*(site for names in BLOCKS.values() for site in names), *UNSCALED]
    assert len(set(places)) == len(places)
    assert sites <= set(places)


@pytest.fixture
def threads_take_turns_often():
    """Threads trade places after every few steps: what they trip over in one run of a thousand they do in every run."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_threads_that_judge_at_once_leave_output_and_warnings_alone():
    """Filters belong to the whole process: one thread that sets and restores them undoes what another one has set."""
    tree = conjugate(0.0, 1.0, 1.0, "tau")
    judged, log_density = _judged(tree), tree["log_likelihood"]["y"].values.reshape(-1)
    _psense(judged, log_density)  # the library, when it is loaded, adds filters of its own
    out, filters = sys.stdout, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(_psense, [judged] * 12, [log_density] * 12))
    assert sys.stdout is out
    assert warnings.filters == filters
    assert all(each == found[0] for each in found)


def test_one_block_counts_as_in_the_library():
    tree = conjugate(0.5, 2.0, 1.0, "tau")
    table = sensitivity(tree)
    for group, row in (("prior", "v"), ("likelihood", "likelihood")):
        oracle = psense(tree, var_names=["f", "sigma"], group=group)
        for name in ("f", "sigma"):
            np.testing.assert_allclose(table.loc[row, name], oracle[name].mean(), rtol=1e-4)


def test_the_report_gives_advice_for_the_block_that_matters():
    groups = fit_groups()
    groups["log_prior"]["location"] = 40 * groups["posterior"]["sigma"]
    report = overfitting(tree_of(groups))
    assert report.ok
    assert [note for note in report.notes if "prior on lengths" in note]
    assert "prior on lengths" in str(report)
    assert report.sensitivity.loc["A", "sigma"] > LIMIT


def test_draws_are_judged_by_the_weights_of_chains():
    groups = fit_groups()
    judged = _judged(alone(tree_of(groups)))
    np.testing.assert_array_equal(np.unique(judged["sigma"]), np.unique(groups["posterior"]["sigma"][0]))
