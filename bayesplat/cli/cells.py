"""Cells of a file as numbers, and what to do about those that are none."""

import re
from math import nan

MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""Cells that mean a missing value, in lower case."""

BOOLEAN = {"true", "false", "yes", "no"}

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?!\d)")  # a time may follow after a T

CLOCK = re.compile(r"\d{1,2}:\d{2}(?!\d)")


def number(cell: str) -> float | None:
    """The number in a cell, NaN if it is missing, None if it is text."""
    if cell.strip().lower() in MISSING:
        return nan
    try:
        return None if "_" in cell else float(cell)  # Python reads 1_5 as 15
    except ValueError:
        return None


def advice(cells: list[str], row: int) -> str:
    """What to do about the first cell of text in a column, as the end of a sentence; nothing if there is no telling."""
    cell = cells[row].strip()
    if any(number(cell.replace(",", mark)) is not None for mark in (".", "")):
        return "; write decimals with points and thousands without marks"
    if cell.endswith("%") and number(cell[:-1]) is not None:
        return "; delete the % signs"
    if DATE.match(cell):
        return "; write dates as days since the first"
    if CLOCK.match(cell):
        return "; write times as hours or seconds since the first"
    if cell.lower() in BOOLEAN:
        return "; write 1 and 0"
    digits = any(mark.isdigit() for mark in cell)
    if row == 0 and not digits and len(cells) > 1 and all(number(other) is not None for other in cells[1:]):
        return "; delete the row under the header if it holds units"
    return ""
