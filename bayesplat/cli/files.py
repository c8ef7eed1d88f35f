"""Tables in files, CSV and Parquet: read as text so that nothing is lost on the way through to a CSV file.

Numbers are taken from the columns that are used.
"""

import csv
import sys
from collections.abc import Iterable
from functools import partial
from math import isinf, isnan
from pathlib import Path
from typing import Any

from bayesplat._checks import BayesplatError, require
from bayesplat._lazy import pd
from bayesplat.atomic import write_whole
from bayesplat.cli.cells import advice, number

PARQUET = (".parquet", ".pq")

CSV = {"index": False, "lineterminator": "\n"}
"""How tables are written."""

COMMAS = "; save it with commas between cells, points in decimals and nothing above the header"
"""What to do about a file whose cells are not apart as those of CSV are."""


def read_table(path: Path) -> "pd.DataFrame":
    """All cells of a CSV file with a header, or of a Parquet file, as text. Raises BayesplatError for anything else."""
    require(path.is_file(), f"Expected a CSV file at {path}, got {_instead(path)}.")
    frame, names = _read_parquet(path) if path.suffix.lower() in PARQUET else _read_csv(path)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    require(not twice, f"{path} has several columns named {listed(twice)}; give each column a name of its own.")
    frame.columns = [str(name).strip() for name in frame.columns]
    # pandas gives them names, which others may have of their own
    frame.attrs["unnamed"] = [column for column, name in zip(frame.columns, names, strict=False) if not name]
    require(len(frame) > 0, f"{path} has a header but no rows of data.")
    return frame


def _instead(path: Path) -> str:
    """What is there that is no file."""
    if path.is_dir():
        return "a folder"
    # it is read twice, which a pipe can not be
    return "a pipe; save what comes out of it to a file first" if path.exists() else "nothing"


def _read_parquet(path: Path) -> "tuple[pd.DataFrame, list[str]]":
    """The table and the names of its columns; an index with a name is a column too, one without is lost."""
    try:
        frame = pd.read_parquet(path)
        named = [name for name in frame.index.names if name is not None]
        frame = (frame.reset_index(named) if named else frame).reset_index(drop=True)
    except ImportError as error:
        raise BayesplatError(f"Reading {path} needs pyarrow: pip install pyarrow, or pass a CSV file.") from error
    except Exception as error:
        raise BayesplatError(f"{path} cannot be read as Parquet ({' '.join(str(error).split())}).") from error
    # the text of a float is read back as the same float
    frame = frame.astype(object).where(frame.notna(), "").map(str)
    return frame, [str(name).strip() for name in frame.columns]


def _read_csv(path: Path) -> "tuple[pd.DataFrame, list[str]]":
    """The table and the names of its header, which in the table differ from each other."""
    how: dict[str, Any] = {"dtype": str, "keep_default_na": False, "skipinitialspace": True, "encoding": "utf-8-sig"}
    try:
        header = pd.read_csv(path, header=None, nrows=1, **how).iloc[0].str.strip().tolist()
        frame = pd.read_csv(path, skip_blank_lines=len(header) > 1, **how)  # one empty cell is a blank line
    except pd.errors.EmptyDataError as error:
        raise BayesplatError(f"{path} is empty; expected a header and rows of data.") from error
    except Exception as error:  # pandas unpacks by the suffix, and every kind of archive fails in its own way
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        hint = COMMAS if isinstance(error, pd.errors.ParserError) else ""
        hint = (
            "; save it from the spreadsheet as CSV UTF-8 (comma delimited)" if isinstance(error, UnicodeError) else hint
        )
        raise BayesplatError(f"{path} cannot be read as CSV ({reason}){hint}.") from error
    message = f"{path} has rows with more cells than its header has names{COMMAS}."
    require(isinstance(frame.index, pd.RangeIndex), message)
    frame = frame.fillna("")  # rows with fewer cells than the header
    if len(header) == 1:
        frame = frame[: frame.ne("").to_numpy().nonzero()[0].max(initial=-1) + 1]  # blank lines at the end
    require(
        any(number(str(name)) is None for name in frame.columns),
        f"{path} has no header: its first line holds numbers; add a first line with the names of the columns.",
    )
    return frame, header


