"""`bayesplat predict`: a posterior and a CSV file of new inputs to a CSV of predictions."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from bayesplat._checks import require
from bayesplat._lazy import pd
from bayesplat.cli.console import note, note_replaced
from bayesplat.cli.files import cells_together, numbers, read_table, require_columns, require_writable, write_csv
from bayesplat.posterior.predict import Prediction
from bayesplat.regression import load
from bayesplat.tables import by_position, taken_in_order
from bayesplat.wording import percent

EXAMPLE = "bayesplat predict run.nc new.csv --prob 0.9 --out predictions.csv"

RESULTS = ("mean", "sd", "lower", "upper")


class Kind(StrEnum):
    """What is predicted."""

    function = "function"
    observation = "observation"
    noise = "noise"


WHAT = {Kind.function: "values of the function", Kind.observation: "new observations", Kind.noise: "noise scales"}


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN.nc", help="Posterior, written by fit.", show_default=False)],
    new: Annotated[
        Path,
        typer.Argument(metavar="NEW.csv", help="CSV or Parquet, with the same input columns.", show_default=False),
    ],
    prob: Annotated[float, typer.Option(help="Probability of the interval from lower to upper.")] = 0.9,
    kind: Annotated[
        Kind, typer.Option(help="The function itself, a new noisy observation, or the scale of the noise.")
    ] = Kind.function,
    error: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column with the known sd of each new observation's measurement."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="File for the CSV; stdout by default.", show_default=False)
    ] = None,
) -> None:
    """Predict at the rows of a CSV file: its columns with mean, sd, lower and upper."""
    if out is not None:
        require_writable(out, ".csv", (new,))
        note_replaced(out)
    post, frame = load(run), read_table(new)
    names = _inputs(frame, post.names[:-1], new)
    require(
        error is None or kind is Kind.observation, f"Expected --error with --kind observation, got --kind {kind.value}."
    )
    require_columns(frame, [] if error is None else [error], new)
    y_err = None if error is None else numbers(frame, [error], new)[error]
    prediction = post.predict(numbers(frame, names, new).to_numpy(), prob, kind.value, y_err)
    others = frame.drop(columns=names)
    write_csv(pd.concat([frame[names], _results(prediction, list(frame.columns)), others], axis=1), out)
    if out is not None:
        note(f"{len(frame)} predictions of {post.names[-1]!r} ({WHAT[kind]}, {percent(prob)} intervals) are in {out}.")


def _inputs(frame: "pd.DataFrame", names: tuple[str, ...], path: Path) -> list[str]:
    """Columns with the names of the fit, in its order; by position if the fit had no names of its own."""
    columns = list(frame.columns)
    if by_position(columns, names) and not cells_together(columns):
        note(taken_in_order(str(path), columns, names))
        return columns
    require_columns(frame, list(names), path)
    return list(names)


def _results(prediction: Prediction, taken: list[str]) -> "pd.DataFrame":
    """Mean, sd, lower and upper to five digits of the smallest sd, under names that are not taken."""
    prefix = ""
    while any(prefix + name in taken for name in RESULTS):
        prefix += "predicted_"
    if prefix:
        note(f"The file has columns of these names already: the predictions are {prefix}mean and so on.")
    smallest = float(np.min(prediction.sd, initial=np.inf, where=prediction.sd > 0))
    digits = 4 - int(np.floor(np.log10(smallest))) if np.isfinite(smallest) else 12
    return pd.DataFrame({prefix + name: np.round(getattr(prediction, name), digits) for name in RESULTS})
