import numpy as np
import pytest

from bayesplat.cli.cells import advice, number


@pytest.mark.parametrize(("cell", "expected"), [("1e3", 1000.0), (" -2 ", -2.0), ("1_5", None), ("high", None)])
def test_numbers_are_those_of_files(cell, expected):
    assert number(cell) == expected


@pytest.mark.parametrize("cell", ["", "NA", " n/a", "None"])
def test_missing_cells_are_no_numbers(cell):
    found = number(cell)
    assert found is not None
    assert np.isnan(found)


ADVICE = {
    "decimal comma": (["0,27", "1,5"], "; write decimals with points"),
    "thousands": (["1,234.5", "2,000.0"], "; write decimals with points and thousands without marks"),
    "millions": (["1,234,567"], "; write decimals with points and thousands without marks"),
    "per cent": (["0.02%"], "; delete the % signs"),
    "date": (["2024-03-01 12:00", "2024-03-02"], "; write dates as days since the first"),
    "ISO time": (["2024-01-01T10:00:00"], "; write dates as days since the first"),
    "clock time": (["10:00:00", "1.5"], "; write times as hours or seconds since the first"),
    "a slip": (["3.5x", "1.5"], ""),
    "day first": (["1.3.24"], "; write dates as days since the first"),
    "truth": (["FALSE", "TRUE"], "; write 1 and 0"),
    "units": (["m/s", "1.5", "NA"], "; delete the row under the header if it holds units"),
    "classes": (["low", "high"], ""),
}


@pytest.mark.parametrize("name", ADVICE)
def test_advice_is_about_the_cell(name):
    cells, expected = ADVICE[name]
    assert advice(cells, 0).startswith(expected)
    assert bool(advice(cells, 0)) == bool(expected)


def test_text_further_down_is_no_row_of_units():
    assert advice(["1", "high", "2"], 1) == ""
