"""From what users hold (arrays, frames, lists) to float64 arrays, with every refusal of odd data in one place."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from bayesplat._checks import BayesplatError, require, warn
from bayesplat._lazy import is_a, pd

type Table = tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"], Float[np.ndarray, " m"] | None]
"""Inputs, output and the output's known errors, if any."""


class Data(NamedTuple):
    """Checked data."""

    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]  # NaN where missing
    names: tuple[str, ...]  # one per input, then the output's
    y_err: Float[np.ndarray, " n"] | None = None  # known sd of the measurement of each y; 0 where y is missing

    def rows(self, chosen: Bool[np.ndarray, " n"] | Int[np.ndarray, " m"]) -> Table:
        """Some rows of the table, by a mask or by their numbers."""
        return self.x[chosen], self.y[chosen], None if self.y_err is None else self.y_err[chosen]


def as_inputs(x: object, name: str = "x", fitted: tuple[str, ...] | None = None) -> Float[np.ndarray, "n d"]:
    """Inputs as float64 (n, d); (n,) becomes (n, 1).

    `fitted` are the names of the inputs of a fit: a frame's columns are taken by these names, whatever their order.
    Raises BayesplatError for text, complex, NaN, infinity, no rows, another number of columns, or missing names.
    """
    d = None if fitted is None else len(fitted)
    x = x if fitted is None else _by_name(x, name, fitted)
    array = _as_float(x, name)
    shape = array.shape
    require(array.ndim in (1, 2), f"Expected `{name}` with shape (n, d) or (n,), got {shape}.")
    if array.ndim == 1:
        array = array[:, None]
    require(
        d is None or array.shape[1] == d,
        f"Expected `{name}` with {d} input column{'s' if d != 1 else ''}, as in the fit, got shape {shape}.",
    )
    require(array.shape[0] > 0, f"Expected `{name}` to have at least one row, got shape {array.shape}.")
    require(array.shape[1] > 0, f"Expected `{name}` to have at least one column, got shape {array.shape}.")
    bad = int((~np.isfinite(array).all(1)).sum())
    require(
        bad == 0, f"Expected finite `{name}`, got NaN or infinity in {bad} row{'s' if bad != 1 else ''}; drop or fill."
    )
    return array


