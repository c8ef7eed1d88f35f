"""The scikit-learn regressor: scikit-learn's own checks, its tools around it, and its agreement with SplatModel.

What is tested is the regressor, not the flow. So that the many sizes of data in scikit-learn's checks cost one compile
for each number of inputs, and a quick one, data are filled up to one size, the flow keeps to its start and last
transport without a certificate, and XLA optimises little.
"""

import copy
import pickle
import sys
from dataclasses import fields, replace
from importlib import import_module
from inspect import signature
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import made_up
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import bayesplat as bs
from bayesplat import regression
from bayesplat.flow import descent
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.step import Settings
from bayesplat.model import bind
from bayesplat.sklearn import SplatRegressor

ROWS = 200
"""Most data in scikit-learn's checks."""

SMALL = {"n_splats": 2, "covariance": "spherical", "trend": "linear", "starts": 1}

OTHERS = {
    "n_splats": 3,
    "prior": bs.Ridge(0.5),
    "likelihood": bs.StudentT(df=5.0),
    "mother": bs.mothers.Wendland(),
    "covariance": "diag",
    "trend": "none",
    "lengths": bs.Lengths(typical=0.2),
    "centres": bs.Centres(0.3),
    "inference": "svi",
    "starts": 3,
    "chains": 2,
    "warmup": 7,
    "draws": 8,
    "random_state": 9,
}
"""Every parameter at another value than its default."""


def filled(problem, weight=0.0):
    """The same problem with copies of its last datum up to ROWS, unobserved unless they are given a weight."""
    n = problem.x.shape[0]
    rows = np.minimum(np.arange(ROWS), n - 1)
    observed = np.where(np.arange(ROWS) < n, np.asarray(problem.observed)[rows], weight)
    parts = (problem.x[rows], problem.y[rows], problem.noise_features[rows], jnp.asarray(observed))
    return eqx.tree_at(lambda p: (p.x, p.y, p.noise_features, p.observed), problem, parts)


