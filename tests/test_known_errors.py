"""Known errors of the data, end to end: they weigh the data, belong to the posterior, and every odd one is refused."""

import dataclasses
import sys

import made_up
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import bayesplat as bs
from bayesplat.diagnostics.pool import pooled
from bayesplat.report.description import described
from bayesplat.tables import as_data

BUDGET = {"chains": 2, "warmup": 60, "draws": 60}


@pytest.fixture(scope="module")
def data():
    """x, y, its known errors and the truth: one datum in two is twenty times as bad, and y has no other noise."""
    x, _ = made_up.bump()
    rng = np.random.default_rng(1)
    truth, y_err = 5.0 + 3.0 * np.exp(-0.5 * (x - 18.0) ** 2), np.where(np.arange(40) % 2, 0.1, 2.0)
    return x, truth + y_err * rng.normal(size=40), y_err, truth


@pytest.fixture(scope="module")
def model():
    return bs.SplatModel(3, prior=bs.RegularizedHorseshoe(n_active=1))


@pytest.fixture(scope="module")
def fit(model, data):
    x, y, y_err, _ = data
    return model.fit(x, y, starts=2, y_err=y_err)


@pytest.fixture(scope="module")
def post(model, data, fit):
    x, y, y_err, _ = data
    return model.sample(x, y, start=fit, y_err=y_err, **BUDGET)


def rms(error):
    return np.sqrt(np.mean(np.square(error)))


def test_good_data_decide_and_the_noise_is_what_is_left(model, data, fit, post):
    x, y, _, truth = data
    blind = model.fit(x, y, starts=2)
    assert rms(fit.predict(x) - truth) < 0.15
    assert rms(blind.predict(x) - truth) > 0.3
    assert fit.sigma < 0.2 < 1.0 < blind.sigma
    band = post.predict(x)
    assert rms(band.mean - truth) < 0.15
    assert np.mean((band.lower <= truth) & (truth <= band.upper)) > 0.7
    assert (band.upper - band.lower).mean() < 0.5


def test_equal_errors_are_noise_that_is_known(model, data):
    """With the same sd everywhere, all that changes is how the variance is split."""
    x, _ = made_up.bump()
    y = made_up.bump()[1]
    free, known = model.fit(x, y, starts=2), model.fit(x, y, starts=2, y_err=0.15)
    assert np.hypot(known.sigma, 0.15) == pytest.approx(free.sigma, rel=0.05)
    np.testing.assert_allclose(known.predict(x), free.predict(x), atol=0.1)


def test_the_posterior_keeps_the_errors(post, data, tmp_path):
    post.save(tmp_path / "run.nc")
    again = bs.load(tmp_path / "run.nc")
    x, y, y_err, _ = data
    for found, expected in zip(again.table.rows(np.arange(40)), (x[:, None], y, y_err), strict=True):
        np.testing.assert_array_equal(found, expected)
    exact = post.log_predictive_density(x, y, y_err)
    np.testing.assert_allclose(again.log_predictive_density(x, y, y_err), exact, rtol=1e-6)
    likelihood = pooled(post.data, "log_likelihood")["y"].values
    np.testing.assert_allclose(exact, np.log(np.exp(likelihood).mean(0)), rtol=1e-6)


def test_replicates_scatter_as_the_data_do(post, data):
    y_err = data[2]
    scatter = (post.data["posterior_predictive"]["y"] - post.data["posterior"]["f"]).values.std((0, 1))
    assert scatter[y_err > 1].mean() == pytest.approx(2.0, rel=0.2)
    assert scatter[y_err < 1].mean() < 0.3


def test_new_observations_have_errors_of_their_own(post, data):
    x = data[0][:5]
    plain, worse = (post.predict(x, kind="observation", y_err=error) for error in (0.0, 2.0))
    np.testing.assert_allclose(worse.sd**2, plain.sd**2 + 4.0, rtol=1e-6)
    assert (worse.upper - worse.lower > 2 * 1.64 * 2.0).all()


def test_new_data_without_errors_are_warned_of(post, data, recwarn):
    x, y = data[0][:5], data[1][:5]
    post.predict(x)
    post.predict(x, kind="observation", y_err=0.0)
    post.log_predictive_density(x, y, 0.0)
    bs.plots.bands(post)
    assert not recwarn
    with pytest.warns(UserWarning, match="the new ones are taken to have none"):
        plain = post.predict(x, kind="observation")
    np.testing.assert_allclose(plain.sd, post.predict(x, kind="observation", y_err=0.0).sd, rtol=1e-9)
    both = bs.compare({"a": post, "b": post})
    for one in (post, both):
        with pytest.warns(UserWarning, match="the new ones are taken to have none"):
            one.log_predictive_density(x, y)
    with pytest.warns(UserWarning, match="the new ones are taken to have none"):
        both.predict(x, kind="observation")


