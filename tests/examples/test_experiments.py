"""The paper's experiments in their quick form, and what they share."""

import argparse
import subprocess
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

FITS = {"method", "k", "seed", "parameters", "mse", "seconds", "first", "live", "sigma", "energy", "note"}
SUMMARY = {"method", "seeds", "parameters", "mse", "mse_worst", "seconds_first", "seconds"}
SCRIPTS = {
    "e1": {
        "e1_fits.csv": FITS | {"mse_span"},
        "e1.csv": SUMMARY | {"k", "mse_span", "times_paper"},
        "e1b.csv": SUMMARY | {"k", "mse_span", "times_paper"},
    },
    "signals": {"signals_fits.csv": FITS | {"signal"}, "signals.csv": SUMMARY | {"signal", "mse_mean", "times_paper"}},
    "e2": {
        "e2_fits.csv": FITS | {"mse_inside", "mse_edge"},
        "e2.csv": SUMMARY | {"k", "mse_inside", "mse_edge", "sigma", "live", "times_paper"},
    },
    "e3": {
        "e3_fits.csv": {"method", "k", "seed", "parameters", "error", "seconds", "first", "live", "note"},
        "e3.csv": {"method", "k", "seeds", "parameters", "error", "error_worst", "live", "times_paper", "seconds"},
    },
    "robustness": {
        "robustness_fits.csv": FITS | {"noise"},
        "robustness.csv": SUMMARY | {"noise", "mse_best", "spread"},
    },
    "genz": {"genz_fits.csv": FITS | {"function", "d"}, "genz.csv": SUMMARY | {"function", "d", "k", "times_paper"}},
    "cost": {"cost.csv": {"n", "k", "seconds", "floor", "share", "working_gb", "peak_gb"}},
}


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of BLAS that wait for each other on tiny matrices turn a second into ten."""
    with threadpool_limits(1):
        yield


# three inputs compile for themselves, and so does every process of the costs; the others share their code in pairs
HEAVY = {"genz", "cost"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in SCRIPTS])
def test_quick_run_leaves_tables_and_figures(name, tmp_path):
    import_module(name).main(["--quick", "--out", str(tmp_path)])
    for file, columns in SCRIPTS[name].items():
        rows = pd.read_csv(tmp_path / file)
        assert columns <= set(rows.columns)
        positive = rows[[column for column in ("mse", "error", "seconds", "share") if column in rows]]
        assert np.isfinite(positive.to_numpy()).all()
        assert (positive > 0).all(axis=None)
        if "times_paper" in rows:
            ours = rows[rows.method.str.startswith("bayesplat")]
            assert len(ours) > 0
            assert (ours.times_paper < 1).all()
            assert (rows.times_seconds > 0).all()
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert "###" in (tmp_path / f"{name}.md").read_text()


def made_up_fits():
    """Three seeds of two methods at two sizes, the paper's four times as bad."""
    return pd.DataFrame(
        {"method": method, "k": k, "parameters": 3 * k, "mse": factor * k * (1 + seed), "seconds": 9.0 - 8 * (seed > 0)}
        | {"first": seed == 0}
        for method, factor in (("bayesplat", 0.25), ("paper's training", 1.0))
        for k in (10, 20)
        for seed in range(3)
    )


def test_summary_keeps_the_compiling_fit_apart():
    found = import_module("table").summary(made_up_fits(), ["method", "k"])
    assert found.mse.tolist() == [5, 10, 20, 40]
    assert found.mse_worst.tolist() == [7.5, 15, 30, 60]
    assert set(found.seconds_first) == {9}
    assert set(found.seconds) == {1}


def with_a_process():
    """A summary that has a method without k too: medians 5, 10, 20, 40 and 3 seconds of 1, 1, 1, 1, 2."""
    process = made_up_fits()[:3].assign(method="GP", k=None, mse=3.0, seconds=2.0)
    return import_module("table").summary(pd.concat([made_up_fits(), process]), ["method", "k"])


def test_ratios_are_to_the_paper_at_the_same_size_or_at_its_best():
    table = import_module("table")
    found = table.beside_paper(with_a_process())
    assert found.times_paper.tolist() == [0.25, 0.25, 1, 1, 0.15]
    assert found.times_seconds.tolist() == [1, 1, 1, 1, 2]
    assert "| GP | – | 3 |" in table.markdown("A", "b", found)


def test_ratios_stay_within_their_group():
    table = import_module("table")
    sets = pd.concat([made_up_fits().assign(d=d, mse=made_up_fits().mse * d) for d in (1, 3)])
    sets = sets[(sets.method == "bayesplat") | ((sets.k == 10) == (sets.d == 1))]
    found = table.beside_paper(table.summary(sets, ["d", "method", "k"]), ["d"])
    assert found[found.method == "bayesplat"].times_paper.tolist() == [0.25, 0.5, 0.125, 0.25]


