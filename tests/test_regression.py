"""The promised API, end to end, on one small problem; and every odd or bad input."""

import dataclasses
import inspect
import sys
import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import made_up
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr
from scipy.integrate import quad
from scipy.stats import ks_2samp
from statistical import P_VALUE

import bayesplat as bs
from bayesplat import checkpoint, regression, sampling
from bayesplat.bound import bind_table
from bayesplat.checkpoint import Folder
from bayesplat.diagnostics.pool import pooled
from bayesplat.flow import descent
from bayesplat.flow import run as flow
from bayesplat.posterior import choice
from bayesplat.priors.sites import draw
from bayesplat.results import GROUPS
from bayesplat.sampling import starts_of

BUDGET = {"chains": 2, "warmup": 60, "draws": 60}


@pytest.fixture(scope="module")
def data():
    return made_up.bump()


@pytest.fixture(scope="module")
def model():
    return bs.SplatModel(3, prior=bs.Ridge())


@pytest.fixture(scope="module")
def fit(model, data):
    return model.fit(*data, starts=2)


@pytest.fixture(scope="module")
def post(model, data, fit):
    return model.sample(*data, start=fit, **BUDGET)


def test_point_fit_is_in_user_units(fit, data):
    x, y = data
    assert np.sqrt(np.mean((fit.predict(x) - y) ** 2)) < 0.4
    assert 0.1 < fit.sigma < 0.4
    centres = fit.measure.b[:, 0]
    assert np.min(np.abs(centres - 18.0)) < 1.0


def test_the_noise_of_a_fit_prints_as_its_sd(fit):
    assert f"noise sd     {fit.sigma:.4g}" in str(fit)
    heavy = dataclasses.replace(fit, spec=dataclasses.replace(fit.spec, likelihood=bs.StudentT(df=4.0)), sigma=1.0)
    assert "noise sd     1.414" in str(heavy)


def test_only_what_was_fitted_says_which_inputs_are_constant(fit, data):
    """Here an input varies where y is missing, and nowhere else."""
    y = np.append(data[1], np.nan)
    still = dataclasses.replace(fit, x=np.where(np.isnan(y), 10.0, 18.0)[:, None], y=y)
    with pytest.warns(UserWarning, match="constant in the fit"):
        still.predict([11.0])


def test_point_fit_predicts_trend_plus_measure(fit, data):
    x = data[0]
    with jax.enable_x64(True):
        splats = np.asarray(fit.measure(x[:, None]))[:, 0]
    np.testing.assert_allclose(fit.predict(x), fit.scaling.mean + fit.trend[0] + splats, rtol=1e-10)


def test_fit_is_reproducible_and_depends_on_the_seed(model, data, fit):
    again = model.fit(*data, starts=2)
    np.testing.assert_array_equal(fit.predict(data[0]), again.predict(data[0]))
    # noise alone, which has many explanations: one bump is found from everywhere, to the last digit
    noise = np.random.default_rng(0).normal(size=len(data[0]))
    one, other = (model.fit(data[0], noise, seed=seed, starts=2) for seed in (0, 1))
    assert not np.array_equal(one.predict(data[0]), other.predict(data[0]))


def test_sampling_is_reproducible(model, data, fit, post):
    again = model.sample(*data, start=fit, **BUDGET)
    for name, values in post.data["posterior"].items():
        np.testing.assert_array_equal(values, again.data["posterior"][name], err_msg=name)


def test_draws_as_a_table(post):
    table = post.to_dataframe()
    assert table.index.names == ["chain", "draw"]
    assert len(table) == BUDGET["chains"] * BUDGET["draws"]
    draw = post.data["posterior"].to_dataset().sel(chain=1, draw=7)
    assert table.loc[(1, 7), "sigma"] == draw["sigma"]
    assert table.loc[(1, 7), "b[2, x]"] == draw["b"].values[2, 0]
    np.testing.assert_allclose(table["weight"], 1 / len(table))


def test_a_table_of_draws_tells_how_much_each_counts(post):
    chains = post.data["posterior"].sizes["chain"]
    tree, weights = post.data.copy(), np.arange(1.0, chains + 1) / np.arange(1.0, chains + 1).sum()
    tree["stacking"] = xr.DataTree(xr.Dataset({"weight": ("chain", weights)}))
    table = dataclasses.replace(post, data=tree).to_dataframe()
    np.testing.assert_allclose(table.groupby("chain")["weight"].sum(), weights)


