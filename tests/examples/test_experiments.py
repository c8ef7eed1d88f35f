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
    "signals": {"signals_fits.csv": FITS | {"signal"}, "signals.csv": SUMMARY | {"signal", "mse_mean"}},
    "e2": {
        "e2_fits.csv": FITS | {"mse_inside", "mse_edge"},
        "e2.csv": SUMMARY | {"k", "mse_inside", "mse_edge", "sigma", "live", "times_paper"},
    },
    "robustness": {
        "robustness_fits.csv": FITS | {"noise"},
        "robustness.csv": SUMMARY | {"noise", "mse_best", "spread"},
    },
    "genz": {"genz_fits.csv": FITS | {"function", "d"}, "genz.csv": SUMMARY | {"function", "d", "k"}},
    "cost": {"cost.csv": {"n", "k", "seconds", "floor", "share", "working_gb", "peak_gb"}},
}
NEEDS = {
    "e1": ["pywt"],
    "signals": ["pywt"],
    "genz": ["pywt"],
    "e2": ["pywt", "jaxkan"],
    "robustness": ["pywt", "jaxkan"],
}


@pytest.fixture(autouse=True)
def one_thread():
    """Threads of BLAS that wait for each other on tiny matrices turn a second into ten."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def experiment():
    """A module of the experiments by name, if the optional packages that its peers need are here."""

    def found(name):
        for package in NEEDS.get(name, ()):
            pytest.importorskip(package)
        return import_module(name)

    return found


# two inputs and three compile for themselves, and so does every process of the costs; the first two share their code
HEAVY = {"e2", "robustness", "genz", "cost"}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in HEAVY)) for name in SCRIPTS])
def test_quick_run_leaves_tables_and_figures(name, experiment, tmp_path):
    experiment(name).main(["--quick", "--out", str(tmp_path)])
    for file, columns in SCRIPTS[name].items():
        rows = pd.read_csv(tmp_path / file)
        assert columns <= set(rows.columns)
        positive = rows[[column for column in ("mse", "seconds", "share") if column in rows]]
        assert np.isfinite(positive.to_numpy()).all()
        assert (positive > 0).all(axis=None)
        if "times_paper" in rows:
            assert (rows[rows.method == "bayesplat"].times_paper < 1).all()
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


def test_summary_keeps_the_compiling_fit_apart(experiment):
    found = experiment("table").summary(made_up_fits(), ["method", "k"])
    assert found.mse.tolist() == [5, 10, 20, 40]
    assert found.mse_worst.tolist() == [7.5, 15, 30, 60]
    assert set(found.seconds_first) == {9}
    assert set(found.seconds) == {1}


@pytest.mark.parametrize(("match", "ratios"), [(["k"], [0.25, 0.25, 1, 1]), ([], [0.25, 0.5, 1, 2])])
def test_ratio_is_to_the_paper_at_the_same_size(match, ratios, experiment):
    found = experiment("table").summary(made_up_fits(), ["method", "k"])
    assert experiment("table").ratio(found, match).tolist() == ratios


def test_ratio_is_missing_where_the_paper_is(experiment):
    table = experiment("table")
    found = table.summary(pd.concat([made_up_fits(), made_up_fits().assign(method="GP", k=None)]), ["method", "k"])
    assert table.ratio(found, ["k"]).isna().tolist() == [False] * 4 + [True]
    assert "| GP | – | 12 |" in table.markdown("A", "b", found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (0.01234, "0.0123"), (1.234e-4, "1.23e-04"), (12345.6, "12,346"), (8.3e8, "8.30e+08"),
        (0.0, "0"), (7, "7"), (np.nan, "–"), (None, "–"), (pd.NA, "–"), ("Haar", "Haar"), (True, "True"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_three_digits(value, text, experiment):
    assert experiment("table").written(value) == text


def test_quick_changes_only_what_is_not_given_by_hand(experiment, tmp_path):
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--k", type=int, default=50)
    found = experiment("table").options(parser, ["--quick", "--k", "7", "--out", str(tmp_path)], seeds=1, k=8)
    assert (found.seeds, found.k, found.out) == (1, 7, tmp_path)


def test_rows_are_on_disk_at_once(experiment, tmp_path):
    table = experiment("table").Table(tmp_path / "new" / "rows.csv")
    table.add(method="a", k=None, mse=0.5)
    table.add(method="b", k=3, mse=0.25)
    assert (tmp_path / "new" / "rows.csv").read_text().splitlines() == ["method,k,mse", "a,,0.5", "b,3,0.25"]


def test_chosen_mother_has_the_lowest_energy_at_the_price_of_all(experiment):
    fits = pd.DataFrame(
        {
            "signal": "blocks", "seed": [0, 0, 1, 1, 0], "method": ["a", "b", "a", "b", "wavelets"],
            "energy": [1.0, -1.0, 2.0, 3.0, np.nan], "seconds": 2.0,
        }
    )  # fmt: skip
    chosen = experiment("signals").chosen(fits)
    assert chosen.note.tolist() == ["b", "a"]
    assert chosen.seconds.tolist() == [4, 4]


@pytest.mark.parametrize("d", [3, 10])
@pytest.mark.parametrize(("name", "c_sum"), [("product peak", 7.25), ("continuous", 20.4)])
def test_genz_functions_are_1_at_their_peak(name, c_sum, d, experiment):
    genz = experiment("genz")
    c, w = genz.genz(name, d)
    assert c.sum() == pytest.approx(c_sum)
    assert ((w >= 0.3) & (w <= 0.7)).all()
    assert genz.value(name, w[None])[0] == 1
    assert (genz.value(name, np.random.default_rng(0).uniform(size=(100, d))) < 1).all()
    assert genz.simulated(name, d, 10, 0).f(genz.tests(d)).std() == pytest.approx(1)


@pytest.mark.parametrize("memory", [16.0, pytest.param(0.0, marks=pytest.mark.slow)])
def test_cost_of_one_call(memory, experiment):
    row = experiment("cost").measure(64, 6, memory)
    assert np.isnan(row["seconds"]) == (memory == 0)
    assert row["floor"] == row["floor_exps"] + row["floor_products"]
    assert not row["share"] > 1


def test_growth_finds_the_powers(experiment):
    rows = pd.DataFrame({"n": n, "k": k, "seconds": 1e-9 * n * k**2} for n in (10, 100) for k in (5, 50))
    rows.loc[len(rows)] = [1000, 50, np.nan]
    assert experiment("cost").growth(rows) == (
        "Seconds grow as n^1.00 at k = 5, n^1.00 at k = 50, k^2.00 at n = 10, k^2.00 at n = 100."
    )


def test_one_page_of_all_tables_even_if_one_fails(experiment, tmp_path, monkeypatch):
    everything = experiment("all")

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
