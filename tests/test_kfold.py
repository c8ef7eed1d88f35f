"""K-fold cross-validation: who sees what, scores against closed forms, and every odd choice of folds."""

import dataclasses
import inspect
from types import SimpleNamespace

import made_up
import numpy as np
import pytest
from scipy import stats

import bayesplat as bs

N = 23
X, Y = np.linspace(0.0, 1.0, N), np.random.default_rng(0).normal(size=N)


class MeanPosterior(bs.Posterior):
    """Predicts N(mean of the data it was made from, 1), whatever x."""

    def __init__(self, mean, info, failures):
        like = made_up.posterior(1)
        super().__init__(like.spec, like.scaling, like.names, like.data, info)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "failures", failures)

    @property
    def predictor(self):
        return self

    def law(self, y_err):
        return stats.norm(self.mean, np.hypot(1.0, 0.0 if y_err is None else y_err))

    def log_density(self, table):
        _, y, y_err = table
        return self.law(y_err).logpdf(y)

    def cdf(self, table):
        _, y, y_err = table
        return self.law(y_err).cdf(y)

    def convergence(self):
        return SimpleNamespace(ok=not self.failures, failures=self.failures)


class MeanModel(bs.SplatModel):
    """Stands in for a model that samples: remembers the data of every fit, and may stop or fail."""

    def sample(self, x, y, seed=0, progress=None, y_err=None, **sampling):
        fits = self.__dict__.setdefault("fits", [])
        self.__dict__.setdefault("errors", []).append(y_err)
        fits.append((x[:, 0], y, sampling))
        stopped = len(fits) == self.__dict__.get("stop_at")
        if stopped and self.__dict__.get("before_draws"):
            raise KeyboardInterrupt
        return MeanPosterior(y.mean(), {"interrupted": stopped}, self.__dict__.get("failures", ()))


@pytest.fixture
def model():
    return MeanModel(3, prior=bs.Ridge())


def test_every_datum_is_scored_once_by_a_model_that_did_not_see_it(model):
    found = bs.kfold(model, X, Y, folds=5, warmup=7)
    assert len(model.fits) == 5
    for i, (x, y, sampling) in enumerate(model.fits):
        held = found.fold == i
        assert not np.isin(X[held], x).any()
        assert len(y) == N - held.sum()
        assert sampling == {"warmup": 7}
        np.testing.assert_allclose(found.log_density[held], stats.norm.logpdf(Y[held], Y[~held].mean(), 1.0))
    assert np.ptp(np.bincount(found.fold)) <= 1


def test_summaries_are_those_of_the_scores(model):
    found = bs.kfold(model, X, Y, folds=N, prob=0.5)
    mean = (Y.sum() - Y) / (N - 1)
    scores = stats.norm.logpdf(Y, mean, 1.0)
    np.testing.assert_allclose(found.elpd, scores.sum())
    np.testing.assert_allclose(found.nlpd, -scores.mean())
    np.testing.assert_allclose(found.se, np.sqrt(N) * scores.std())
    np.testing.assert_allclose(found.coverage, np.mean(np.abs(Y - mean) <= stats.norm.ppf(0.75)))
    assert f"{N}-fold cross-validation of {N} data" in str(found)
    assert "  97.5% intervals cover" in str(dataclasses.replace(found, prob=0.975))
    assert list(found.to_frame()) == ["fold", "log_density", "covered"]


def test_seeds_are_those_of_sample(model):
    folds = [bs.kfold(model, X, Y, folds=5, seed=seed).fold for seed in (-1, 0, -1)]
    np.testing.assert_array_equal(folds[0], folds[2])
    assert (folds[0] != folds[1]).any()
    with pytest.raises(bs.BayesplatError, match="Expected `seed` to be an integer, got None"):
        inspect.unwrap(bs.kfold)(model, X, Y, folds=5, seed=None)


def test_labels_leave_whole_groups_out(model):
    site = np.array(["north", "south", "east"])[np.arange(N) % 3]
    found = bs.kfold(model, X, Y, folds=site)
    assert len(model.fits) == 3
    for name in np.unique(site):
        assert np.unique(found.fold[site == name]).size == 1


