"""Any numbers that a table may hold are fitted and predicted from, or refused in one sentence."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayesplat as bs

SHAPES = ((1, 1, 1), (2, 1, 3), (12, 1, 3), (12, 2, 3))
"""Rows, inputs and splats: each is compiled once."""

INPUTS = {
    "anywhere": lambda rng, shape: rng.uniform(size=shape),
    "ties": lambda rng, shape: rng.integers(3, size=shape).astype(float),
    "constant": lambda rng, shape: np.ones(shape),
    "one far away": lambda rng, shape: np.r_[np.full((1, shape[1]), 1e6), rng.uniform(size=shape)][: shape[0]],
    "within rounding": lambda rng, shape: 1.0 + 1e-11 * rng.uniform(size=shape),
}
OUTPUTS = {
    "noise": lambda rng, n: rng.normal(size=n),
    "constant": lambda rng, n: np.ones(n),
    "zero": lambda rng, n: np.zeros(n),
    "outlier": lambda rng, n: np.r_[rng.normal(size=n - 1), 1e9],
    "within rounding": lambda rng, n: 1.0 + 1e-11 * rng.normal(size=n),
    "with a gap": lambda rng, n: np.r_[np.full(n // 3, np.nan), rng.normal(size=n - n // 3)],
}
power, offset = st.integers(-12, 12), st.sampled_from([0.0, 1.0, -1e3])
"""Decimal exponents of units, and offsets in these units."""


@st.composite
def tables(draw):
    """Inputs, outputs and a number of splats."""
    (n, d, k), rng = draw(st.sampled_from(SHAPES)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = INPUTS[draw(st.sampled_from(sorted(INPUTS)))](rng, (n, d))
    y = OUTPUTS[draw(st.sampled_from(sorted(OUTPUTS)))](rng, n)
    return (x + draw(offset)) * 10.0 ** draw(power), (y + draw(offset)) * 10.0 ** draw(power), k


def check_predictions(table):
    """Predictions are finite wherever they are asked for, and near the data among the data."""
    x, y, k = table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        fit = bs.SplatModel(k, prior=bs.Ridge()).fit(x, y, starts=1, progress=False)
    at_data = fit.predict(x)
    low, high = np.nanmin(y), np.nanmax(y)
    margin = (high - low) + 1e-9 * max(abs(low), abs(high))
    assert np.all((low - margin <= at_data) & (at_data <= high + margin))
    for scale in (-1e3, 3.0, 1e12):
        assert np.isfinite(fit.predict(scale * x)).all()
    assert 0 < fit.sigma < np.inf
    assert str(fit.report())


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(tables())
def test_any_table_is_fitted(table):
    check_predictions(table)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, database=None)
@given(tables())
def test_many_tables_are_fitted(table):
    check_predictions(table)


anything = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.complex_numbers(),
    st.binary(max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.lists(st.one_of(st.floats(), st.text(max_size=2), st.none(), st.lists(st.floats(), max_size=2)), max_size=3),
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(anything, anything)
def test_what_is_no_table_is_refused(x, y):
    try:
        data = bs.tables.as_data(x, y)
    except bs.BayesplatError:
        return
    assert np.isfinite(data.x).all()
    assert data.x.shape[0] == data.y.size > 0
