"""Mixtures of posteriors: shares of draws by weight, whatever the scaling of y, and inputs that must be the same."""

import warnings
from dataclasses import replace

import jax
import made_up
import numpy as np
import pandas as pd
import pytest

import bayesplat as bs
from bayesplat.predictor import mixture
from bayesplat.scaling import constant, fit_scaling

X = np.linspace(1, 9, 50)


@pytest.fixture(scope="module")
def predictors():
    """Two posteriors of the same data: one of 50 draws, one of ten that lie 40 units of y higher."""
    one = made_up.posterior(1).predictor
    (component,) = one.components
    sample = jax.tree.map(lambda leaf: leaf[:10], component.sample)
    lifted = sample.coefficients + np.eye(made_up.K + 1)[made_up.K] * 40 / one.scaling.sd
    return one, one._replace(components=(component._replace(sample=sample._replace(coefficients=lifted)),))


@pytest.mark.parametrize(("weight", "share"), [(0.2, 12), (0.5, 30), (0.9, 54)])
def test_every_part_gives_its_share_of_the_draws(predictors, weight, share):
    mixed = mixture(predictors, np.array([1 - weight, weight]))
    assert [len(component.sample.A) for component in mixed.components] == [60 - share, share]


def test_shares_of_all_draws_weigh_the_means(predictors):
    one, other = (each.predict(X, 0.9, "function").mean for each in predictors)
    mixed = mixture(predictors, np.array([5, 1]) / 6)
    np.testing.assert_allclose(mixed.predict(X, 0.9, "function").mean, (5 * one + other) / 6)


def test_a_part_without_weight_costs_nothing(predictors):
    assert len(mixture(predictors, np.array([0.0, 1.0])).components) == 1


def test_bands_hold_both_explanations(predictors):
    found = mixture(predictors, np.array([0.5, 0.5])).predict(X, 0.9, "function")
    for each in predictors:
        assert (found.lower < each.predict(X, 0.9, "function").mean).all()
        assert (found.upper > each.predict(X, 0.9, "function").mean).all()


def test_draws_are_the_functions_that_bands_are_made_of(predictors):
    one = predictors[0]
    drawn = one.draws(X)
    assert drawn.shape == (50, 50)
    band = one.predict(X, 0.9, "function")
    np.testing.assert_allclose(drawn.mean(0), band.mean, rtol=1e-10)
    np.testing.assert_allclose(np.quantile(drawn, 0.95, axis=0), band.upper, rtol=1e-10)
    # together, and not point by point: a row is one function, wherever it is asked
    np.testing.assert_allclose(one.draws(X[::-1])[:, ::-1], drawn, rtol=1e-10)
    np.testing.assert_allclose(one.draws(X[:3]), drawn[:, :3], rtol=1e-10)


def test_intervals_of_almost_all_observations_are_finite(predictors):
    band = predictors[0].predict(X[:3], 1 - 2**-53, "observation")
    assert np.isfinite(band.lower).all()
    assert np.isfinite(band.upper).all()
    assert (band.upper > predictors[0].predict(X[:3], 0.999, "observation").upper).all()


@pytest.mark.parametrize("kind", ["function", "observation", "noise"])
def test_probabilities_may_be_numbers_of_numpy(predictors, kind):
    found = predictors[0].predict(X[:3], np.float64(0.8), kind)
    np.testing.assert_array_equal(found.lower, predictors[0].predict(X[:3], 0.8, kind).lower)


@pytest.mark.parametrize("kind", ["function", "noise"])
def test_intervals_that_end_beyond_all_draws_come_with_a_warning(predictors, kind):
    (component,) = predictors[0].components
    drawn = len(component.sample.A)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictors[0].predict(X[:3], 1 - 2 / drawn, kind)
        predictors[0].predict(X[:3], 0.9999, "observation")
    with pytest.warns(UserWarning, match=f"Intervals of 99.99% end beyond what {drawn} draws can tell"):
        predictors[0].predict(X[:3], 0.9999, kind)


def test_scores_beyond_the_data_come_with_a_warning():
    post = made_up.posterior(1)
    with pytest.warns(UserWarning, match="1 of 2 rows of `x_new` lie beyond the data"):
        post.log_predictive_density([5.0, 50.0], [100.0, 100.0])


def test_scores_read_new_inputs_once():
    post = replace(made_up.posterior(2), names=("x1", "x2", "y"))
    x_new = pd.DataFrame({"p": [0.5, 0.6], "q": [0.5, 0.6]})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        post.log_predictive_density(x_new, [0.0, 0.0])
    assert sum("taken by position: 'p', 'q'" in str(warning.message) for warning in found) == 1


@pytest.mark.parametrize("ask", [lambda one, x: one.predict(x, 0.9, "function"), lambda one, x: one.draws(x)])
def test_inputs_beyond_the_data_are_warned_of(predictors, ask):
    low, extent = predictors[0].scaling.low[0], predictors[0].scaling.extent[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask(predictors[0], low + extent * np.array([-0.09, 0.5, 1.09]))
    with pytest.warns(UserWarning, match="2 of 3 rows of `x_new` lie beyond the data"):
        ask(predictors[0], low + extent * np.array([-0.2, 0.5, 1.11]))


def test_inputs_that_were_constant_are_warned_of_when_they_move(predictors):
    x = np.column_stack([X, np.full(len(X), 300.1)])
    (component,) = made_up.posterior(2).predictor.components
    scaling = fit_scaling(x, X)
    still = predictors[0]._replace(components=(component,), scaling=scaling, names=("a", "T", "y"), still=constant(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        still.predict(x, 0.9, "function")
        still.predict(x.astype(np.float32), 0.9, "function")  # as JAX has it by default
    x[:3, 1] = 300.5  # well within the unit box
    with pytest.warns(UserWarning, match="3 of 50 rows of `x_new` differ from all data in T, constant in the fit"):
        still.predict(x, 0.9, "function")


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_parts_without_a_trend_weigh_as_much_as_others(predictors, unit):
    """Their y is scaled about 0 by another size, which must not matter to a mixture, be the unit as small as it may."""
    one, scaling = predictors[0], predictors[0].scaling
    first = one._replace(scaling=scaling._replace(mean=unit * scaling.mean, sd=unit * scaling.sd))
    other = _without_trend(first, -0.4 * unit * scaling.mean, 3.1 * unit * scaling.sd)
    for kind in ("function", "observation", "noise"):
        own, others, mixed = (
            each.predict(X, 0.9, kind) for each in (first, other, mixture([first, other], np.array([0.5, 0.5])))
        )
        np.testing.assert_allclose(mixed.mean, (own.mean + others.mean) / 2, rtol=1e-8, atol=1e-3 * unit)
        np.testing.assert_allclose(
            mixed.sd**2 + mixed.mean**2, (own.sd**2 + own.mean**2 + others.sd**2 + others.mean**2) / 2, rtol=1e-6
        )


def _without_trend(predictor, mean, sd):
    (component,) = predictor.components
    spec, sample = replace(component.spec, trend="none"), component.sample
    part = component._replace(spec=spec, sample=sample._replace(coefficients=sample.coefficients[:, :-1]))
    return predictor._replace(components=(part,), scaling=predictor.scaling._replace(mean=mean, sd=sd))


def test_other_inputs_are_refused(predictors):
    other = predictors[1]._replace(scaling=predictors[1].scaling._replace(low=np.array([0.0])))
    with pytest.raises(bs.BayesplatError, match="same inputs"):
        mixture([predictors[0], other], np.array([0.5, 0.5]))
