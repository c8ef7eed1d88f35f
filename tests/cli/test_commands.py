"""Commands on real posteriors: what they print and write."""

import os
import shlex
import shutil
import subprocess
import sys

import made_up
import numpy as np
import pandas as pd
import pytest

import bayesplat as bs
from bayesplat.cli import compare, demo, fit, predict, report, resume
from bayesplat.cli.files import input_names, read_table
from bayesplat.posterior.predict import Prediction

from . import run
from .conftest import SMALL

COMMANDS = {"demo": demo, "fit": fit, "resume": resume, "predict": predict, "report": report, "compare": compare}


def table(result) -> pd.DataFrame:
    assert result.exit_code == 0, result.output
    return pd.read_csv(pd.io.common.StringIO(result.stdout), dtype={"who": str})


# ---------------------------------------------------------------- help


@pytest.mark.parametrize(("name", "module"), COMMANDS.items())
def test_help_ends_with_an_example_that_parses(name, module, tmp_path, monkeypatch):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.split("Example: ")[1].split() == module.EXAMPLE.split()
    # the example gets past the options: what stops it is the missing file, or here the work itself

    def began(out, table):
        raise bs.BayesplatError("The demo began, and got nothing.")

    monkeypatch.setattr(demo, "_folder", began)
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(module.EXAMPLE)
    assert program == "bayesplat"
    assert "got nothing" in run(*arguments).stderr


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_the_commands(arguments):
    result = run(*arguments)
    assert result.exit_code == 0
    assert all(name in result.stdout for name in COMMANDS)


COMPLETIONS = {
    "bayesplat fi": ["fit"],
    "bayesplat fit data.csv --pr": ["--prior"],
    "bayesplat fit data.csv --prior ho": ["horseshoe"],
}
ASKING = """
import os, sys
from bayesplat.cli.app import main
sys.argv = ["bayesplat"]
for typed in TYPED:
    os.environ |= {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    try:
        main()
    except SystemExit:
        print()
"""
"""What a shell asks at every TAB, one question after the other."""