def test_predictions_as_a_frame(post):
    x = pd.DataFrame({"other": ["a", "b"], "x": [12.0, 20.0]}, index=[7, 3])
    prediction = post.predict(x)
    frame = prediction.to_frame()
    assert frame.index.tolist() == [7, 3]
    for name in ("mean", "sd", "lower", "upper"):
        np.testing.assert_array_equal(frame[name], getattr(prediction, name))
    np.testing.assert_array_equal(prediction.mean, post.predict(x["x"].to_numpy()).mean)
    assert isinstance(post.predict(pl.DataFrame({"x": [12.0]})).to_frame(), pl.DataFrame)


def test_data_holds_every_group_as_numpy(post):
    assert set(GROUPS) <= set(post.data.children)
    for group in GROUPS:
        for name, values in post.data[group].data_vars.items():
            assert type(values.values) is np.ndarray, f"{group}/{name}"
            assert values.values.flags.writeable, f"{group}/{name}"
            assert np.isfinite(values.values).all(), f"{group}/{name}"


def test_f_is_trend_plus_splats_in_user_units(post):
    draw = post.data["posterior"].isel(chain=1, draw=7)
    amplitude = draw["amplitude"].values[:, None]
    with jax.enable_x64(True):
        measure = bs.SplatMeasure.from_amplitude(
            amplitude, draw["A"].values, draw["b"].values, post.spec.mother, np.ones(3, bool)
        )
        f = np.asarray(measure(post.data["constant_data"]["x"].values))[:, 0]
        np.testing.assert_allclose(measure.v[:, 0], draw["v"].values, rtol=1e-10)
    np.testing.assert_allclose(draw["f"].values, post.scaling.mean + draw["trend"].values[0] + f, rtol=1e-8)


def test_predict_at_the_data_gives_the_posterior_of_f(post, data):
    f = pooled(post.data, "posterior")["f"].values  # chains in proportion to their weights
    pred = post.predict(data[0], prob=0.8)
    np.testing.assert_allclose(pred.mean, f.mean(0), rtol=1e-8)
    np.testing.assert_allclose(pred.sd, f.std(0), rtol=1e-6)
    np.testing.assert_allclose(pred.lower, np.quantile(f, 0.1, axis=0), rtol=1e-8)
    assert (pred.prob, pred.kind) == (0.8, "function")


def test_observations_are_wider_than_the_function(post, data):
    f, y = post.predict(data[0]), post.predict(data[0], kind="observation")
    assert np.all(y.upper - y.lower > f.upper - f.lower)
    np.testing.assert_allclose(f.mean, y.mean, rtol=1e-8)
    covered = np.mean((y.lower <= data[1]) & (data[1] <= y.upper))
    assert 0.75 <= covered <= 1.0


def test_log_predictive_density_is_a_density_in_user_units(post):
    y = np.linspace(-5.0, 25.0, 4001)
    density = np.exp(post.log_predictive_density(np.full(4001, 18.0), y))
    np.testing.assert_allclose(np.trapezoid(density, y), 1.0, atol=1e-4)


def test_units_of_x_and_y_do_not_matter(model, data, fit):
    x, y = data
    other = model.fit(1e-3 * x - 7.0, 1e4 * y + 2.0, starts=2)
    # rounding of the scaled data is amplified by the optimiser's line search, so this is not exact
    np.testing.assert_allclose((other.predict(1e-3 * x - 7.0) - 2.0) / 1e4, fit.predict(x), atol=0.02)


def test_save_and_load_predict_the_same_without_data(post, data, tmp_path):
    path = tmp_path / "run.nc"
    post.save(path)
    again = bs.load(path)
    assert again.spec == post.spec
    assert again.info == post.info
    np.testing.assert_array_equal(again.predict(data[0]).upper, post.predict(data[0]).upper)
    assert str(again) == str(post)


def test_everything_prints(model, fit, post, data):
    pred = post.predict(data[0])
    reports = (post.convergence(), post.overfitting(), bs.compare({"a": post, "b": post}))
    prior = model.prior_predictive(data[0], draws=20)
    for thing in (model, fit, fit.measure, post, pred, prior, *reports):
        text = str(thing)
        assert len(text) > 20
        assert "Array(" not in text
        assert " object at 0x" not in text
    assert "n_active" in str(bs.SplatModel())
    assert "lkj" in str(model)


def test_prior_predictive_in_sds_or_in_units(model, data):
    bare = model.prior_predictive(data[0], draws=200)
    assert bare.f.shape == (200, 40)
    assert 0.5 < bare.f.std() < 5.0
    scaled = model.prior_predictive(data[0], draws=200, y=data[1])
    np.testing.assert_allclose(scaled.f, data[1].mean() + data[1].std() * bare.f, rtol=1e-6, atol=1e-6)


