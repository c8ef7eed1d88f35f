"""Misuse ends with exit code 2 and one sentence on stderr."""

import gzip
import io
import sys
import warnings
from pathlib import Path

import jax
import pandas as pd
import pytest

from bayesplat import BayesplatError
from bayesplat.cli import compare, device
from bayesplat.cli.app import main
from bayesplat.cli.files import write_csv

from . import run

FIT = "fit {csv} --target y --out run.nc"

FILES = {
    "good.csv": "a,b,y\n1,2,3\n4,5,6\n",
    "text.csv": "a,group,y\n1,control,3\n4,treated,6\n",
    "texty.csv": "a,y\n1,3\n4,high\n",
    "hole.csv": "a,y\n1,3\n,6\n",
    "inf.csv": "a,y\n1,3\ninf,6\n",
    "nothing.csv": "",
    "header.csv": "a,y\n",
    "headless.csv": "1,2\n3,4\n",
    "decimals.csv": 'a,y\n"1,5",2\n"3,5",4\n',
    "units.csv": "a,y\nm,K\n1,2\n3,4\n",
    "classes.csv": "a,y\n1,low\n2,high\n",
    "quoted.csv": '"a,m",b,y\n1,2,3\n4,x,6\n',
    "grouped.csv": "a,y\n1_5,2\n3,4\n",
    "ragged.csv": "a,y\n1,2\n1,2,3\n",
    "twice.csv": "a,y,y\n1,2,3\n4,5,6\n",
    "latin.csv": "a,größe\n1,2\n".encode("latin-1"),
    "long.csv": "a,y\n1,2,3\n4,5,6\n",
    "semicolons.csv": "a;y\n1;2\n3;4\n",
    "tabs.csv": "a\ty\n1\t2\n3\t4\n",
    "commas.csv": "a;y\n1,5;2,5\n3,5;4,5\n",
    "somecommas.csv": "a;y\n1;2\n3;4,5\n",
    "binary.csv": b"\xff\xfe\x00\x01,\x00\n",
    "only.csv": "y\n1\n2\n",
    "index.csv": ",a,y\n0,1,2\n1,3,4\n",
    "negative.csv": "a,e,y\n1,-1,2\n2,1,3\n",
    "allmissing.csv": "a,y\n1,\n2,NA\n",
    "broken.nc": "not a file of ours",
}

MISUSE = [
    ("fit nowhere.csv --target y --out run.nc", "nowhere.csv"),
    ("fit folder --target y --out run.nc", "a folder"),
    ("fit good.csv --target z --out run.nc", "its columns are 'a', 'b', 'y'."),
    (FIT.format(csv="good.csv") + " --inputs a,c", "no column 'c'"),
    (FIT.format(csv="good.csv") + " --inputs a,y", "cannot be an input"),
    (FIT.format(csv="good.csv") + " --inputs ,", "--inputs"),
    (FIT.format(csv="good.csv") + " --error c", "no column 'c'"),
    (FIT.format(csv="good.csv") + " --error y", "another column than --target"),
    (FIT.format(csv="good.csv") + " --error b --inputs a,b", "the column of known errors and cannot be an input"),
    (FIT.format(csv="negative.csv") + " --error e", "sds of 0 or more"),
    (FIT.format(csv="text.csv"), "--inputs"),
    (FIT.format(csv="texty.csv"), "'high' in row 2"),
    (FIT.format(csv="text.csv"), "or code classes as columns of 0 and 1."),
    (FIT.format(csv="decimals.csv"), "(column 'a'); write decimals with points"),
    (FIT.format(csv="units.csv"), "'m' in row 1 of units.csv (column 'a'); delete the row under the header"),
    (FIT.format(csv="classes.csv"), "(column 'y'); only numbers can be fitted"),
    (FIT.format(csv="quoted.csv") + " --inputs a", "no column 'a'; its columns are 'a,m', 'b', 'y'; write names that"),
    (FIT.format(csv="quoted.csv") + """ --inputs "a,m",b""", "'x' in row 2 of quoted.csv (column 'b')"),
    (FIT.format(csv="grouped.csv") + " --inputs a", "'1_5' in row 1"),
    (FIT.format(csv="hole.csv"), "no value in row 2"),
    (FIT.format(csv="inf.csv"), "infinite"),
    (FIT.format(csv="nothing.csv"), "empty"),
    (FIT.format(csv="header.csv"), "no rows"),
    (FIT.format(csv="headless.csv"), "no header"),
    (FIT.format(csv="ragged.csv"), "cannot be read as CSV"),
    (FIT.format(csv="long.csv"), "more cells"),
    (FIT.format(csv="twice.csv"), "several columns named 'y'; give each column a name of its own"),
    (FIT.format(csv="latin.csv"), "as CSV UTF-8"),
    (FIT.format(csv="semicolons.csv"), "its columns are 'a;y'; save it with commas between cells"),
    (FIT.format(csv="tabs.csv"), "save it with commas between cells"),
    (
        FIT.format(csv="commas.csv"),
        "more cells than its header has names; save it with commas between cells, points",
    ),
    (
        FIT.format(csv="somecommas.csv"),
        "saw 2); save it with commas between cells, points in decimals and nothing above",
    ),
    (FIT.format(csv="binary.csv"), "cannot be read as CSV"),
    (FIT.format(csv="only.csv"), "at least one input"),
    (FIT.format(csv="index.csv"), "without a name"),
    (FIT.format(csv="allmissing.csv"), "at least one observed"),
    ("fit good.csv --target y --out run.csv", "end in .nc"),
    ("fit good.csv --target y --out taken.nc", "the folder"),
    ("fit good.csv --target y --out nowhere/run.nc", "no folder nowhere"),
    (FIT.format(csv="good.csv") + " --prior lasso", "stick-breaking"),
    (FIT.format(csv="good.csv") + " --prior ridge --n-active 3", "--n-active"),
    (FIT.format(csv="good.csv") + " --splats 3 --n-active 9", "n_active"),
    (FIT.format(csv="good.csv") + " --chains 0", "--chains"),
    ("fit good.csv --out run.nc", "got no --target"),
    ("fit good.csv --target y", "got no --out"),
    ("fit --target y --out run.nc", "got no DATA.csv"),
    ("fit good.csv --target y --out run.nc --colour red", "--colour"),
    ("gadget", "gadget"),
    ("predict nowhere.nc good.csv", "nowhere.nc"),
    ("predict broken.nc good.csv", "broken.nc"),
    ("compare nowhere.nc broken.nc", "nowhere.nc"),
    ("demo --out good.csv", "good.csv"),
    ("demo --out good.csv/inside", "good.csv/inside"),
]