def as_output(y: object, n: int, name: str = "y", beside: str = "x") -> Float[np.ndarray, " n"]:
    """Outputs as float64 (n,), NaN = missing; (n, 1) is accepted. They stand `beside` n rows of inputs.

    Raises BayesplatError for text, complex, infinity, another length or several columns.
    """
    array = _as_float(y, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    require(
        array.ndim == 1,
        f"Expected `{name}` with shape (n,), got {array.shape}; fit one model for each output column.",
    )
    require(
        array.shape[0] == n,
        f"Expected `{name}` with as many rows as `{beside}` ({n}), got {array.shape[0]}; match the rows.",
    )
    require(not np.isinf(array).any(), f"Expected finite or missing (NaN) `{name}`, got infinity; drop those rows.")
    return array


def as_errors(y_err: object, y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Known sds of the measurements of y: one for all or (n,), 0 where y is missing.

    Raises BayesplatError for what `as_output` refuses, negative numbers, and a missing error of a y that is there.
    """
    array = np.full(y.shape, y_err) if np.ndim(y_err) == 0 else y_err  # pyright: ignore[reportArgumentType]
    errors, observed = as_output(array, y.size, "y_err"), ~np.isnan(y)
    unknown = int(np.isnan(errors[observed]).sum())
    require(
        unknown == 0,
        f"Expected a known error for every observed y, got NaN in `y_err` for {unknown}; fill them, or leave those y "
        "out.",
    )
    require(not (errors[observed] < 0).any(), "Expected sds of 0 or more in `y_err`, got negative numbers.")
    return np.where(observed, errors, 0.0)


def as_data(x: object, y: object, y_err: object = None) -> Data:
    """Inputs, output and its known errors, checked together, with names of frames and series where they have them."""
    inputs = as_inputs(x)
    output = as_output(y, inputs.shape[0])
    require(bool(np.isfinite(output).any()), "Expected at least one observed `y`, got only NaN.")
    errors = None if y_err is None else as_errors(y_err, output)
    _unique(_columns(x) or [], "x")
    return Data(inputs, output, (*_column_names(x, inputs.shape[1]), _output_name(y)), errors)


def identical(old: Sequence[np.ndarray | None], new: Sequence[np.ndarray | None]) -> bool:
    """Whether two lists of arrays are equal one by one, NaN to NaN and none to none."""
    return all(
        np.array_equal(a, b, equal_nan=True) if a is not None and b is not None else a is b
        for a, b in zip(old, new, strict=True)
    )


def _as_float(array: object, name: str) -> np.ndarray:
    for library, kind, call in (("polars", "LazyFrame", "collect"), ("pyarrow", "Table", "to_pandas")):
        other = is_a(array, library, kind)
        require(not other, f"Expected numbers in `{name}`, got a {kind} of {library}; call its {call}() first.")
    traced = is_a(array, "jax.core", "Tracer")
    hint = "call this outside of them; inside, the measure of a point fit (`fit.measure`) can be evaluated."
    require(not traced, f"Expected numbers in `{name}`, got a value that JAX traces in jit, grad or vmap; {hint}")
    if is_a(array, "xarray", "Dataset"):
        # without its other coordinates, which are no data
        array = array.reset_coords(drop=True).to_dataframe()[[*array.data_vars]]  # pyright: ignore[reportAttributeAccessIssue]
    names, labelled = _columns(array), hasattr(array, "to_numpy")
    if is_a(array, "polars", "DataFrame"):  # which would count the days of dates beside numbers
        kinds = array.schema.items()  # pyright: ignore[reportAttributeAccessIssue]
        dated = [column for column, kind in kinds if kind.is_temporal()]
        require(not dated, _not_numbers(name, f"dates in the columns {', '.join(map(repr, dated))}"))
    if labelled:
        array = array.to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        raw = np.asanyarray(array)  # keeps the mask of a masked array
    except Exception as error:
        raise BayesplatError(f"Expected `{name}` to be an array of numbers, got {type(array).__name__}.") from error
    require(not np.iscomplexobj(raw), f"Expected real numbers in `{name}`, got complex ones; pass their real part.")
    try:
        if raw.dtype.kind == "O" and labelled:
            raw = np.where(pd.isna(raw), np.nan, raw)  # pandas and polars have missing values of their own
        if raw.dtype.kind in "mM":
            raise TypeError("NumPy would turn dates into counts of days or nanoseconds")
        return np.array(np.ma.filled(np.ma.asarray(raw, dtype=np.float64), np.nan))
    except (TypeError, ValueError) as error:
        raise BayesplatError(_not_numbers(name, _odd(raw, names))) from error


def _not_numbers(name: str, got: str) -> str:
    return f"Expected numbers in `{name}`, got {got}; encode text and dates as numbers first."


def _odd(raw: np.ndarray, names: list[str] | None) -> str:
    """What is not a number, in words: the columns of a frame by their names."""
    if names is None or raw.ndim != 2 or raw.dtype.kind != "O":
        return f"values of type {raw.dtype}"
    return "text or dates in the columns " + ", ".join(
        repr(name) for name, column in zip(names, raw.T, strict=True) if not _numeric(column)
    )


def _numeric(column: np.ndarray) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True


NINES = (99, 999, 9999, 99999, 999999, 99.9, 999.9, 9999.9, 99.99, 999.99)
CODES = np.array(
    [*NINES, *(-nines for nines in NINES), -32768, 32767, -1e20, 1e20, 1e30, -1e34, 9.96921e36], np.float32
)
"""Numbers that instruments and file formats write where they have none."""


def codes(values: Float[np.ndarray, " n"]) -> dict[float, int]:
    """Values that may stand for what is missing, and how often: known codes beyond the others by more than their range.

    NaN is left aside. Compared in float32, in which many files are.
    """
    with np.errstate(over="ignore"):
        coded = np.isin(values.astype(np.float32), CODES)
    others = values[~coded & ~np.isnan(values)]
    if not others.size:
        return {}
    low, high = others.min(), others.max()
    found, times = np.unique(values[coded], return_counts=True)
    far = np.maximum(found - high, low - found) > high - low
    return dict(zip(found[far].tolist(), times[far].tolist(), strict=True))


STRAY, STRAYS, CROWD = 10, 3, 10
"""Ranges of all others that a stray value is away from them, at least; most of them; data for each."""


def strays(values: Float[np.ndarray, " n"]) -> dict[float, float]:
    """The few values that lie far from all others, and how far, in ranges of these; codes and NaN are left aside."""
    seen = values[~np.isnan(values) & ~np.isin(values, list(codes(values)))]
    outwards = seen[np.argsort(np.abs(seen - np.median(seen)))] if seen.size else seen
    for count in range(min(STRAYS, seen.size // CROWD), 0, -1):
        crowd, found = outwards[:-count], np.unique(outwards[-count:])
        away = np.maximum(found - crowd.max(), crowd.min() - found)
        if 0 < STRAY * np.ptp(crowd) < away.min():
            return dict(zip(found.tolist(), (away / np.ptp(crowd)).tolist(), strict=True))
    return {}


def sliced(n: int, most: int) -> Int[np.ndarray, " m"]:
    """Numbers of at most `most` of n rows, one by chance from each of as many slices: data may come in turns."""
    if n <= most:
        return np.arange(n)
    edges = n * np.arange(most + 1) // most
    return np.random.default_rng(0).integers(edges[:-1], edges[1:])


def evenly(n: int, most: int) -> Int[np.ndarray, " m"]:
    """Numbers of at most `most` of n rows, spread evenly from the first to the last."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))


def frame_like(x: object, columns: dict[str, np.ndarray]) -> Any:
    """Columns as a frame of the kind of `x`, with its index: polars for polars, pandas for all else."""
    if type(x).__module__.startswith("polars"):
        import polars

        return polars.DataFrame(columns)
    index = x.index if is_a(x, "pandas", "DataFrame", "Series") else None  # pyright: ignore[reportAttributeAccessIssue]
    return pd.DataFrame(columns, index=index)


def _columns(x: Any) -> list[str] | None:
    """Names of the columns of a frame; none for anything else."""
    if is_a(x, "xarray", "DataArray"):
        labels = x.coords.get(x.dims[-1]) if x.ndim == 2 else None
        return [str(label) for label in labels.values] if labels is not None and labels.dtype.kind in "UO" else None
    columns = list(x.data_vars) if is_a(x, "xarray", "Dataset") else getattr(x, "columns", None)
    return None if columns is None else [str(column) for column in columns]


def _unique(columns: list[str], name: str) -> None:
    twice = ", ".join(repr(column) for column in dict.fromkeys(columns) if columns.count(column) > 1)
    require(not twice, f"Expected columns of `{name}` with different names, got several called {twice}; rename them.")


def by_position(columns: list[str], fitted: tuple[str, ...]) -> bool:
    """Whether columns stand for the inputs of a fit in their order: it was of arrays, and has none of their names."""
    unnamed = all(re.fullmatch(r"x\d*", name) for name in fitted)
    return unnamed and len(columns) == len(fitted) and not set(fitted) & set(columns)


def taken_in_order(what: str, columns: list[str], fitted: tuple[str, ...]) -> str:
    """What to say where columns go by position."""
    some, own = (", ".join(map(repr, names)) for names in (columns, fitted))
    plural = "s" if len(fitted) > 1 else ""
    return f"{what} has no column{plural} {own}, as the inputs of the fit are called; taken by position: {some}."


def _by_name(x: Any, name: str, fitted: tuple[str, ...]) -> object:
    """The columns of a frame that a fit knows, in its order; an array, or a fit of arrays, goes by position."""
    columns = _columns(x)
    if columns is None:
        return x
    if by_position(columns, fitted):
        warn(taken_in_order(f"`{name}`", columns, fitted))
        return x
    missing = [own for own in fitted if own not in columns]
    require(
        not missing,
        f"Expected `{name}` with the columns {', '.join(map(repr, fitted))}, as in the fit, got "
        f"{', '.join(map(repr, columns))}; rename them, or pass an array.",
    )
    _unique([column for column in columns if column in fitted], name)
    order = [columns.index(own) for own in fitted]
    if is_a(x, "xarray", "Dataset"):
        return x[[list(x.data_vars)[i] for i in order]]
    return x.iloc[:, order] if is_a(x, "pandas", "DataFrame") else x[:, order]


def _column_names(x: object, d: int) -> tuple[str, ...]:
    columns = _columns(x)
    if columns is not None and len(columns) == d:
        return tuple(columns)
    return (_name(x, "x"),) if d == 1 else tuple(f"x{j + 1}" for j in range(d))


def _output_name(y: object) -> str:
    """That of a series, or of the only column of a frame."""
    columns = _columns(y)
    return columns[0] if columns else _name(y, "y")


def _name(array: object, default: str) -> str:
    name = getattr(array, "name", None)
    return name if isinstance(name, str) and name else default