def test_lengths_of_prior_draws_are_those_of_their_input():
    """A priori both inputs are alike, however far each of them ranges."""
    x = np.random.default_rng(0).uniform((0, 0), (1, 1000), (50, 2))
    lengths = bs.SplatModel(2, prior=bs.Ridge()).prior_predictive(x, draws=512).lengths / np.ptp(x, 0)
    assert ks_2samp(*lengths[:, 0].T).pvalue > P_VALUE


def test_bands_of_the_noise_are_in_the_units_of_y(post, data):
    band, sigma = post.predict(data[0], kind="noise"), pooled(post.data, "posterior")["sigma"].values
    np.testing.assert_allclose(band.mean, sigma.mean(), rtol=1e-6)
    np.testing.assert_allclose(band.upper, np.quantile(sigma, 0.95), rtol=1e-6)


def test_svi_has_four_starts_to_choose_from_smc_none_and_the_others_one_for_each_chain():
    assert [starts_of(method, 2) for method in ("nuts", "laplace", "svi", "smc")] == [2, 2, 4, 0]


def test_svi_begins_at_the_best_start(monkeypatch):
    begun = []
    monkeypatch.setattr("bayesplat.posterior.svi.run_svi", lambda problem, start, *rest, **given: begun.append(start))
    monkeypatch.setattr(sampling, "_approximated", lambda method, run, *rest: run())
    budget = sampling.Budget(1, 1, 4, "normal", 0.9, 6)
    inspect.unwrap(sampling.by_svi)(None, ["best", "second"], None, budget, False, None)
    assert begun == ["best"]


def test_chains_begin_at_different_runs_of_the_fit(monkeypatch):
    monkeypatch.setattr(regression, "chain_start", lambda problem, energy, run: run)
    monkeypatch.setattr(regression, "neg_log_evidence", lambda problem: None)
    bound, fit = SimpleNamespace(problem=None, device=None), SimpleNamespace(runs=("a", "b"))
    assert inspect.unwrap(regression._of_fit)(bound, fit, 3) == ["a", "b", "a"]


def test_the_method_follows_the_size():
    assert choice.choose(2000, 100) == "nuts"
    assert choice.choose(20_000, 60) == "svi"
    assert [choice.choose(n, 20) for n in (61_000, 63_000)] == ["nuts", "svi"]
    assert [choice.choose(n, 100) for n in (8_000, 9_000)] == ["nuts", "svi"]
    assert [choice.choose_depth(*size) for size in ((1000, 30, 1), (1000, 30, 2), (10_000, 30, 2))] == [6, 8, 6]
    assert [choice.takes_hours(method, 1000, 30) for method in ("nuts", "smc", "svi")] == [False, True, False]


def test_nuts_where_it_would_take_hours_is_warned_of(model, data, fit, monkeypatch):
    monkeypatch.setattr(choice, "MOST_WORK", 0)
    with pytest.warns(UserWarning, match=r"3 splats for 40 data may take hours"):
        model.sample(*data, start=fit, **BUDGET)


def test_chains_that_begin_in_one_place_are_warned_of(model, data):
    alone = model.fit(*data, starts=1)
    with pytest.warns(UserWarning, match=r"2 chains begin at 1 start of the fit: .* fit with `starts=2`"):
        model.sample(*data, start=alone, chains=2, warmup=4, draws=4)
    with warnings.catch_warnings(action="error", category=UserWarning):
        model.sample(*data, start=alone, chains=1, warmup=4, draws=4)


def test_laplace_is_refused_where_its_matrix_would_not_fit(model, data, fit, monkeypatch):
    size = sampling.coordinates(bind_table(model, *data).problem)
    monkeypatch.setattr(sampling, "MOST_CURVATURES", size - 1)
    with pytest.raises(bs.BayesplatError, match=f"at most {size - 1} coordinates for method='laplace', got {size}"):
        model.sample(*data, method="laplace", start=fit)


def test_guides_with_correlations_are_for_few_coordinates():
    assert [choice.choose_guide(size) for size in (2000, 2001)] == ["lowrank", "normal"]


def test_variational_approximations_run_and_judge_themselves(model, data, fit, monkeypatch):
    monkeypatch.setattr(choice, "MOST_WORK", 0)
    svi = model.sample(*data, method="auto", guide="lowrank", draws=250, start=fit)
    assert svi.info["method"] == "svi"
    assert svi.data["posterior"].sizes["chain"] == 1
    assert svi.data["posterior"].sizes["draw"] == 1000
    # the log density of a Gaussian in ten coordinates at its own draws: minus half a chi-square with ten degrees
    assert 3.8 < svi.data["sample_stats"]["log_q"].values.var() < 6.5
    report = svi.convergence()
    assert report.method == "svi"
    assert report.khat > 0
    assert set(GROUPS) <= set(svi.data.children)