def test_the_shell_can_complete():
    program = f"TYPED = {list(COMPLETIONS)!r}\n{ASKING}"
    asked = {"_BAYESPLAT_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert [line.split() for line in done.stdout.splitlines() if line] == [*COMPLETIONS.values()], done.stderr


def test_version():
    assert run("--version").stdout == f"bayesplat {bs.__version__}\n"


# ---------------------------------------------------------------- fit


def test_fit_reports_and_writes(fitted, nc):
    for part in ("Posterior of y given time: 133 data", "Ridge(", "Convergence (nuts)", "Overfitting", str(nc)):
        assert part in fitted.stdout
    warning, *_ = [line for line in fitted.stderr.splitlines() if line.startswith("Warning")]
    assert warning == "Warning: 1 of 134 values of y missing: left out of the fit."
    assert "Fitting 'y' to 'time': 134 rows" in fitted.stderr
    assert "UserWarning" not in fitted.output
    assert "\x1b" not in fitted.output
    post = bs.load(nc)
    assert post.names == ("time", "y")
    assert post.spec.prior == bs.Ridge()
    assert not nc.with_suffix(".checkpoint").exists()


def test_a_fit_that_was_killed_goes_on(nc, tmp_path, monkeypatch):
    """Saving fails, as if the process had died before it; then both ways to go on give the same file."""

    def die(*rest):
        raise KeyboardInterrupt

    before = bs.load(nc)
    arguments = ["fit", nc.parent / "data.csv", "--target", "y", "--out", tmp_path / "run.nc", *SMALL]
    with monkeypatch.context() as patched:
        patched.setattr(bs.Posterior, "save", die)
        assert run(*arguments).exit_code == 130
    assert not (tmp_path / "run.nc").exists()
    copy = shutil.copytree(tmp_path / "run.checkpoint", tmp_path / "copy.checkpoint")
    monkeypatch.chdir(copy)
    for command in (arguments, ["resume", "."]):
        result = run(*command)
        assert result.exit_code == 0, result.output
        assert "Going on with the work kept in" in result.stderr
    for out in ("run", "copy"):
        np.testing.assert_array_equal(
            bs.load(tmp_path / f"{out}.nc").data["posterior"]["v"], before.data["posterior"]["v"]
        )
        assert not (tmp_path / f"{out}.checkpoint").exists()


def test_a_result_that_cannot_be_written_leaves_the_work(tmp_path, monkeypatch):
    folder = tmp_path / "run.checkpoint"
    folder.mkdir()
    (folder / "run.json").touch()
    monkeypatch.setattr(resume, "resume_run", lambda folder: made_up.posterior(1))
    monkeypatch.setattr(resume, "read_manifest", lambda folder: None)

    def fail(beside, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    result = run("resume", folder)
    assert result.exit_code == 2
    kept, refusal = result.stderr.splitlines()[-2:]
    assert kept == f"The work so far is kept; bayesplat resume {folder} goes on."
    assert refusal.startswith(f"Error: Cannot write {tmp_path / 'run.nc'}: No space left on device")
    assert [entry.name for entry in folder.iterdir()] == ["run.json"]
    assert not (tmp_path / "run.nc").exists()


def test_resume_deletes_the_work_and_nothing_else(tmp_path, monkeypatch):
    """Results never go into the folder that goes, and dots in its name stay."""
    post, folder = made_up.posterior(1), tmp_path / "run_0.5"
    monkeypatch.setattr(resume, "resume_run", lambda folder: post)
    monkeypatch.setattr(bs.Posterior, "convergence", lambda post: "Convergence")
    folder.mkdir()
    result = run("resume", folder, "--out", folder / "run.nc")
    assert "Expected --out outside" in result.stderr
    assert "got nothing" not in result.stderr
    np.savez(folder / "start-0.npz", **{"0": 1.0, "1": 2.0})
    (folder / ".start-1.npz.0123456789abcdef.tmp").touch()
    np.savez(folder / "mine.npz", a=1.0)
    mine = {"mine.npz", "mine.nc", "mine.tmp"}
    for name in mine - {"mine.npz"}:
        (folder / name).touch()
    with monkeypatch.context() as patched:
        patched.setattr(resume, "read_manifest", lambda folder: None)
        assert run("resume", folder).exit_code == 0
        assert {entry.name for entry in folder.iterdir()} == mine
        assert (tmp_path / "run_0.5.nc").is_file()
        for name in mine:
            (folder / name).unlink()
        assert f"{tmp_path / 'run_0.5.nc'} exists: it will be replaced" in run("resume", folder).stderr
    assert not folder.exists()


OPTIONS = [
    ("", "RegularizedHorseshoe("),
    ("--splats 3", "with 3 splats"),
    ("--n-active 2", "RegularizedHorseshoe(n_active=2.0,"),
    ("--prior r2d2", "R2D2("),
    ("--prior stick-breaking", "StickBreaking("),
    ("--prior flat", "Flat()"),
    ("--student-t --noise varying", "StudentT(noise='varying'"),
    ("--jumps", "Mixed(mothers=(Gaussian(), Box(order=1024)))"),
    ("--covariance diag", "'diag'"),
    ("--method svi", "method=svi"),
    ("--chains 3 --draws 8", "chains=3 draws=8 guide=auto method=nuts"),
    ("--seed 9 --warmup 7", "seed=9 target_accept=0.9 warmup=7"),
]


@pytest.mark.parametrize(("options", "shown"), OPTIONS)
def test_fit_options_reach_the_model(options, shown, folder, monkeypatch):
    def sample(self, x, y, method, checkpoint, **settings):
        words = {"method": method, **settings}
        raise bs.BayesplatError(f"{self} " + " ".join(f"{name}={words[name]}" for name in sorted(words)))

    monkeypatch.setattr(bs.SplatModel, "sample", sample)
    result = run("fit", folder / "data.csv", "--target", "y", "--out", folder / "other.nc", *options.split())
    assert result.exit_code == 2
    assert shown in result.stderr


def test_columns_of_a_parquet_file_have_names_of_their_own(tmp_path):
    pd.DataFrame({"x": [1.0], "x ": [2.0], "y": [3.0]}).to_parquet(tmp_path / "data.parquet")
    result = run("fit", tmp_path / "data.parquet", "--target", "y", "--out", tmp_path / "run.nc")
    assert "has several columns named 'x'; give each column a name of its own" in result.stderr


def test_a_name_that_pandas_gives_may_be_a_columns_own(tmp_path):
    (tmp_path / "data.csv").write_text("Unnamed: 0,y\n1,2\n")
    assert input_names(read_table(tmp_path / "data.csv"), ["y"], None, tmp_path) == ["Unnamed: 0"]


def test_a_pipe_is_to_be_saved_first(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    result = run("fit", tmp_path / "pipe", "--target", "y", "--out", tmp_path / "run.nc")
    assert f"a CSV file at {tmp_path / 'pipe'}, got a pipe; save what comes out of it to a file first." in result.stderr


def test_an_empty_cell_of_the_only_column_is_no_blank_line(tmp_path):
    (tmp_path / "new.csv").write_text("x\n1\n\n3\n\n")
    assert read_table(tmp_path / "new.csv")["x"].tolist() == ["1", "", "3"]


def test_parquet_is_read_as_csv_is(tmp_path, monkeypatch):
    def sample(self, x, y, *rest, **settings):
        raise bs.BayesplatError(f"{x.to_numpy().tolist()} {y.tolist()}")

    monkeypatch.setattr(bs.SplatModel, "sample", sample)
    pd.DataFrame({"a": [1, 2], "y": [0.1 + 0.2, None]}).to_parquet(tmp_path / "data.parquet")
    result = run("fit", tmp_path / "data.parquet", "--target", "y", "--out", tmp_path / "run.nc")
    assert "[[1.0], [2.0]] [0.30000000000000004, nan]" in result.stderr
    shutil.copy(tmp_path / "data.parquet", tmp_path / "data.PARQUET")
    result = run("fit", tmp_path / "data.PARQUET", "--target", "y", "--out", tmp_path / "run.nc")
    assert "[[1.0], [2.0]]" in result.stderr
    (tmp_path / "data.parquet").write_text("no")
    result = run("fit", tmp_path / "data.parquet", "--target", "y", "--out", tmp_path / "run.nc")
    assert "data.parquet cannot be read as Parquet" in result.stderr


@pytest.mark.parametrize(
    ("inputs", "used"), [([], "'a', 'b'"), (["--inputs", "b"], "'b'"), (["--inputs", "b, a"], "'b', 'a'")]
)
def test_fit_says_which_columns_it_uses(inputs, used, tmp_path, monkeypatch):
    def sample(self, x, y, *rest, **settings):
        raise bs.BayesplatError(f"{list(x.columns)} {x.to_numpy().tolist()} {y.name} {y.tolist()}")

    monkeypatch.setattr(bs.SplatModel, "sample", sample)
    (tmp_path / "data.csv").write_text("a,y,b\n1,2,3\n4,NA,6\n")
    result = run("fit", tmp_path / "data.csv", "--target", "y", "--out", tmp_path / "run.nc", *inputs)
    assert f"Fitting 'y' to {used}: 2 rows" in result.stderr
    assert f"[{used}]" in result.stderr
    assert "y [2.0, nan]" in result.stderr


def test_known_errors_are_no_input(tmp_path, monkeypatch):
    def sample(self, x, y, *rest, y_err=None, **settings):
        raise bs.BayesplatError(f"{list(x.columns)} {y_err.tolist()}")

    monkeypatch.setattr(bs.SplatModel, "sample", sample)
    (tmp_path / "data.csv").write_text("a,y,sd\n1,2,0.1\n4,NA,\n")
    command = ["fit", tmp_path / "data.csv", "--target", "y", "--error", "sd", "--out", tmp_path / "run.nc"]
    result = run(*command)
    assert "Fitting 'y' to 'a': 2 rows" in result.stderr
    assert "with known errors from 'sd'" in result.stderr
    assert "['a'] [0.1, nan]" in result.stderr


@pytest.mark.parametrize("kept", [False, True])
def test_an_interrupted_fit_names_the_work_it_keeps(kept, folder, tmp_path, monkeypatch):
    def sample(self, x, y, checkpoint, **settings):
        if kept:
            checkpoint.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(bs.SplatModel, "sample", sample)
    result = run("fit", folder / "data.csv", "--target", "y", "--out", tmp_path / "run.nc")
    assert result.exit_code == 130
    assert result.stderr.endswith("Interrupted: the command did not finish.\n")
    words = f"The work so far is kept; bayesplat resume {tmp_path / 'run.checkpoint'} goes on."
    assert (words in result.stderr) == kept


# ---------------------------------------------------------------- predict


def test_predict_is_the_posteriors_prediction(nc, folder):
    frame = table(run("predict", nc, folder / "new.csv"))
    assert list(frame.columns) == ["time", "mean", "sd", "lower", "upper", "who"]
    assert frame["who"].tolist() == ["007", "b"]
    expected = bs.load(nc).predict(np.array([10.0, 20.5]))
    for name in ("mean", "sd", "lower", "upper"):
        np.testing.assert_allclose(frame[name], getattr(expected, name), atol=1e-3 * expected.sd.min())
    assert ((frame["lower"] < frame["mean"]) & (frame["mean"] < frame["upper"])).all()


def test_predictions_stand_beside_their_rows_of_a_parquet_file(nc, folder, tmp_path):
    """An index from sorting or choosing rows is no order of its own; one with a name is a column."""
    rows = pd.DataFrame({"time": [30.0, 10.0, 20.5], "who": ["c", "a", "b"]}).sort_values("time")
    rows.to_parquet(tmp_path / "sorted.parquet")
    rows[rows.time < 25].set_index("who").to_parquet(tmp_path / "chosen.parquet")
    expected = bs.load(nc).predict(np.array([10.0, 20.5, 30.0])).mean
    for name, count in (("sorted", 3), ("chosen", 2)):
        frame = table(run("predict", nc, tmp_path / f"{name}.parquet"))
        assert frame["who"].tolist() == ["a", "b", "c"][:count]
        np.testing.assert_allclose(frame["mean"], expected[:count], rtol=1e-4)


def test_predict_options_and_file(nc, folder, tmp_path):
    narrow = table(run("predict", nc, folder / "new.csv", "--prob", 0.5))
    wide = table(run("predict", nc, folder / "new.csv", "--kind", "observation"))
    assert (wide["upper"] - wide["lower"] > narrow["upper"] - narrow["lower"]).all()
    noise = table(run("predict", nc, folder / "new.csv", "--kind", "noise"))
    assert (noise["lower"] > 0).all()
    assert (noise["mean"] < wide["sd"]).all()
    result = run("predict", nc, folder / "new.csv", "--out", tmp_path / "p.csv", "--prob", 0.9999)
    assert result.stdout == ""
    assert "2 predictions of 'y' (values of the function, 99.99% intervals)" in result.stderr
    assert "exists" not in result.stderr
    again = run("predict", nc, folder / "new.csv", "--out", tmp_path / "p.csv", "--prob", 0.9999)
    assert f"{tmp_path / 'p.csv'} exists: it will be replaced." in again.stderr
    assert (tmp_path / "p.csv").read_text() == run("predict", nc, folder / "new.csv", "--prob", 0.9999).stdout


def test_predicted_observations_have_known_errors_of_their_own(nc, tmp_path):
    (tmp_path / "new.csv").write_text("time,e\n10,0\n20,50\n")
    frame = table(run("predict", nc, tmp_path / "new.csv", "--kind", "observation", "--error", "e"))
    expected = bs.load(nc).predict(np.array([10.0, 20.0]), kind="observation")
    np.testing.assert_allclose(frame["sd"], np.hypot(expected.sd, [0.0, 50.0]), rtol=1e-3)
    assert frame["e"].tolist() == [0, 50]


def test_predict_keeps_cells_as_written_and_renames_on_collision(nc, tmp_path):
    (tmp_path / "new.csv").write_text("mean,time,note\n1.50,10.00,\n")
    result = run("predict", nc, tmp_path / "new.csv")
    head, row = result.stdout.splitlines()
    assert head == "time,predicted_mean,predicted_sd,predicted_lower,predicted_upper,mean,note"
    assert row.startswith("10.00,")
    assert row.endswith(",1.50,")
    assert "predicted_mean" in result.stderr


class Difference:
    """A posterior that predicts its first input minus its second."""

    def __init__(self, *names):
        self.names = (*names, "y")

    def predict(self, x, prob, kind, y_err):
        mean = x[:, 0] - x[:, 1]
        return Prediction(mean, np.ones(len(x)), mean - 1, mean + 1, prob, kind)


@pytest.mark.parametrize(
    ("names", "header", "mean"),
    [
        (("a", "b"), "a,b", -1),
        (("a", "b"), "b,a", 1),
        (("a", "b"), "b,other,a", 2),
        (("x1", "x2"), "p,q", -1),  # fitted from arrays: by position
        (("x1", "x2"), "x2,x1", 1),
    ],
)
def test_predict_matches_columns(names, header, mean, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "load", lambda path: Difference(*names))
    cells = ",".join("123"[: header.count(",") + 1])
    (tmp_path / "new.csv").write_text(f"{header}\n{cells}\n")
    assert table(run("predict", "run.nc", tmp_path / "new.csv"))["mean"].tolist() == [mean]


# ---------------------------------------------------------------- compare


def test_compare(nc, tmp_path):
    for copy in ("b.nc", "run.nc"):
        (tmp_path / copy).write_bytes(nc.read_bytes())
    result = run("compare", nc, tmp_path / "b.nc", tmp_path / "run.nc")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "elpd_loo" in lines[0]
    names = {line.split()[0] for line in lines[2:5]}
    assert names == {"b", str(nc.with_suffix("")), str(tmp_path / "run")}


def test_compare_of_one_file_with_itself(nc):
    assert "run (2)" in run("compare", nc, nc).stdout.replace(str(nc.parent) + "/", "")


# ---------------------------------------------------------------- demo


@pytest.mark.parametrize("size", [demo.FULL, demo.QUICK])
def test_demo_names_models_that_exist(size):
    assert [str(demo._model(name, size)) for name in size.priors]


def test_demo_replaces_no_files_but_those_of_a_demo(tmp_path, monkeypatch):
    def stop(*arguments):
        raise bs.BayesplatError("So far.")

    monkeypatch.setattr(demo, "_fit", stop)
    for _ in range(2):
        assert "So far." in run("demo", "--quick", "--out", tmp_path).stderr
    for name in ("ridge.nc", "motorcycle.csv"):
        (tmp_path / name).write_text("mine")
    assert "holds 'motorcycle.csv', 'ridge.nc', which the demo would replace" in run("demo", "--out", tmp_path).stderr
    assert (tmp_path / "ridge.nc").read_text() == (tmp_path / "motorcycle.csv").read_text() == "mine"


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_demo(real, tmp_path, monkeypatch):
    if not real:  # another prior would compile everything again, which takes a minute: run the shared one twice
        monkeypatch.setitem(demo.PRIORS, "horseshoe", demo.PRIORS["ridge"])
    folder = tmp_path / "demo"
    result = run("demo", "--quick", "--out", folder)
    assert result.exit_code == 0, result.output
    for part in ("elpd_loo", "horseshoe", "ridge", "Convergence (nuts)", "Overfitting", "A quick run"):
        assert part in result.stdout
    assert "[1/2] ridge" in result.stderr
    listed = [line.split()[0] for line in result.stdout.split(f"In {folder}:\n")[1].splitlines()]
    assert set(listed) == {path.name for path in folder.iterdir()}
    assert all((folder / name).stat().st_size > 1000 for name in listed)
    text = (folder / "summary.md").read_text()
    assert [name for name in listed if name.endswith(".png") and f"]({name})" not in text] == []
    for part in ("| horseshoe |", "`bayesplat demo --quick --seed 0`", "numpyro ", " ms", "90% interval"):
        assert part in text
    best = bs.load(folder / "horseshoe.nc")
    assert best.spec.likelihood == bs.Normal(noise="varying")
