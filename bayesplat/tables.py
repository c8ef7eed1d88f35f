"""From what users hold (arrays, frames, lists) to float64 arrays, with every refusal of odd data in one place."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bayesplat._checks import BayesplatError, require


class Data(NamedTuple):
    """Checked data."""

    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]  # NaN where missing
    names: tuple[str, ...]  # one per input, then the output's


def as_inputs(x: object, name: str = "x", d: int | None = None) -> Float[np.ndarray, "n d"]:
    """Inputs as float64 (n, d); (n,) becomes (n, 1).

    Raises BayesplatError for text, complex, NaN, infinity, no rows, or a number of columns other than `d`.
    """
    array = _as_float(x, name)
    require(array.ndim in (1, 2), f"Expected `{name}` with shape (n, d) or (n,), got {array.shape}.")
    if array.ndim == 1:
        array = array[:, None]
    require(
        d is None or array.shape[1] == d,
        f"Expected `{name}` with {d} input column{'s' if d != 1 else ''}, as in the fit, got shape {array.shape}.",
    )
    require(array.shape[0] > 0, f"Expected `{name}` to have at least one row, got shape {array.shape}.")
    require(array.shape[1] > 0, f"Expected `{name}` to have at least one column, got shape {array.shape}.")
    bad = int((~np.isfinite(array).all(1)).sum())
    require(
        bad == 0, f"Expected finite `{name}`, got NaN or infinity in {bad} row{'s' if bad != 1 else ''}; drop or fill."
    )
    return array


def as_output(y: object, n: int, name: str = "y") -> Float[np.ndarray, " n"]:
    """Outputs as float64 (n,), NaN = missing; (n, 1) is accepted.

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
        array.shape[0] == n, f"Expected `{name}` with as many rows as `x` ({n}), got {array.shape[0]}; match the rows."
    )
    require(not np.isinf(array).any(), f"Expected finite or missing (NaN) `{name}`, got infinity; drop those rows.")
    return array


def as_data(x: object, y: object) -> Data:
    """Inputs and output, checked together, with names taken from frames and series where they have them."""
    inputs = as_inputs(x)
    output = as_output(y, inputs.shape[0])
    require(bool(np.isfinite(output).any()), "Expected at least one observed `y`, got only NaN.")
    return Data(inputs, output, (*_column_names(x, inputs.shape[1]), _name(y, "y")))


def _as_float(array: object, name: str) -> np.ndarray:
    for method in ("to_numpy", "to_pandas"):
        if hasattr(array, method) and not isinstance(array, np.ndarray):
            array = getattr(array, method)()
    try:
        raw = np.asanyarray(array)  # keeps the mask of a masked array
    except Exception as error:
        raise BayesplatError(f"Expected `{name}` to be an array of numbers, got {type(array).__name__}.") from error
    require(not np.iscomplexobj(raw), f"Expected real numbers in `{name}`, got complex ones; pass their real part.")
    refusal = f"Expected numbers in `{name}`, got values of type {raw.dtype}; encode text and dates as numbers first."
    require(raw.dtype.kind not in "mM", refusal)  # NumPy would turn dates into counts of days or nanoseconds
    try:
        return np.array(np.ma.filled(np.ma.asarray(raw, dtype=np.float64), np.nan))
    except (TypeError, ValueError) as error:
        raise BayesplatError(refusal) from error


def _column_names(x: object, d: int) -> tuple[str, ...]:
    columns = getattr(x, "columns", None)
    if columns is not None and len(columns) == d:
        return tuple(str(column) for column in columns)
    return (_name(x, "x"),) if d == 1 else tuple(f"x{j + 1}" for j in range(d))


def _name(array: object, default: str) -> str:
    name = getattr(array, "name", None)
    return name if isinstance(name, str) and name else default