def test_populations_need_no_start_and_know_the_evidence(model, data, post):
    found = model.sample(*data, method="smc", chains=2, draws=40)
    assert (found.info["chains"], found.info["interrupted"]) == (2, False)
    assert set(GROUPS) <= set(found.data.children)
    # both explain the same data, each by its own way
    np.testing.assert_allclose(found.predict(data[0]).mean, post.predict(data[0]).mean, atol=0.15)
    log_z = found.data["evidence"]["log_evidence"].values
    np.testing.assert_allclose(found.chain_weights, np.exp(log_z) / np.exp(log_z).sum())
    report = found.convergence()
    assert str(found.log_evidence) in str(report)
    # in other units of y, the density is another by the factor, whatever the data; powers of two leave all digits alone
    scaled = model.sample(data[0], 1024.0 * data[1], method="smc", chains=2, draws=40)
    np.testing.assert_allclose(scaled.log_evidence.log, found.log_evidence.log - 40 * np.log(1024.0), atol=1e-4)
    with pytest.raises(bs.BayesplatError, match="got 'nuts'"):
        _ = post.log_evidence


def test_the_evidence_counts_the_data_that_have_a_y(model, data, monkeypatch):
    def smc(problem, *rest):
        values = jax.vmap(lambda key: draw(problem.sites(), key))(jax.random.split(jax.random.key(0), 8))
        values = jax.tree.map(lambda leaf: leaf.reshape(2, 4, *leaf.shape[1:]), values)
        return sampling.Drawn(values, {"lp": np.zeros((2, 4))}, {"interrupted": False}, np.zeros(2))

    monkeypatch.setitem(regression.METHODS, "smc", smc)
    x, y = data
    y = np.where(np.arange(len(y)) % 4, y, np.nan)
    found = model.sample(x, y, method="smc", chains=2, draws=4)
    np.testing.assert_allclose(found.log_evidence.log, -30 * np.log(np.nanstd(y)))


def test_a_posterior_is_stacked_where_its_chains_differ(model, data, fit, monkeypatch):
    seen = []
    monkeypatch.setattr(regression, "stacked", lambda tree: seen.append(tree) or tree)
    found = model.sample(*data, method="laplace", start=fit, chains=2, draws=30)
    assert [tree is found.data for tree in seen] == [True]


def test_how_draws_were_made_is_recorded(post):
    info = post.info
    assert (info["method"], info["seed"], info["chain_method"], info["dtype"]) == ("nuts", 0, "threads", "float64")
    assert {"bayesplat", "jax", "jaxlib", "numpyro", "arviz", "numpy"} <= set(info["versions"])
    assert info["device"].endswith(":0")


def test_models_of_different_likelihoods_are_compared(model, data, post):
    """By their densities of data, whatever parameters make these."""
    heavy = dataclasses.replace(model, likelihood=bs.StudentT())
    other = heavy.sample(*data, method="laplace", chains=1, draws=100)
    found = bs.compare({"normal": post, "heavy": other})
    scores = [one.overfitting().loo.elpd for one in (post, other)]
    assert found.table.index[0] == ("normal", "heavy")[int(np.argmax(scores))]
    np.testing.assert_allclose(found.table["elpd_diff"].min(), -abs(np.subtract(*scores)), rtol=1e-6)


def test_laplace_stands_at_every_mode(model, data, fit):
    found = model.sample(*data, method="laplace", start=fit, chains=2, draws=30)
    assert found.data["posterior"].sizes["chain"] == 2
    assert found.convergence().method == "laplace"
    assert found.convergence().khat > 0


def test_the_other_choices_and_names_of_columns():
    rng = np.random.default_rng(1)
    x = pd.DataFrame({"time": rng.uniform(0, 1, 30)})
    y = pd.Series(np.sin(x["time"] * 6) + 0.1 * rng.normal(size=30), name="flux")
    noise = bs.StudentT("varying", n_bumps=3)
    model = bs.SplatModel(3, prior=bs.R2D2(), likelihood=noise, mother=bs.mothers.Logistic(), trend="linear")
    post = model.sample(x, y, chains=2, warmup=20, draws=20)
    assert post.names == ("time", "flux")
    assert list(post.data["posterior"]["b"].coords["input"].values) == ["time"]
    assert post.predict(x).mean.shape == (30,)
    assert np.all(post.predict(x, kind="observation").sd > post.predict(x).sd)
    assert np.isfinite(post.data["loo_predictive"]["y"].values).all()


