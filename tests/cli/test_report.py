"""`bayesplat report`: one page from one file, where it was asked for."""

import sys

import pytest

from bayesplat.cli import report as command

from . import run


def test_help_ends_with_its_example():
    result = run("report", "--help")
    assert result.exit_code == 0
    assert result.output.split("Example: ")[1].split() == command.EXAMPLE.split()
    assert "RUN.html beside RUN.nc" in " ".join(result.output.split())


def test_report_of_a_real_run(nc, tmp_path):
    result = run("report", nc, "--out", tmp_path / "r.html")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert result.stderr.endswith(f"The report on 'y' is in {tmp_path / 'r.html'}; any browser opens it.\n")
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "<title>Report on y given time</title>" in text
    assert text.count("data:image/png;base64,") == 4
    assert "Ridge(scale=1.0)" in text


@pytest.fixture
def quick(monkeypatch):
    """A page without the work."""
    monkeypatch.setattr(sys.modules["bayesplat.report.page"], "page", lambda post: "page")


def test_by_default_it_is_beside_the_run(nc, tmp_path, quick):
    beside = tmp_path / "my.run.nc"
    beside.write_bytes(nc.read_bytes())
    assert run("report", beside).exit_code == 0
    assert (tmp_path / "my.run.html").read_text() == "page"


MISUSE = [
    ("report nowhere.nc", "nowhere.nc"),
    ("report nowhere.nc --out nowhere/r.html", "no folder nowhere"),
    ("report broken.nc", "broken.nc"),
    ("report run.html", "is damaged"),
    ("report run.html --out run.html", "overwrite"),
    ("report run.nc --out r.pdf", "end in .html"),
    ("report run.nc --out folder.html", "the folder"),
    ("report", "RUN.nc"),
]


@pytest.mark.parametrize(("arguments", "words"), MISUSE)
def test_misuse(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    for name in ("broken.nc", "run.html", "run.nc"):
        (tmp_path / name).write_text("no posterior")
    result = run(*arguments.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert words in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.nc", "folder.html", "run.html", "run.nc"]


def test_a_run_named_like_a_page_is_not_overwritten(nc, tmp_path, quick):
    odd = tmp_path / "run.html"
    odd.write_bytes(nc.read_bytes())
    result = run("report", odd)
    assert result.exit_code == 2
    assert "overwrite" in result.stderr