def cells_together(columns: list[str]) -> bool:
    """Whether names hold marks that other kinds of CSV have between cells."""
    return any(mark in name for name in columns for mark in ";\t")


def require_columns(frame: "pd.DataFrame", names: list[str], path: Path) -> None:
    """Refuse names that are not columns, saying which columns there are."""
    missing = [name for name in names if name not in frame.columns]
    quoted = "; write names that hold commas in double quotes" if any("," in name for name in frame.columns) else ""
    hint = COMMAS if cells_together(list(frame.columns)) else quoted
    require(
        not missing,
        f"{path} has no column{'s' if len(missing) > 1 else ''} {listed(missing)}; its columns are "
        f"{listed(frame.columns)}{hint}.",
    )


def input_names(frame: "pd.DataFrame", apart: list[str], chosen: str | None, path: Path) -> list[str]:
    """The input columns: those chosen (separated by commas), or all but the target and its errors, set `apart`."""
    target = apart[0]
    if chosen is None:
        names = [name for name in frame.columns if name not in apart]
        require(
            not set(names) & set(frame.attrs["unnamed"]),
            f"{path} has a column without a name; name it, or choose columns with --inputs a,b.",
        )
        require(bool(names), f"{path} has no column besides the target {target!r}; expected at least one input.")
        return names
    cells = next(csv.reader([chosen], skipinitialspace=True))  # a name in quotes may hold commas
    names = list(dict.fromkeys(name.strip() for name in cells if name.strip()))
    require(bool(names), "Expected names of columns after --inputs, separated by commas.")
    for name, role in zip(apart, ("the target", "the column of known errors"), strict=False):
        require(name not in names, f"{name!r} is {role} and cannot be an input too.")
    require_columns(frame, names, path)
    return names


def numbers(
    frame: "pd.DataFrame", names: list[str], path: Path, missing: bool = False, hint: str = ""
) -> "pd.DataFrame":
    """Columns as floats, NaN where missing.

    Raises BayesplatError at the first text, infinity or (unless allowed) missing value, saying where it is; `hint`
    says what else can be done about text.
    """
    return pd.DataFrame({name: _column(name, frame[name].tolist(), path, missing, hint) for name in names})


def _column(name: str, cells: list[str], path: Path, missing: bool, hint: str) -> list[float]:
    where = f"of {path} (column {name!r})"
    values = [number(cell) for cell in cells]
    for row, value in enumerate(values):
        if value is None:
            what = advice(cells, row) or hint
            raise BayesplatError(f"Expected numbers, got {cells[row]!r} in row {row + 1} {where}{what}.")
    numbers = [value for value in values if value is not None]
    odd = [row for row, value in enumerate(numbers) if isinf(value) or (isnan(value) and not missing)]
    if odd:
        kind = "no value" if isnan(numbers[odd[0]]) else "an infinite value"
        more = f", and in {len(odd) - 1} more" if len(odd) > 1 else ""
        raise BayesplatError(
            f"Expected numbers, got {kind} in row {odd[0] + 1}{more} {where}; fill or delete those rows."
        )
    return numbers


def write_csv(frame: "pd.DataFrame", path: Path | None) -> None:
    """Write to a file, whole or not at all, or to stdout if there is none."""
    write = partial(frame.to_csv, **CSV)
    write(sys.stdout) if path is None else write_whole(path, write)


def csv_text(frame: "pd.DataFrame") -> str:
    """What `write_csv` writes."""
    return frame.to_csv(**CSV)


def require_writable(path: Path, suffix: str, sources: tuple[Path, ...] = ()) -> None:
    """Refuse a bad place for a result before the work begins, not after."""
    require(path.suffix == suffix, f"Expected --out to end in {suffix}, got {path}.")
    require(not path.is_dir(), f"Expected --out to be a file, got the folder {path}.")
    require(path.parent.is_dir(), f"There is no folder {path.parent} to write {path.name} in; make it first.")
    for source in sources:
        require(path.resolve() != source.resolve(), f"--out {path} would overwrite the input file; name another.")


def listed(names: Iterable[str]) -> str:
    """Names in quotes, separated by commas."""
    return ", ".join(map(repr, names))