def as_kinds(x, y):
    return {
        "lists": (list(x), list(y)),
        "column": (x[:, None], y[:, None]),
        "read-only": (np.broadcast_to(x, x.shape), y),
        "float32": (x.astype(np.float32), y.astype(np.float32)),
        "jax": (jnp.asarray(x), jnp.asarray(y)),
        "pandas": (pd.DataFrame({"x": x}), pd.Series(y)),
        "polars": (pl.DataFrame({"x": x}), pl.Series(y)),
        "xarray": (xr.DataArray(x), xr.DataArray(y)),
        "masked": (x, np.ma.masked_array(y, mask=np.zeros(len(y), bool))),
    }


@pytest.mark.parametrize("kind", as_kinds(np.ones(2), np.ones(2)))
def test_every_kind_of_table_is_taken(model, data, fit, kind):
    x, y = as_kinds(*data)[kind]
    np.testing.assert_allclose(model.fit(x, y, starts=2).predict(x), fit.predict(data[0]), rtol=0.02)


X, Y = np.linspace(0, 1, 12), np.sin(np.linspace(0, 6, 12))
TWO = np.stack([X, X], 1)

BAD = {
    "3-D x": (TWO[None], Y, "Expected `x` with shape (n, d) or (n,), got (1, 12, 2)"),
    "no rows": (np.empty((0, 1)), np.empty(0), "at least one row"),
    "no columns": (np.empty((12, 0)), Y, "at least one column"),
    "NaN in x": (np.where(X > 0.95, np.nan, X), Y, "Expected finite `x`, got NaN or infinity in 1 row"),
    "inf in x": (np.where(X > 0.9, np.inf, X), Y, "Expected finite `x`"),
    "inf in y": (X, np.where(X > 0.9, -np.inf, Y), "got infinity"),
    "all y missing": (X, np.full(12, np.nan), "at least one observed `y`"),
    "another length": (X, Y[:5], "as many rows as `x` (12), got 5"),
    "two outputs": (X, TWO, "Expected `y` with shape (n,), got (12, 2)"),
    "text in x": (np.array(list("abcdefghijkl")), Y, "Expected numbers in `x`"),
    "text in y": (X, ["a"] * 12, "Expected numbers in `y`"),
    "objects": (np.array([object()] * 12), Y, "Expected numbers in `x`"),
    "complex x": (X + 1j, Y, "complex"),
    "complex y": (X, Y * 1j, "complex"),
    "ragged": ([[1, 2], [3]], Y[:2], "Expected `x` to be an array of numbers"),
    "scalar": (3.0, Y, "Expected `x` with shape"),
    "dates": (pd.date_range("2026-01-01", periods=12).to_series().dt.strftime("%Y-%m-%d"), Y, "Expected numbers"),
    "none": (None, Y, "Expected"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_get_one_sentence(model, case):
    x, y, message = BAD[case]
    with pytest.raises(bs.BayesplatError) as caught:
        model.fit(x, y)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


BOTH = bs.mothers.Mixed((bs.mothers.Gaussian(), bs.mothers.Box(8)))
MISUSE = {
    "splats": (lambda: bs.SplatModel(0), "Expected `n_splats`"),
    "covariance": (lambda: bs.SplatModel(covariance="round"), "got 'round'"),
    "trend": (lambda: bs.SplatModel(trend="cubic"), "Expected `trend`"),
    "n_active": (
        lambda: bs.SplatModel(4, prior=bs.RegularizedHorseshoe(5)),
        "Expected `n_active` below the number of splats (4)",
    ),
    "mothers": (lambda: bs.SplatModel(1, prior=bs.Ridge(), mother=BOTH), "Expected `n_splats` of at least 2"),
    "noise": (lambda: bs.Normal("wild"), "Expected `noise`"),
    "df": (lambda: bs.StudentT(df=2.0), "`df` above 2"),
    "r2": (lambda: bs.R2D2(r2=1.0), "Expected `r2` strictly between 0 and 1"),
    "scale": (lambda: bs.Ridge(scale=-1.0), "Expected `scale` to be a number above 0"),
    "nan scale": (lambda: bs.Ridge(scale=float("nan")), "Expected `scale`"),
    "nested repulsion": (lambda: bs.Repulsive(bs.Repulsive()), "Expected `base`"),
    "margin": (lambda: bs.Centres(margin=-1.0), "Expected `margin`"),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_of_a_specification_gets_one_sentence(case):
    build, message = MISUSE[case]
    with pytest.raises(bs.BayesplatError) as caught:
        build()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("prior", "message"),
    [(bs.Ridge, "did you mean Ridge()?"), ("ridge", "Expected `prior` to be an AmplitudePrior object, got 'ridge'")],
)
def test_a_class_or_a_name_instead_of_a_prior_is_explained(prior, message):
    # past __init__, where the run-time type checks of the tests would refuse it first
    spec = bs.SplatModel()
    object.__setattr__(spec, "prior", prior)
    with pytest.raises(bs.BayesplatError) as caught:
        spec.__post_init__()
    assert message in str(caught.value)


CALLS = {
    "method": (lambda m, p: m.sample(X, Y, method="gibbs"), "Expected `method`"),
    "guide": (lambda m, p: m.sample(X, Y, method="svi", guide="flow"), "Expected `guide`"),
    "chains": (lambda m, p: m.sample(X, Y, chains=0), "Expected `chains`"),
    "seed": (lambda m, p: m.sample(X, Y, seed=True), "Expected `seed` to be an integer, got True"),
    "wide seed": (lambda m, p: m.fit(X, Y, seed=2**64), "Expected `seed` to have 64 bits at most"),
    "percent": (lambda m, p: m.sample(X, Y, target_accept=95), "Expected `target_accept` strictly between 0 and 1"),
    "draws": (lambda m, p: m.sample(X, Y, draws=2), "Expected `draws` to be an integer of at least 4"),
    "foreign start": (lambda m, p: m.sample(X, Y, start=m.fit(X + 1.0, Y, starts=1)), "a fit of the same data"),
    "columns": (lambda m, p: p.predict(TWO), "Expected `x_new` with 1 input column, as in the fit"),
    "prob": (lambda m, p: p.predict(X, prob=90), "Expected `prob` strictly between 0 and 1, got 90"),
    "kind": (lambda m, p: p.predict(X, kind="mean"), "Expected `kind`"),
    "new y": (lambda m, p: p.log_predictive_density(X, Y[:3]), "Expected `y_new` with as many rows"),
}


def test_a_start_that_is_no_fit_is_refused(post):
    """Tests check types of all arguments, so the bare function is called."""
    with pytest.raises(bs.BayesplatError, match=r"`start` to be a PointFit, from SplatModel\.fit, got Posterior"):
        inspect.unwrap(regression._same_problem)(post, None)


@pytest.mark.parametrize("case", CALLS)
def test_misuse_of_a_method_gets_one_sentence(model, post, case):
    call, message = CALLS[case]
    with pytest.raises(bs.BayesplatError) as caught:
        call(model, post)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_splats": 7}, "a fit with the same `n_splats`, 7, got 3; fit this model first."),
        ({"likelihood": bs.StudentT()}, "a fit with the same `likelihood`, StudentT("),
        ({"mother": bs.mothers.Laplace()}, "a fit with the same `mother`, Laplace(), got Gaussian()"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_chains_from_a_fit_of_another_model_are_refused(model, data, fit, change, message):
    with pytest.raises(bs.BayesplatError) as caught:
        dataclasses.replace(model, **change).sample(*data, start=fit)
    assert message in str(caught.value)


def test_a_flow_goes_on_with_the_same_data_and_model_only(model, data, fit):
    with pytest.raises(bs.BayesplatError, match="a fit of the same data"):
        model.fit(data[0], -data[1], start=fit)
    with pytest.raises(bs.BayesplatError, match="the same `prior`, Flat"):
        dataclasses.replace(model, prior=bs.Flat()).fit(*data, start=fit)


class Cosine(bs.mothers.Mother):
    """A mother of the user's own: (1 + cos(pi r)) / 2 out to r = 1."""

    def log_profile(self, t, d):
        r = jnp.minimum(jnp.sqrt(t + 1e-20), 0.999)
        return jnp.log(0.5 + 0.5 * jnp.cos(jnp.pi * r))

    def slope(self, t, d):
        r = jnp.minimum(jnp.sqrt(t + 1e-20), 0.999)
        return -0.25 * jnp.pi * jnp.tan(0.5 * jnp.pi * r) * 2 / r * (t < 1)

    def moment(self, m, d):
        return float(quad(lambda r: r**m * 0.5 * (1 + np.cos(np.pi * r)), 0, 1)[0])


def test_a_mother_of_ones_own_fits_and_cannot_be_kept_in_a_folder(data, tmp_path):
    model = bs.SplatModel(3, prior=bs.Ridge(), mother=Cosine())
    fit = model.fit(*data, starts=1)
    assert np.sqrt(np.mean((fit.predict(data[0]) - data[1]) ** 2)) < 0.4
    with pytest.raises(bs.BayesplatError, match="which alone files can name, got Cosine"):
        model.fit(*data, starts=1, checkpoint=tmp_path / "run")


def test_mixed_mothers_serve_from_the_fit_to_the_file(data, tmp_path):
    """Every second splat is a box: fitted, sampled, saved, and f of a draw put together by hand."""
    kinds = (bs.mothers.Gaussian(), bs.mothers.Box(8))
    model = bs.SplatModel(4, prior=bs.Ridge(), mother=bs.mothers.Mixed(kinds))
    fit = model.fit(*data, starts=1)
    assert np.sqrt(np.mean((fit.predict(data[0]) - data[1]) ** 2)) < 0.4
    post = model.sample(*data, start=fit, chains=1, warmup=30, draws=20)
    post.save(tmp_path / "run.nc")
    again = bs.load(tmp_path / "run.nc")
    assert again.spec == model
    draw = again.data["posterior"].to_dataset().isel(chain=0, draw=7)
    f = again.scaling.mean + draw["trend"].values[0]
    for kind, mother in enumerate(kinds):
        v, A, b = (draw[name].values[kind::2] for name in ("v", "A", "b"))
        with jax.enable_x64(True):
            f = f + np.asarray(bs.SplatMeasure(v[:, None], A, b, np.ones(2, bool), mother)(data[0][:, None]))[:, 0]
    np.testing.assert_allclose(draw["f"].values, f, rtol=1e-8)
    np.testing.assert_allclose(
        again.predict(data[0]).mean, pooled(post.data, "posterior")["f"].mean("sample"), rtol=1e-8
    )


def test_chains_under_another_prior_may_share_a_fit(model, data, fit):
    other = dataclasses.replace(model, prior=bs.Flat()).sample(*data, start=fit, method="laplace", chains=1, draws=30)
    assert other.spec.prior == bs.Flat()


def test_numpys_integers_are_numbers_of_splats():
    model = bs.SplatModel(4)
    object.__setattr__(model, "n_splats", np.int64(4))  # annotations are checked here, but not for users
    model.__post_init__()
    assert type(model.n_splats) is int


ODD = {
    "missing y": (np.r_[X, 0.1, 2.0, 3.0], np.r_[Y, [np.nan] * 3], "3 of 15 values of y missing"),
    "constant column": (np.stack([X, np.ones(12)], 1), Y, "x2 constant"),
    "too few digits": (1.7e9 + 1e-4 * (X - X.min()) / np.ptp(X), Y, "x stored with too few digits"),
    "too few digits of float32": (np.float32(1.7e9 + 80 * np.arange(12)), Y, "x stored with too few digits"),
    "a code for missing y": (X, np.r_[Y[:-2], -999.0, -999.0], "y holds -999 2 times, far .*: if .* make it NaN"),
    "a code for a missing x": (np.r_[X[:-1], 9999.0], Y, "x holds 9999 once, far .*: if .* leave its rows out"),
    "a slip in y": (X, np.r_[Y[:-1], 1e6], r"y holds 1e\+06, .* it decides the scale; make it NaN"),
    "y among the inputs": (Y, Y, "Input x equal to y"),
    "constant y": (X, np.ones(12), "y is constant"),
    "one datum": (X[:1], Y[:1], "3 splats for 1 data"),
}


# a second input takes a compilation of its own
@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=pytest.mark.slow) if case == "constant column" else case for case in ODD]
)
def test_odd_data_are_fitted_with_a_warning(model, case):
    x, y, message = ODD[case]
    with pytest.warns(UserWarning, match=message):
        fit = model.fit(x, y, starts=1)
    assert np.isfinite(fit.predict(x)).all()