MISUSE_OF_A_RUN = [
    ("predict {nc} good.csv", "no column 'time'"),
    ("predict {nc} {new} --prob 1.5", "prob"),
    ("predict {nc} {new} --kind average", "--kind"),
    ("predict {nc} {new} --error e", "--error with --kind observation"),
    ("predict {nc} {new} --kind observation --error e", "no column 'e'"),
    ("predict {nc} {new} --out {new}", "overwrite"),
    ("predict {nc} {new} --out p.txt", ".csv"),
    ("compare {nc}", "at least two"),
    ("compare {nc} broken.nc", "broken.nc"),
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in ("folder", "taken.nc"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_refused(result, words):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Fitting")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    assert lines[0].endswith(".")
    assert words in lines[0]


@pytest.mark.parametrize(("command", "words"), MISUSE)
def test_misuse(command, words, here):
    before = {path: path.stat().st_mtime for path in here.rglob("*")}
    assert_refused(run(*command.split()), words)
    assert {path: path.stat().st_mtime for path in here.rglob("*")} == before


@pytest.mark.parametrize(("command", "words"), MISUSE_OF_A_RUN)
def test_misuse_of_a_posterior(command, words, here, nc, folder):
    assert_refused(run(*command.format(nc=nc, new=folder / "new.csv").split()), words)


def test_a_full_disk(monkeypatch, here):
    def fail(path):
        raise OSError(28, "No space left on device", "b.nc")

    monkeypatch.setattr(compare, "load", fail)
    assert_refused(run("compare", "a.nc", "b.nc"), "Cannot use b.nc: No space left on device.")


def test_a_result_cut_short_leaves_the_one_before(monkeypatch, tmp_path):
    def fail(frame, path, **_):
        path.write_text("a,b\n1", "utf-8")
        raise OSError(28, "No space left on device")

    path = tmp_path / "out.csv"
    path.write_text("before", "utf-8")
    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(BayesplatError, match="No space left on device; nothing was changed there"):
        write_csv(pd.DataFrame({"a": [1.0], "b": [2.0]}), path)
    assert path.read_text("utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", ["gz", "zip", "xz", "bz2", "tar"])
def test_damaged_archives_are_refused_by_name(suffix, tmp_path):
    path = tmp_path / f"data.csv.{suffix}"
    path.write_bytes(gzip.compress(bytes(range(256)) * 99)[:200] if suffix == "gz" else b"no archive at all")
    result = run("fit", path, "--target", "y", "--out", tmp_path / "run.nc")
    assert f"Error: {path} cannot be read as CSV (" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("place", ["closed", "none"])
def test_a_place_where_programs_cannot_be_kept_is_named_once(place, tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "closed").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "closed") if place == "closed" else "")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.warns(UserWarning, match="Compiled programs cannot be kept \\(.*set JAX_COMPILATION_CACHE_DIR"):
        assert device._cache() is None


def test_what_goes_to_a_file_is_utf8_whatever_the_locale(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["bayesplat", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert out.encoding == "utf-8"


@pytest.mark.parametrize(
    ("trouble", "said", "remedy"),
    [
        ("reading", "Compiled programs in {folder} cannot be read", "; delete that folder."),
        ("writing", "Compiled programs cannot be kept in {folder}", " to a folder that can be written."),
    ],
)
def test_trouble_with_compiled_programs_is_said_once(trouble, said, remedy, monkeypatch):
    def read(path):
        for program in ("jit_a", "jit_b"):
            warnings.warn(f"Error {trouble} persistent compilation cache entry for '{program}': E: x", stacklevel=1)
        raise BayesplatError("Nothing more.")

    monkeypatch.setattr(compare, "load", read)
    warning, _ = run("compare", "a.nc", "b.nc").stderr.splitlines()
    assert warning.startswith(f"Warning: {said.format(folder=jax.config.jax_compilation_cache_dir)}")
    assert warning.endswith(remedy)


def test_interrupt(monkeypatch):
    def stop(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "load", stop)
    result = run("compare", "a.nc", "b.nc")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted: the command did not finish.\n"


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(path):
        raise RuntimeError("ours")

    monkeypatch.setattr(compare, "load", fail)
    result = run("compare", "a.nc", "b.nc")
    assert isinstance(result.exception, RuntimeError)