@pytest.fixture(autouse=True, scope="module")
def quick():
    """One compile for each number of inputs, and a quick one."""
    before = jax.config.read("jax_disable_most_optimizations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regression, "neg_log_evidence", lambda problem: neg_log_evidence(filled(problem)))
        patch.setattr(regression.flow, "Settings", lambda: Settings(rounds=0, begin="grid"))
        patch.setattr(descent, "certify", lambda *state, **how: SimpleNamespace(gain=np.zeros(1), slot=np.zeros(1)))
        jax.config.update("jax_disable_most_optimizations", True)
        yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def data():
    x, y = made_up.bump()
    return x[:, None], y


@pytest.fixture(scope="module")
def point(data):
    return SplatRegressor(**SMALL).fit(*data)


@pytest.fixture
def calls(monkeypatch):
    """SplatModel that fits nothing: all that it was asked for, by the names of the arguments."""
    asked = []

    def stand_in(method, result):
        def called(*args, **settings):
            asked.append(signature(method).bind(*args, **settings).arguments)
            return result

        return called

    for name, result in {"sample": made_up.posterior(1), "fit": SimpleNamespace(interrupted=False)}.items():
        monkeypatch.setattr(bs.SplatModel, name, stand_in(getattr(bs.SplatModel, name), result))
    return asked


@pytest.fixture
def sampled(data, calls):
    return SplatRegressor(inference="nuts").fit(*data)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_rows_that_fill_up_change_nothing_unless_they_are_observed(data, weight, x64):
    spec, (x, y) = bs.SplatModel(**{k: v for k, v in SMALL.items() if k != "starts"}, prior=bs.Ridge()), data
    box, standard = (x - x.min()) / np.ptp(x), (y - y.mean()) / y.std()
    problem = bind(spec, box, standard, spec.likelihood.field(box))
    value = eqx.filter_jit(lambda energy: energy.value(energy.start(2), jnp.ones(2, bool)))
    values = [float(value(neg_log_evidence(each))) for each in (problem, filled(problem, weight))]
    assert np.isclose(*values, rtol=1e-10) == (weight == 0.0)


@parametrize_with_checks([SplatRegressor(**SMALL)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- parameters


def test_parameters_are_the_fields_of_the_model_with_its_defaults():
    regressor = SplatRegressor()
    for field in fields(bs.SplatModel):
        assert getattr(regressor, field.name) in (None, field.default), field.name
    assert set(OTHERS) == set(regressor.get_params())
    assert repr(regressor) == "SplatRegressor()"


def test_clone_keeps_every_parameter():
    regressor = SplatRegressor(**OTHERS)
    assert not any(OTHERS[name] == value for name, value in SplatRegressor().get_params().items())
    assert clone(regressor).get_params() == OTHERS


def test_every_parameter_reaches_the_model(data, calls):
    SplatRegressor(**OTHERS).fit(*data)
    SplatRegressor(**{**OTHERS, "inference": "point"}).fit(*data)
    model = bs.SplatModel(**{field.name: OTHERS[field.name] for field in fields(bs.SplatModel)})
    for asked in calls:
        assert asked.pop("self") == model
        np.testing.assert_array_equal(asked.pop("x"), data[0])
        np.testing.assert_array_equal(asked.pop("y"), data[1])
    assert calls[0] == {"method": "svi", "chains": 2, "warmup": 7, "draws": 8, "seed": 9, "progress": False}
    assert calls[1] == {"starts": 3, "seed": 9, "progress": False}


def test_no_random_state_is_zero(data, calls):
    SplatRegressor().fit(*data)
    assert calls[0]["seed"] == 0


@pytest.mark.parametrize("n_splats", [1, 4, 20])
def test_default_prior_is_that_of_the_model(data, calls, n_splats):
    SplatRegressor(n_splats).fit(*data)
    assert calls[0]["self"] == bs.SplatModel(n_splats)


# ---------------------------------------------------------------- predictions


def test_point_predictions_are_those_of_the_model(point, data):
    model = bs.SplatModel(2, bs.RegularizedHorseshoe(1.0), covariance="spherical", trend="linear")
    fit = model.fit(*data, starts=1)
    np.testing.assert_array_equal(point.predict(data[0]), fit.predict(data[0]))
    assert point.score(*data) == r2_score(data[1], fit.predict(data[0])) > 0.9


def test_posterior_predictions_are_those_of_a_new_observation(sampled, data):
    x = data[0]
    new = sampled.posterior_.predict(x, prob=0.7, kind="observation")
    both = sampled.predict(x, return_std=True, return_interval=0.7)
    for got, expected in zip(both, (new.mean, new.sd, new.lower, new.upper), strict=True):
        np.testing.assert_array_equal(got, expected)
    for got, expected in zip(sampled.predict(x, return_interval=0.7), (both[0], *both[2:]), strict=True):
        np.testing.assert_array_equal(got, expected)
    # another interval, another program: the last bits may differ
    for got, expected in zip(sampled.predict(x, return_std=True), both[:2], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(sampled.predict(x), new.mean, rtol=1e-10)
    assert np.all(new.sd > sampled.posterior_.predict(x).sd)


@pytest.mark.parametrize("name", ["point", "sampled"])
@pytest.mark.parametrize("again", [copy.deepcopy, lambda fitted: pickle.loads(pickle.dumps(fitted))])
def test_copies_predict_the_same(name, again, data, request):
    fitted = request.getfixturevalue(name)
    np.testing.assert_array_equal(again(fitted).predict(data[0]), fitted.predict(data[0]))


def test_a_new_fit_replaces_the_old_one(data, calls):
    regressor = SplatRegressor(inference="laplace").fit(*data)
    regressor.set_params(inference="point").fit(*data)
    assert not regressor.fit_.interrupted
    assert not hasattr(regressor, "posterior_")


@pytest.mark.parametrize("inference", ["point", "nuts"])
def test_an_interrupt_ends_a_search_and_keeps_what_there_is(data, monkeypatch, inference):
    stopped = replace(made_up.posterior(1), info={"interrupted": True})
    monkeypatch.setattr(bs.SplatModel, "fit", lambda *args, **settings: SimpleNamespace(interrupted=True))
    monkeypatch.setattr(bs.SplatModel, "sample", lambda *args, **settings: stopped)
    regressor = SplatRegressor(inference=inference)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(regressor, {"n_splats": [2, 3]}, error_score=0.0).fit(*data)
    with pytest.raises(KeyboardInterrupt):
        regressor.fit(*data)
    assert hasattr(regressor, "fit_" if inference == "point" else "posterior_")


def test_a_refused_fit_predicts_nothing(data):
    regressor = SplatRegressor(inference="nuts", chains=0)
    with pytest.raises(bs.BayesplatError):
        regressor.fit(*data)
    with pytest.raises(NotFittedError):
        regressor.predict(data[0])


# ---------------------------------------------------------------- scikit-learn's tools


def test_grid_search_over_a_pipeline_finds_the_better_prior(data):
    pipeline = make_pipeline(StandardScaler(), SplatRegressor(**SMALL))
    priors = [bs.Ridge(1e-3), bs.Ridge()]
    order = np.random.default_rng(0).permutation(len(data[1]))
    search = GridSearchCV(pipeline, {"splatregressor__prior": priors}, cv=3, error_score="raise")
    search.fit(data[0][order], data[1][order])
    assert search.best_params_ == {"splatregressor__prior": bs.Ridge()}
    assert search.score(*data) > 0.9


def test_every_datum_is_predicted_by_a_fit_without_it(data):
    order = np.random.default_rng(0).permutation(len(data[1]))
    x, y = data[0][order], data[1][order]
    held = cross_val_predict(SplatRegressor(**SMALL), x, y, cv=3)
    assert r2_score(y, held) > 0.5  # two splats that have hardly moved; 0 for the mean
    assert not np.allclose(held, SplatRegressor(**SMALL).fit(x, y).predict(x))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_names_of_columns_are_kept_and_checked(frame, calls):
    x = np.random.default_rng(0).normal(size=(9, 2))
    regressor = SplatRegressor(inference="laplace").fit(
        frame({"depth": x[:, 0], "age": x[:, 1]}), pd.Series(x[:, 0], name="flow")
    )
    assert list(regressor.feature_names_in_) == ["depth", "age"]
    assert (list(calls[0]["x"].columns), calls[0]["y"].name) == (["depth", "age"], "flow")
    with pytest.raises(ValueError, match="feature names"):
        regressor.predict(frame({"age": x[:, 1], "depth": x[:, 0]}))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"inference": "exact"}, "Expected `inference` to be one of 'point', 'nuts', 'smc'"),
        ({"random_state": np.random.default_rng(0)}, "Expected `random_state` to be an integer or None, got Generator"),
        ({"random_state": True}, "got True"),
        ({"n_splats": 0}, "Expected `n_splats` to be an integer of at least 1, got 0"),
        ({"n_splats": 3, "prior": bs.RegularizedHorseshoe(5)}, "Expected `n_active` below the number of splats (3)"),
        ({"inference": "nuts", "draws": 2}, "Expected `draws` to be an integer of at least 4, got 2"),
    ],
)
def test_odd_parameters_are_refused_by_fit(data, parameters, message):
    with pytest.raises(bs.BayesplatError) as caught:
        SplatRegressor().set_params(**parameters).fit(*data)
    assert message in str(caught.value)