def test_labels_may_be_of_several_kinds(model):
    found = bs.kfold(model, X, Y, folds=np.array(["7B", 12] * N, object)[:N])
    np.testing.assert_array_equal(found.fold, (np.arange(N) + 1) % 2)
    numbers = np.arange(N)[::-1] % 3
    np.testing.assert_array_equal(bs.kfold(model, X, Y, folds=numbers).fold, numbers)  # which keep their order


def test_known_errors_go_with_their_data(model):
    error = np.linspace(0.5, 2.0, N)
    found = bs.kfold(model, X, Y, folds=5, y_err=error)
    for i, used in enumerate(model.errors):
        held = found.fold == i
        np.testing.assert_array_equal(used, error[~held])
        expected = stats.norm.logpdf(Y[held], Y[~held].mean(), np.hypot(1.0, error[held]))
        np.testing.assert_allclose(found.log_density[held], expected)


def test_missing_values_are_left_out(model):
    y = Y.copy()
    y[::4] = np.nan
    found = bs.kfold(model, X, y, folds=4)
    np.testing.assert_array_equal(np.isnan(found.log_density), np.isnan(y))
    np.testing.assert_array_equal(found.to_frame()["covered"].isna(), np.isnan(y))
    np.testing.assert_allclose(found.to_frame()["covered"].mean(), found.coverage)
    assert not any(np.isnan(used).any() for _, used, _ in model.fits)
    assert np.isfinite([found.elpd, found.se, found.coverage]).all()


@pytest.mark.parametrize("before_draws", [False, True])
def test_an_interrupt_keeps_the_folds_that_are_done(model, before_draws):
    object.__setattr__(model, "stop_at", 3)
    object.__setattr__(model, "before_draws", before_draws)
    found = bs.kfold(model, X, Y, folds=5)
    np.testing.assert_array_equal(np.isnan(found.log_density), found.fold >= 2)
    assert f"5-fold cross-validation, 2 folds done, of {(found.fold < 2).sum()} data" in str(found)
    first = MeanModel(3, prior=bs.Ridge())
    object.__setattr__(first, "stop_at", 1)
    with pytest.raises(bs.BayesplatError, match="before the first fold"):
        bs.kfold(first, X, Y, folds=5)


def test_only_models_are_scored(model):
    with pytest.raises(bs.BayesplatError, match="Expected `model` to be a SplatModel, got Ridge"):
        inspect.unwrap(bs.kfold)(bs.Ridge(), X, Y)


def test_folds_do_not_share_a_checkpoint(model, tmp_path):
    with pytest.raises(bs.BayesplatError, match="no `checkpoint`"):
        bs.kfold(model, X, Y, folds=5, checkpoint=tmp_path)


def test_folds_that_did_not_converge_are_named(model):
    object.__setattr__(model, "failures", ("Chains disagree.",))
    found = bs.kfold(model, X, Y, folds=2)
    assert "2 of 2 folds did not converge (fold 0: Chains disagree.)" in str(found)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (1, "`folds` between 2 and the number of observed data (23), got 1"),
        (24, "got 24"),
        (np.zeros(N), "at least two different labels"),
        (np.zeros(5), "one label for each of 23 data, got shape (5,)"),
        (5.0, "`folds` to be an integer or one label for each of 23 data, got 5.0"),
        (None, "`folds` to be an integer or one label for each of 23 data, got None"),
    ],
)
def test_odd_folds_are_refused(model, folds, message):
    with pytest.raises(bs.BayesplatError) as caught:
        bs.kfold(model, X, Y, folds=folds)
    assert message in str(caught.value)


def test_a_fold_without_observed_data_is_refused(model):
    y = np.where(np.arange(N) < 4, np.nan, Y)
    with pytest.raises(bs.BayesplatError, match="all missing"):
        bs.kfold(model, X, y, folds=np.arange(N) < 4)
