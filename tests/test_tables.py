"""What users may hand in, and every refusal in its words."""

import jax
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

from bayesplat._checks import BayesplatError
from bayesplat.tables import as_data, as_inputs, as_output, codes, evenly, frame_like, sliced, strays

ONE = np.array([0.5, 1.5, 2.5])
TWO = np.column_stack([ONE, -ONE])

INPUTS = {
    "array": (TWO, TWO),
    "one input": (ONE, ONE[:, None]),
    "column": (ONE[:, None], ONE[:, None]),
    "lists": (TWO.tolist(), TWO),
    "integers": (np.array([[1, 2], [3, 4]]), np.array([[1.0, 2.0], [3.0, 4.0]])),
    "single precision": (TWO.astype(np.float32), TWO),
    "booleans": (np.array([True, False]), np.array([[1.0], [0.0]])),
    "numbers in objects": (TWO.astype(object), TWO),
    "pandas frame": (pd.DataFrame(TWO, columns=["a", "b"]), TWO),
    "pandas series": (pd.Series(ONE), ONE[:, None]),
    "polars frame": (pl.DataFrame(TWO, schema=["a", "b"]), TWO),
    "polars series": (pl.Series("a", ONE), ONE[:, None]),
    "xarray": (xr.DataArray(TWO, dims=("row", "input")), TWO),
    "a dataset with other coordinates": (
        xr.Dataset({"a": ("t", TWO[:, 0]), "b": ("t", TWO[:, 1])}, {"depth": 7.0, "lat": ("t", TWO[:, 0] + 9)}),
        TWO,
    ),
    "masked, nothing hidden": (np.ma.masked_array(TWO), TWO),
    "one row": (TWO[:1], TWO[:1]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_become_float64_tables(name):
    given, expected = INPUTS[name]
    found = as_inputs(given)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def test_inputs_are_copied():
    given = TWO.copy()
    as_inputs(given)[:] = 7.0
    np.testing.assert_array_equal(given, TWO)


OUTPUTS = {
    "array": (ONE, ONE),
    "column": (ONE[:, None], ONE),
    "integers": (np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0])),
    "missing": (np.array([1.0, np.nan, 3.0]), np.array([1.0, np.nan, 3.0])),
    "missing among objects": (pd.Series([1, pd.NA, 3], dtype=object), np.array([1.0, np.nan, 3.0])),
    "missing in pandas": (pd.Series([1, None, 3], dtype="Int64"), np.array([1.0, np.nan, 3.0])),
    "missing in polars": (pl.Series([1.0, None, 3.0]), np.array([1.0, np.nan, 3.0])),
    "hidden": (np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]), np.array([1.0, np.nan, 3.0])),
    "hidden integers": (np.ma.masked_array([1, 2, 3], [False, True, False]), np.array([1.0, np.nan, 3.0])),
    "xarray": (xr.DataArray(ONE), ONE),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_become_float64_vectors(name):
    given, expected = OUTPUTS[name]
    found = as_output(given, 3)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


def words(text):
    return np.array([text, "b", "c"])


DATES = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], dtype="datetime64[D]")

REFUSED_INPUTS = {
    "text": (words("a"), "Expected numbers in `x`, got values of type <U1; encode text and dates as numbers first."),
    "text in a frame": (
        pd.DataFrame({"a": ["red", "blue"]}),
        "Expected numbers in `x`, got text or dates in the columns 'a'; ",
    ),
    "complex": (ONE + 1j, "Expected real numbers in `x`, got complex ones; pass their real part."),
    "NaN": (np.array([1.0, np.nan]), "Expected finite `x`, got NaN or infinity in 1 row; drop or fill."),
    "infinities": (np.array([[np.inf, 1.0], [0.0, 1.0], [-np.inf, 1.0]]), "got NaN or infinity in 2 rows; drop"),
    "hidden": (np.ma.masked_array(ONE, [True, False, False]), "got NaN or infinity in 1 row"),
    "no rows": (np.zeros((0, 2)), "Expected `x` to have at least one row, got shape (0, 2)."),
    "an empty list": ([], "Expected `x` to have at least one row"),
    "no columns": (np.zeros((3, 0)), "Expected `x` to have at least one column, got shape (3, 0)."),
    "a number": (3.0, "Expected `x` with shape (n, d) or (n,), got ()."),
    "three axes": (np.zeros((2, 2, 2)), "Expected `x` with shape (n, d) or (n,), got (2, 2, 2)."),
    "ragged lists": ([[1.0], [1.0, 2.0]], "Expected `x` to be an array of numbers, got list."),
    "nothing": (None, "Expected `x` with shape (n, d) or (n,), got ()."),
    "dates": (DATES, "encode text and dates as numbers first"),
    "dates beside numbers": (
        pl.DataFrame({"a": DATES, "b": ONE}),
        "Expected numbers in `x`, got dates in the columns 'a'; encode text and dates as numbers first.",
    ),
    "an Arrow table": (
        pa.table({"a": ONE}),
        "Expected numbers in `x`, got a Table of pyarrow; call its to_pandas() first.",
    ),
    "a lazy frame": (
        pl.LazyFrame({"a": ONE}),
        "Expected numbers in `x`, got a LazyFrame of polars; call its collect() first.",
    ),
}
REFUSED_OUTPUTS = {
    "text": (words("a"), "Expected numbers in `y`, got values of type <U1"),
    "complex": (ONE + 1j, "Expected real numbers in `y`, got complex ones"),
    "infinity": (np.array([1.0, np.inf, 2.0]), "Expected finite or missing (NaN) `y`, got infinity; drop those rows."),
    "another length": (ONE[:2], "Expected `y` with as many rows as `x` (3), got 2; match the rows."),
    "several columns": (TWO, "Expected `y` with shape (n,), got (3, 2); fit one model for each output column."),
    "a number": (1.0, "Expected `y` with shape (n,), got ()"),
    "dates": (DATES, "Expected numbers in `y`"),
}