def test_who_is_ahead_is_said_even_where_it_is_a_peer():
    table = import_module("table")
    found = with_a_process()
    assert table.verdict(found) == "GP ahead of bayesplat, k = 10 by a factor of 1.7."
    for errors in (5.0, [5.0 - 1e-9 * row for row in range(len(found))]):
        assert table.verdict(found.assign(mse=errors)) == "bayesplat, k = 10 and paper's training, k = 10 level."
    ours = found[found.method != "GP"].assign(d=2)
    assert table.verdict(ours, ["d"]) == "d = 2: bayesplat, k = 10 ahead of paper's training, k = 10 by a factor of 4."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (0.01234, "0.0123"), (1.234e-4, "1.23e-04"), (12345.6, "12,346"), (8.3e8, "8.30e+08"),
        (0.0, "0"), (7, "7"), (np.nan, "–"), (None, "–"), (pd.NA, "–"), ("Haar", "Haar"), (True, "True"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_three_digits(value, text):
    assert import_module("table").written(value) == text


def test_quick_changes_only_what_is_not_given_by_hand(tmp_path):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--k", type=int, default=50)
    found = import_module("table").options(parser, ["--quick", "--k", "7", "--out", str(tmp_path)], seeds=1, k=8)
    assert (found.seeds, found.k, found.out) == (1, 7, tmp_path)


def test_rows_are_on_disk_at_once(tmp_path):
    table = import_module("table").Table(tmp_path / "new" / "rows.csv")
    table.add(method="a", k=None, mse=0.5)
    table.add(method="b", k=3, mse=0.25)
    assert (tmp_path / "new" / "rows.csv").read_text().splitlines() == ["method,k,mse", "a,,0.5", "b,3,0.25"]


def test_chosen_mother_has_the_lowest_energy_at_the_price_of_all():
    fits = pd.DataFrame(
        {
            "signal": "blocks", "seed": [0, 0, 1, 1, 0], "method": ["a", "b", "a", "b", "wavelets"],
            "energy": [1.0, -1.0, 2.0, 3.0, np.nan], "seconds": 2.0,
        }
    )  # fmt: skip
    chosen = import_module("signals").chosen(fits)
    assert chosen.note.tolist() == ["b", "a"]
    assert chosen.seconds.tolist() == [4, 4]


def test_coverage_is_that_of_methods_with_bands():
    fits = pd.DataFrame(
        {
            "signal": ["blocks", "blocks", "blocks", "doppler", "doppler"], "method": ["a", "a", "b", "b", "wavelets"],
            "covered": [0.8, 1.0, 0.5, 0.6, np.nan], "width": [1.0, 3.0, 1.0, 2.0, np.nan],
        }
    )  # fmt: skip
    wide = import_module("signals").covering(fits).set_index("method")
    assert wide.loc["a"].tolist() == ["0.90 ± 0.10; 2.00", "–"]
    assert wide.loc["b", "doppler"].endswith("; 2.00")
    assert wide.index.tolist() == ["a", "b"]


@pytest.mark.parametrize("d", [3, 10])
@pytest.mark.parametrize(("name", "c_sum"), [("product peak", 7.25), ("continuous", 20.4)])
def test_genz_functions_are_1_at_their_peak(name, c_sum, d):
    genz = import_module("genz")
    c, w = genz.genz(name, d)
    assert c.sum() == pytest.approx(c_sum)
    assert ((w >= 0.3) & (w <= 0.7)).all()
    assert genz.value(name, w[None])[0] == 1
    assert (genz.value(name, np.random.default_rng(0).uniform(size=(100, d))) < 1).all()
    assert genz.simulated(name, d, 10, 0).f(genz.tests(d)).std() == pytest.approx(1)


@pytest.mark.parametrize("memory", [16.0, pytest.param(0.0, marks=pytest.mark.slow)])
def test_cost_of_one_call(memory):
    row = import_module("cost").measure(64, 6, memory)
    assert np.isnan(row["seconds"]) == (memory == 0)
    assert row["floor"] == row["floor_exps"] + row["floor_products"]
    assert not row["share"] > 1


def test_growth_finds_the_powers():
    rows = pd.DataFrame({"n": n, "k": k, "seconds": 1e-9 * n * k**2} for n in (10, 100) for k in (5, 50))
    rows.loc[len(rows)] = [1000, 50, np.nan]
    assert import_module("cost").growth(rows) == (
        "Seconds grow as n^1.00 at k = 5, n^1.00 at k = 50, k^2.00 at n = 10, k^2.00 at n = 100."
    )


def test_one_page_of_all_tables_even_if_one_fails(tmp_path, monkeypatch):
    everything = import_module("all")

    def run(command, check):
        name, *rest = command[1].rsplit("/", 1)[1].removesuffix(".py"), *command[2:]
        assert rest == ["--out", str(tmp_path), "--quick"]
        if name != "signals":
            (tmp_path / f"{name}.md").write_text(f"### {name}\n")
        return subprocess.CompletedProcess(command, int(name == "signals"))

    monkeypatch.setattr(everything.subprocess, "run", run)
    with pytest.raises(SystemExit, match="failed: signals"):
        everything.main(["--quick", "--out", str(tmp_path)])
    order = [name for name in everything.EXPERIMENTS if name != "signals"]
    assert (tmp_path / everything.PAGE).read_text() == "\n".join(f"### {name}\n" for name in order)
