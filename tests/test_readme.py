"""The README and the pages of docs: their commands parse, their code runs, their links lead somewhere."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

import bayesplat as bs
from bayesplat.cli.app import app
from tests.cli import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

# the shapes of the tests of the command line, which compile the same code
BUDGET = {"n_splats": 6, "chains": 2, "warmup": 50, "draws": 50}
MAX_LINES = 15

COMMANDS = ["pip install uv && uv run bayesplat demo", "uv run pytest"]

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Every `bayesplat ...` command of the shell blocks, without what comes before or after it."""
    lines = "\n".join(blocks(text, "bash")).splitlines()
    parts = [part.strip().removeprefix("uv run ") for line in lines for part in re.split(r"&&|;|\|", line)]
    return [part for part in parts if part.startswith("bayesplat ")]


def links(text: str) -> list[str]:
    """Targets of links and pictures outside of code that are files of the repository."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r"(?:src|href)=\"([^\"]+)\"", prose)
    return [target for target in targets if not re.match(r"[a-z]+:|#", target)]


# ---------------------------------------------------------------- commands


@pytest.mark.parametrize("command", COMMANDS)
def test_the_two_commands_stand_on_lines_of_their_own(command):
    assert command in "\n".join(blocks(README, "bash")).splitlines()


def parse(command: str):
    """What typer makes of a command, without running it."""
    _, name, *arguments = shlex.split(command)
    return typer.main.get_command(app).commands[name].make_context(name, arguments)


ALL_COMMANDS = sorted({command for page in PAGES for command in commands(page.read_text("utf-8"))})


def test_readme_shows_every_subcommand():
    assert {shlex.split(command)[1] for command in commands(README)} == {"fit", "predict", "compare", "demo", "report"}


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_commands_parse(command):
    parse(command)
    assert run(shlex.split(command)[1], "--help").exit_code == 0


def test_a_wrong_option_is_noticed():
    with pytest.raises(Exception, match="--targets"):
        parse("bayesplat fit data.csv --targets y --out run.nc")


# ---------------------------------------------------------------- Python


def snippet() -> str:
    (code,) = blocks(README, "python")
    return code


def test_snippet_is_short():
    assert len([line for line in snippet().splitlines() if line.strip()]) <= MAX_LINES


def put(code: str, pattern: str, small: str) -> str:
    """The code with every match replaced; there must be one."""
    code, count = re.subn(pattern, small, code)
    assert count > 0, f"The snippet has no {pattern}, which this test replaces."
    return code


# the horseshoe takes a minute to compile; the ridge is compiled for the tests of the command line anyway
@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_snippet_runs(real, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = snippet()
    for name, small in BUDGET.items():
        code = put(code, rf"\b{name}=\d+", f"{name}={small}")
    horseshoe = r"bs\.RegularizedHorseshoe\([^)]*\)"
    (prior,) = re.findall(horseshoe, code)
    assert isinstance(eval(prior, {"bs": bs}), bs.RegularizedHorseshoe)
    names: dict = {}
    exec(compile(code if real else put(code, horseshoe, "bs.Ridge()"), "README.md", "exec"), names)
    assert names["post"].data["posterior"].sizes["draw"] == BUDGET["draws"]
    assert names["pred"].mean.shape == names["x_new"].shape
    assert np.all(names["pred"].lower <= names["pred"].upper)
    assert (tmp_path / "horseshoe.nc").is_file()


@pages
def test_python_blocks_compile(page):
    for code in blocks(page.read_text("utf-8"), "python"):
        compile(code, str(page), "exec")


# ---------------------------------------------------------------- words


@pages
def test_links_lead_somewhere(page):
    lost = [target for target in links(page.read_text("utf-8")) if not (page.parent / target.split("#")[0]).exists()]
    assert not lost


def test_lost_links_are_seen():
    assert links('[a](b.md) ![c](d.png) `[e](f)` [g](https://h.org) <img src="i.png">') == ["b.md", "d.png", "i.png"]


@pages
def test_no_number_is_left_to_fill_in(page):
    assert re.findall(r"TBD[-A-Z]*", page.read_text("utf-8")) == []