@pytest.mark.parametrize(("x", "y", "size"), [(1e160, 1e60, 220), (1e-210, 1e210, -210), (1.0, 1e-205, -205)])
def test_units_in_which_masses_are_no_floats_are_refused(model, data, x, y, size):
    inputs, outputs = data[0] / np.ptp(data[0]), data[1] / data[1].std()
    with pytest.raises(bs.BayesplatError, match=f"got 1e{size}; change units"):
        model.fit(x * inputs, y * outputs)


def test_lengths_in_units_of_x_are_warned_of():
    model = bs.SplatModel(3, prior=bs.Ridge(), lengths=bs.Lengths(typical=2.0))
    with pytest.warns(UserWarning, match="2 times the range: they are fractions of it"):
        bind_table(model, X, Y)


def test_integers_are_cast(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit = model.fit(np.arange(12), np.arange(12) % 5, starts=1)
    assert fit.predict([3]).dtype == np.float64


def test_an_interrupt_of_the_flow_ends_the_call(model, data, monkeypatch, tmp_path):
    """No chains start from unfinished fits, unless they are given; a fit by itself keeps the best so far."""

    whole = flow.run_flow
    monkeypatch.setattr(
        flow, "run_flow", lambda *asked: [run._replace(reason=descent.INTERRUPTED) for run in whole(*asked)]
    )
    fit = model.fit(*data, starts=2)
    with pytest.raises(KeyboardInterrupt, match="no draws to keep"):
        model.sample(*data, **BUDGET)
    assert model.sample(*data, start=fit, **BUDGET).info["chains"] == 2
    assert model.sample(*data, start=fit, checkpoint=tmp_path / "run", **BUDGET).info["chains"] == 2


def test_a_folder_begun_with_a_start_has_it_from_the_beginning(model, data, fit, monkeypatch, tmp_path):
    """A process killed before the chains' starts were made leaves nothing that could go on without them."""

    def killed(*_):
        raise SystemExit

    monkeypatch.setattr(regression, "chain_start", killed)
    with pytest.raises(SystemExit):
        model.sample(*data, start=fit, checkpoint=tmp_path / "run", **BUDGET)
    with pytest.raises(bs.BayesplatError, match="Expected the folder of a checkpoint"):
        bs.resume(tmp_path / "run")


def stopped_at(monkeypatch, piece):
    """Checkpoints end the process where they would write this piece."""

    def record(folder, name, content):
        if name == piece:
            raise SystemExit
        whole(folder, name, content)

    whole = Folder.record
    monkeypatch.setattr(Folder, "record", record)


@pytest.mark.parametrize("piece", ["run.json", "flow-0", "flow-1"])
def test_a_fit_killed_anywhere_goes_on_from_the_start_it_was_given(model, data, tmp_path, monkeypatch, piece):
    start = model.fit(*data, seed=5, starts=2)
    whole, folder = model.fit(*data, seed=1, starts=2, start=start), tmp_path / "run"
    with monkeypatch.context() as patched:
        if piece == "run.json":
            patched.setattr(checkpoint, "_digest", lambda manifest: sys.exit())
        stopped_at(patched, piece)
        with pytest.raises(SystemExit):
            model.fit(*data, seed=1, starts=2, start=start, checkpoint=folder)
    again = model.fit(*data, seed=1, starts=2, start=start, checkpoint=folder) if piece == "run.json" else None
    for path in folder.glob("flow-*.npz"):
        path.unlink()  # which is said to lose nothing
    for found in (again or bs.resume(folder), bs.resume(folder)):
        for one, other in zip(found.runs, whole.runs, strict=True):
            np.testing.assert_array_equal(one.history, other.history)
    other = dataclasses.replace(start, runs=start.runs[::-1])
    with pytest.raises(bs.BayesplatError, match="holds a run from another `start`"):
        model.fit(*data, seed=1, starts=2, start=other, checkpoint=folder)


def test_draws_from_a_given_start_can_be_made_anew_but_not_without_it(model, data, fit, tmp_path):
    asked = {"method": "laplace", "chains": 2, "draws": 20}
    folder, draws = tmp_path / "run", model.sample(*data, start=fit, **asked).data["posterior"]["f"]
    model.sample(*data, start=fit, checkpoint=folder, **asked)
    for path in folder.glob("mode-*.npz"):
        path.unlink()
    Folder(folder).record("seconds", 1000.0)
    again = bs.resume(folder)
    np.testing.assert_array_equal(again.data["posterior"]["f"], draws)
    assert again.info["seconds"] > 1000
    (folder / "start.npz").write_bytes(b"")
    with pytest.raises(bs.BayesplatError, match=r"start\.npz is damaged: .*; restore it, or begin again in another"):
        bs.resume(folder)
    (folder / "start.npz").unlink()
    with pytest.raises(bs.BayesplatError, match=r"start\.npz is missing: restore it, or begin again in another"):
        bs.resume(folder)


def test_without_a_trend_f_is_zero_far_from_splats(data):
    x, y = data
    model = bs.SplatModel(3, prior=bs.Ridge(), trend="none")
    far = np.array([x.max() + 1e9 * np.ptp(x)])  # the level takes a splat far wider than the data
    post = model.sample(x, y, **BUDGET)
    with pytest.warns(UserWarning, match="beyond the data"):
        band = post.predict(far)
    np.testing.assert_allclose([band.mean, band.upper], 0, atol=1e-6)
    assert np.corrcoef(post.predict(x).mean, y)[0, 1] > 0.9
    assert np.isfinite(post.overfitting().loo.elpd)
    fit = model.fit(x, y, starts=2)
    with pytest.warns(UserWarning, match="1 of 1 rows of `x_new` lie beyond the data"):
        np.testing.assert_allclose(fit.predict(far), 0, atol=1e-6)


def test_the_users_settings_stay():
    assert not jax.config.jax_enable_x64
    assert jnp.ones(1).dtype == jnp.float32