def refusal(call):
    with pytest.raises(BayesplatError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("name", REFUSED_INPUTS)
def test_odd_inputs_are_refused(name):
    given, expected = REFUSED_INPUTS[name]
    assert expected in refusal(lambda: as_inputs(given))


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_what_jax_traces_is_refused(transform):
    said = refusal(lambda: transform(lambda x: as_inputs(x).sum())(np.ones(()) if transform is jax.grad else ONE))
    assert (
        "Expected numbers in `x`, got a value that JAX traces in jit, grad or vmap; call this outside of them" in said
    )


@pytest.mark.parametrize("name", REFUSED_OUTPUTS)
def test_odd_outputs_are_refused(name):
    given, expected = REFUSED_OUTPUTS[name]
    assert expected in refusal(lambda: as_output(given, 3))


@pytest.mark.parametrize(("names", "columns"), [("a", "1 input column,"), ("abc", "3 input columns,")])
def test_inputs_of_another_dimension_are_refused_by_name(names, columns):
    said = refusal(lambda: as_inputs(TWO, "x_new", tuple(names)))
    assert said == f"Expected `x_new` with {columns} as in the fit, got shape (3, 2)."
    np.testing.assert_array_equal(as_inputs(TWO, "x_new", ("a", "b")), TWO)


THREE = np.column_stack([TWO, ONE**2])
FRAMES = {
    "pandas": pd.DataFrame(THREE, columns=["b", "a", "c"]),
    "polars": pl.DataFrame(THREE, schema=["b", "a", "c"]),
    "dataset": xr.Dataset({name: ("row", column) for name, column in zip("bac", THREE.T, strict=True)}),
    "array": xr.DataArray(THREE, dims=("row", "input"), coords={"input": ["b", "a", "c"]}),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_of_frames_are_taken_by_their_names(kind):
    np.testing.assert_array_equal(as_inputs(FRAMES[kind], "x_new", ("a", "b")), TWO[:, ::-1])
    assert as_data(FRAMES[kind], ONE).names == ("b", "a", "c", "y")
    said = refusal(lambda: as_inputs(FRAMES[kind], "x_new", ("a", "dose")))
    expected = "Expected `x_new` with the columns 'a', 'dose', as in the fit, got 'b', 'a', 'c'; rename them, or pass"
    assert said.startswith(expected)


@pytest.mark.parametrize("kind", ["pandas", "array"])
def test_columns_of_the_same_name_are_refused(kind):
    array = xr.DataArray(THREE, dims=("row", "input"), coords={"input": ["b", "a", "b"]})
    twice = {"pandas": FRAMES["pandas"].set_axis(["b", "a", "b"], axis=1), "array": array}[kind]
    expected = "Expected columns of `{}` with different names, got several called 'b'; rename them."
    assert refusal(lambda: as_data(twice, ONE)) == expected.format("x")
    assert refusal(lambda: as_inputs(twice, "x_new", ("a", "b"))) == expected.format("x_new")
    np.testing.assert_array_equal(as_inputs(twice, "x_new", ("a",)), TWO[:, 1:])  # others do not matter


def test_missing_values_of_pandas_are_missing():
    frame = pd.DataFrame({"a": pd.array([1.0, None, 3.0]), "b": pd.array([1, 2, None], dtype="Int64")})
    assert "got NaN or infinity in 2 rows" in refusal(lambda: as_inputs(frame))
    assert np.isnan(as_data(ONE, frame[["a"]]).y).tolist() == [False, True, False]
    assert as_inputs(frame.iloc[:1]).tolist() == [[1.0, 1.0]]


def test_text_in_a_frame_is_named_by_its_column():
    frame = pd.DataFrame({"a": [1.0, 2.0], "site": ["north", "south"], "when": ["1 May", "2 May"]})
    assert "got text or dates in the columns 'site', 'when'; encode" in refusal(lambda: as_inputs(frame))


def test_a_fit_of_arrays_goes_by_position():
    with pytest.warns(
        UserWarning, match="`x_new` has no columns 'x1', 'x2', 'x3', .* taken by position: 'b', 'a', 'c'"
    ):
        np.testing.assert_array_equal(as_inputs(FRAMES["pandas"], "x_new", ("x1", "x2", "x3")), THREE)
    mixed = FRAMES["pandas"].set_axis(["x2", "X1", "x3"], axis=1)  # some of the names, so not by position
    assert "'x2', 'X1', 'x3'; rename them" in refusal(lambda: as_inputs(mixed, "x_new", ("x1", "x2", "x3")))
    swapped = FRAMES["pandas"].set_axis(["x2", "x1", "x3"], axis=1)
    np.testing.assert_array_equal(as_inputs(swapped, "x_new", ("x1", "x2", "x3")), THREE[:, [1, 0, 2]])


@pytest.mark.parametrize(
    ("n", "most", "expected"), [(3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (1, 2, [0]), (4, 4, [0, 1, 2, 3])]
)
def test_rows_spread_evenly(n, most, expected):
    assert evenly(n, most).tolist() == expected


def test_frames_come_back_as_they_came_in():
    columns = {"mean": ONE}
    index = pd.Index(["a", "b", "c"], name="site")
    assert frame_like(pd.DataFrame({"x": ONE}, index=index), columns).index.equals(index)
    assert isinstance(frame_like(FRAMES["polars"], columns), pl.DataFrame)
    assert frame_like(TWO, columns)["mean"].tolist() == ONE.tolist()
    assert frame_like(list(ONE), columns).index.equals(pd.RangeIndex(3))  # a list has an `index`, which is none


def test_outputs_that_are_all_missing_are_refused():
    assert "at least one observed `y`" in refusal(lambda: as_data(ONE, np.full(3, np.nan)))


NAMES = [
    (TWO, ONE, ("x1", "x2", "y")),
    (ONE, ONE, ("x", "y")),
    (pd.DataFrame(TWO, columns=["dose", 7]), pd.Series(ONE, name="effect"), ("dose", "7", "effect")),
    (pd.Series(ONE, name="time"), pd.Series(ONE), ("time", "y")),
    (ONE, pd.DataFrame({"effect": ONE}), ("x", "effect")),
    (pl.DataFrame(TWO, schema=["a", "b"]), pl.Series("z", ONE), ("a", "b", "z")),
    (xr.DataArray(ONE, name="depth"), xr.DataArray(ONE), ("depth", "y")),
]


@pytest.mark.parametrize(("x", "y", "names"), NAMES)
def test_names_come_from_frames_and_series(x, y, names):
    data = as_data(x, y)
    assert data.names == names
    assert data.x.shape[0] == data.y.shape[0] == 3


# ---------------------------------------------------------------- numbers that may stand for none


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([1.0, 2.0, -999.0, -999.0], {-999.0: 2}),
        ([1.0, 2.0, -999.0, -9999.0], {-9999.0: 1, -999.0: 1}),
        ([0.1, 0.2, np.nan, 99.9], {99.9: 1}),
        ([280.0, 1e300, 9.96921e36], {}),
        ([280.0, 290.0, 9.96921e36], {9.96921e36: 1}),
        (np.float32([2.5, 99.9]).astype(float), {np.float32(99.9).item(): 1}),
        ([0.0, 60.0, 99.0], {}),  # not far from the others
        ([1.0, 2.0, -1000.0], {}),  # no code
        ([99.0, 99.0], {}),  # nothing else
        ([np.nan, 1.0], {}),
    ],
)
def test_codes_for_what_is_missing_are_told_from_data(values, found):
    assert codes(np.array(values)) == found


CROWD = np.linspace(-1.0, 1.0, 30)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.r_[CROWD, 31.0], {31.0: 15.0}),
        (np.r_[CROWD, 31.0, np.nan, -9999.0], {31.0: 15.0}),  # a code has a sentence of its own
        (np.r_[-31.0, CROWD, 41.0, 41.0], {-31.0: 15.0, 41.0: 20.0}),
        (np.r_[CROWD, 20.9], {}),  # not so far
        (np.r_[CROWD, [40.0] * 4], {}),  # not so few
        (np.r_[CROWD[:8], 1e6], {}),  # no crowd
        (np.r_[np.zeros(30), 1.0], {}),  # all others are one: no measure of far
        (np.full(30, np.nan), {}),
    ],
)
def test_strays_are_few_and_far_from_all_others(values, found):
    assert strays(np.asarray(values)) == pytest.approx(found)


def test_a_flat_point_is_refused_by_the_shape_it_has():
    assert "with 2 input columns, as in the fit, got shape (2,)." in refusal(
        lambda: as_inputs([150, 450], "x_new", ("a", "b"))
    )


@pytest.mark.parametrize("n", [254, 255, 256, 384, 512, 5000])
def test_one_row_of_every_slice_is_taken_whatever_turns_they_come_in(n):
    rows = sliced(n, 128)
    edges = n * np.arange(129) // 128
    assert ((edges[:-1] <= rows) & (rows < edges[1:])).all()
    for turns in (2, 3, 4):
        shares = np.bincount(rows % turns, minlength=turns) / 128
        assert np.abs(shares - 1 / turns).max() < 0.15  # five standard errors
    np.testing.assert_array_equal(sliced(5, 128), np.arange(5))