@pytest.mark.parametrize("asked", [{"return_std": True}, {"return_interval": 0.9}])
def test_a_point_fit_has_no_uncertainty(point, data, asked):
    with pytest.raises(bs.BayesplatError, match="point fit, which has no uncertainty; set inference='laplace'"):
        point.predict(data[0], **asked)


@pytest.mark.parametrize("prob", [0, 1.0, 90, True])
def test_odd_intervals_are_refused(sampled, data, prob):
    with pytest.raises(bs.BayesplatError, match="Expected `return_interval` strictly between 0 and 1"):
        sampled.predict(data[0], return_interval=prob)


def test_what_scikit_learn_refuses_is_refused(data):
    x, y = data
    with pytest.raises(ValueError, match="Input y contains NaN"):
        SplatRegressor().fit(x, np.where(y > 6, np.nan, y))
    with pytest.raises(TypeError, match="sample_weight"):
        SplatRegressor().fit(x, y, sample_weight=np.ones_like(y))
    with pytest.raises(NotFittedError):
        SplatRegressor().predict(x)


def test_without_scikit_learn_the_module_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "bayesplat.sklearn")
    with pytest.raises(ImportError, match=r"needs scikit-learn 1\.6 or later: pip install scikit-learn"):
        import_module("bayesplat.sklearn")


@pytest.mark.slow
def test_intervals_from_a_posterior_hold_the_data(data):
    regressor = SplatRegressor(**SMALL, inference="nuts", chains=2, warmup=100, draws=100).fit(*data)
    _, lower, upper = regressor.predict(data[0], return_interval=0.9)
    assert 0.75 <= np.mean((lower <= data[1]) & (data[1] <= upper)) < 1.0