def test_only_the_same_errors_are_the_same_data(post, model, data, fit):
    x, y, y_err, _ = data
    constant = post.data["constant_data"].to_dataset()
    other = post.data.copy()
    other["constant_data"] = xr.DataTree(constant.assign(y_err=2 * constant["y_err"]))
    without = post.data.copy()
    without["constant_data"] = xr.DataTree(constant.drop_vars("y_err"))
    for tree in (other, without):
        with pytest.raises(bs.BayesplatError, match="different `y_err` in 'a' and 'b'"):
            bs.compare({"a": post, "b": dataclasses.replace(post, data=tree)})
    for errors in (None, 2 * y_err):
        with pytest.raises(bs.BayesplatError, match="a fit of the same data"):
            model.sample(x, y, start=fit, y_err=errors, **BUDGET)


def test_held_out_data_are_scored_with_their_errors(post, data):
    x, y, y_err, _ = data
    scores = [bs.compare({"a": post, "b": post}, x, y, error).table["elpd_test"].iloc[0] for error in (None, y_err)]
    assert scores[1] == pytest.approx(post.log_predictive_density(x, y, y_err).sum())
    assert scores[0] < scores[1] - 100


def test_a_checkpoint_goes_on_with_the_errors(model, data, tmp_path):
    x, y, y_err, _ = data
    first = model.fit(x, y, starts=1, checkpoint=tmp_path / "run", y_err=y_err)
    again = bs.resume(tmp_path / "run")
    np.testing.assert_array_equal(again.y_err, y_err)
    assert again.energy == first.energy
    for errors, words in ((None, "other settings .y_err True, not None"), (2 * y_err, "a run of other data")):
        with pytest.raises(bs.BayesplatError, match=words):
            model.fit(x, y, starts=1, checkpoint=tmp_path / "run", y_err=errors)


def test_refits_without_a_datum_leave_its_error_out(post, monkeypatch):
    tables = []

    def refit(model, table, seed, sampling):
        tables.append(table)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["bayesplat.reloo"], "refit", refit)
    scores = post.data["loo_predictive"].to_dataset().copy(deep=True)
    scores["y"].loc[{"obs": scores["obs"][7]}] = -np.inf
    tree = post.data.copy()
    tree["loo_predictive"] = xr.DataTree(scores)
    bs.reloo(dataclasses.replace(post, data=tree), most=40)
    x, y, y_err = tables[0]
    assert len(x) == len(y) == len(y_err) == 39


def test_bands_show_the_errors_and_the_page_names_them(post):
    figure = bs.plots.bands(post)
    assert "known error, 1 sd" in figure.axes[0].get_legend_handles_labels()[1]
    plt.close(figure)
    assert "beside the known errors of the data (sds of 0.1 to 2)" in described(post)["likelihood"]


def test_a_term_of_a_program_knows_the_errors(model, data):
    x, y, y_err, _ = data
    np.testing.assert_allclose(model.numpyro(x, y, y_err=y_err).problem.error, y_err / np.std(y), rtol=1e-12)


def test_missing_outputs_need_no_error():
    x, y = np.arange(4.0), np.array([1.0, np.nan, 2.0, 0.0])
    found = as_data(x, y, np.array([0.1, np.nan, 0.2, 0.0]))
    np.testing.assert_array_equal(found.y_err, [0.1, 0.0, 0.2, 0.0])
    np.testing.assert_array_equal(as_data(x, y, 0.5).y_err, [0.5, 0.0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("y_err", "words"),
    [
        (np.ones(3), "Expected `y_err` with as many rows as `x` (4), got 3"),
        (-np.ones(4), "Expected sds of 0 or more in `y_err`, got negative numbers."),
        (np.array([1.0, np.nan, 1.0, 1.0]), "for every observed y, got NaN in `y_err` for 1"),
        (np.array([1.0, np.inf, 1.0, 1.0]), "got infinity"),
        (["a", "b", "c", "d"], "Expected numbers in `y_err`"),
        ("0.1 mm", "Expected numbers in `y_err`"),
        (np.ones((4, 2)), "Expected `y_err` with shape (n,), got (4, 2)"),
    ],
)
def test_odd_errors_are_refused(y_err, words):
    with pytest.raises(bs.BayesplatError) as caught:
        as_data(np.arange(4.0), np.arange(4.0), y_err)
    assert words in str(caught.value)


def test_errors_without_use_are_refused(post, model, data):
    x = data[0]
    with pytest.raises(bs.BayesplatError, match="`y_err` with kind='observation', got 'function'"):
        post.predict(x, y_err=0.1)
    with pytest.raises(bs.BayesplatError, match="`y_err` together with `y`"):
        model.numpyro(x, y_err=0.1)


def test_variances_in_place_of_sds_are_warned_of(model, data):
    x, y, _, _ = data
    with pytest.warns(UserWarning, match="larger than the spread of y: they should be sds"):
        model.numpyro(x, y, y_err=100.0)
