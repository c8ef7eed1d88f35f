"""The pages of docs: every sentence of a report has an entry, every public name a place, and the site builds whole."""

import ast
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import bayesplat as bs
from bayesplat.diagnostics.convergence import APART_REMEDY
from bayesplat.diagnostics.sensitivity import ADVICE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TROUBLE = (DOCS / "troubleshooting.md").read_text("utf-8")
REFERENCE = "\n".join(page.read_text("utf-8") for page in sorted((DOCS / "api").glob("*.md")))

# Where sentences are written, and in which functions; none: anywhere in the file.
REPORTS = {
    "flow/report.py": (),
    "diagnostics/convergence.py": (),
    "diagnostics/overfitting.py": (),
    "diagnostics/sensitivity.py": ("notes",),
    "compare.py": ("_verdict", "_sketches"),
    "bound.py": ("_warn", "_codes", "_strays"),
    "scaling.py": ("in_reach",),
    "predictor.py": ("_ask_for_errors", "_ask_for_draws"),
    "regression.py": ("_apart",),
    "sampling.py": ("affordable",),
    "cli/device.py": ("told", "_cache"),
}

# ---------------------------------------------------------------- sentences of reports


class Sentences(ast.NodeVisitor):
    """Every text that reads as a sentence, docstrings left out, as a pattern: what is filled in matches anything."""

    def __init__(self):
        self.found: list[str] = []

    def visit_Expr(self, node: ast.Expr):
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant):
        if isinstance(node.value, str):
            self.add([node])

    def visit_JoinedStr(self, node: ast.JoinedStr):
        self.add(node.values)

    def add(self, parts: list[ast.expr]):
        words = "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in parts)
        if len(words.split()) >= 4 and (words.endswith(".") or "; " in words):
            self.found.append(".*".join(re.escape(piece) for piece in words.strip().split("\0")))


def sentences(source: str, functions: tuple[str, ...] = ()) -> list[str]:
    tree, visitor = ast.parse(source), Sentences()
    nodes = tree.body if not functions else ast.walk(tree)
    for node in nodes:
        if not functions or (isinstance(node, ast.FunctionDef) and node.name in functions):
            visitor.visit(node)
    return visitor.found


def entries(page: str) -> dict[str, str]:
    """What is quoted, as a block or as code, and the heading that it stands under."""
    found, heading = {}, ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif line.startswith("> "):
            found[line[2:]] = heading
        elif line.startswith("| `"):
            found[line.split("`")[1]] = heading
    return found


ENTRIES = entries(TROUBLE)
SAID = [
    (file, pattern)
    for file, functions in REPORTS.items()
    for pattern in sentences((ROOT / "bayesplat" / file).read_text("utf-8"), functions)
]
# parts of sentences, which are filled in from tables
FILLED_IN = [re.escape(part) for part in (*APART_REMEDY.values(), *ADVICE.values())]


def explained(pattern: str, found: dict[str, str]) -> bool:
    return any(re.search(pattern, quote) for quote in found)


@pytest.mark.parametrize(("file", "pattern"), [*SAID, *(("", part) for part in FILLED_IN)])
def test_every_sentence_of_a_report_has_an_entry(file, pattern):
    assert explained(pattern, ENTRIES), f"docs/troubleshooting.md lacks an entry for a sentence of {file}: {pattern}"


def test_no_report_is_without_sentences():
    assert {file for file, _ in SAID} == set(REPORTS)
    assert len(SAID) >= 35


@pytest.mark.parametrize(
    "source",
    [
        "def f(n):\n    return f'The fit has {n} new faults; run it again.'",
        "SAID = {'Something new went wrong here.': True}",
        "def f(n):\n    return 'Chains disagree: R-hat above 1.01 for f; do something quite new.'",
    ],
)
def test_a_new_sentence_is_missed(source):
    (pattern,) = sentences(source)
    assert not explained(pattern, ENTRIES)


def test_docstrings_and_labels_are_no_sentences():
    assert (
        sentences('def f():\n    """Return a table of four columns."""\n    return "effective parameters p_loo"') == []
    )


def test_every_entry_has_a_heading_of_its_own():
    headings = re.findall(r"^#+ (.+)$", TROUBLE, re.MULTILINE)
    assert len(set(headings)) == len(headings)
    quoted = [heading for quote, heading in ENTRIES.items() if f"> {quote}" in TROUBLE]
    # the same sentence with another ending, for another method or sign, may stand under the same heading
    assert max(map(quoted.count, quoted)) <= 2


# ---------------------------------------------------------------- numbers and commands

# pages that hold what was measured, and pages that repeat it
MEASURED = [ROOT / "README.md", *(DOCS / f"{name}.md" for name in ("calibration", "compose", "priors", "paper"))]
MEASURED += sorted((DOCS / "paper").glob("*.md"))
REPEATED = ["benchmarks.md", "choose.md", "gallery.md"]


def spaced(text: str) -> str:
    return " ".join(text.split())


def numbers(text: str) -> set[str]:
    """Numbers with a point or an exponent; code is left out."""
    prose = re.sub(r"```.*?```|``.*?``|`[^`]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)
    return set(re.findall(r"(?<![\w.])\d*\.\d+(?:e-?\d+)?|(?<![\w.])\d+e-?\d+", prose))


def commands(text: str) -> set[str]:
    """Commands that run an example."""
    return {command for command in re.findall(r"`(uv run python examples/[^`]+)`", spaced(text))}


SOURCES = "\n".join(page.read_text("utf-8") for page in MEASURED)


@pytest.mark.parametrize("page", REPEATED)
def test_numbers_and_commands_are_those_of_the_pages_that_they_come_from(page):
    text = (DOCS / page).read_text("utf-8")
    assert numbers(text) - numbers(SOURCES) == set()
    assert commands(text) - commands(SOURCES) == set()


def test_another_number_and_another_command_are_seen():
    assert numbers("a 0.016, `0.5` and [.066](b.md#c-1.5)") == {"0.016", ".066"}
    assert commands("`uv run python\nexamples/e1.py --n 3`") == {"uv run python examples/e1.py --n 3"}


# ---------------------------------------------------------------- the reference


def documented(name: str) -> bool:
    directive = rf"^\.\. (auto(class|function|module|exception)|data):: {re.escape(name)}$"
    return re.search(directive, REFERENCE, re.MULTILINE) is not None


MODULES = {"plots": bs.plots, "datasets": bs.datasets, "mothers": bs.mothers}
PUBLIC = [
    *(f"bayesplat.{name}" for name in bs.__all__ if name != "mothers"),
    *(f"bayesplat.{module}.{name}" for module, content in MODULES.items() for name in content.__all__),
    "bayesplat.sklearn.SplatRegressor",
]


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name):
    assert documented(name)


def test_an_unknown_name_is_missed():
    assert not documented("bayesplat.Splat")


# ---------------------------------------------------------------- CONTRIBUTING.md, CITATION.cff


def test_files_that_contributors_are_sent_to_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:bayesplat|docs|tests)/[\w/.-]+|\.ci/run)`", text) + re.findall(r"\]\(([^)#:]+)\)", text)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == project["version"] == bs.__version__
    assert citation["license"] == project["license"]
    assert citation["references"][0]["title"] in (DOCS / "references.bib").read_text("utf-8")


# ---------------------------------------------------------------- the site


class Page(HTMLParser):
    """What a page loads, where it links to, and the places in it."""

    def __init__(self, path: Path):
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "a":
            self.links.append(given.get("href", ""))
        else:
            self.loads += [given[name] for name in ("src", "href", "data") if name in given]

    handle_startendtag = handle_starttag


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as CI builds it."""
    out = tmp_path_factory.mktemp("docs") / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", str(DOCS), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.relative_to(out).as_posix(): Page(path) for path in sorted(out.rglob("*.html"))}, out


def is_remote(target: str) -> bool:
    return target.startswith(("http:", "https:", "//"))


def lost(pages: dict[str, Page], out: Path) -> list[str]:
    """Local targets that are not there, with the places in pages that links point to."""
    missing = []
    for name, page in pages.items():
        for target in page.loads + page.links:
            parts = urlsplit(target)
            if is_remote(target) or parts.scheme in ("data", "mailto", "javascript"):
                continue
            path = (out / name).parent / unquote(parts.path) if parts.path else out / name
            there = path.resolve().relative_to(out.resolve()).as_posix()
            place = unquote(parts.fragment)
            if not path.exists() or (place and there in pages and place not in pages[there].ids):
                missing.append(f"{name}: {target}")
    return missing


@pytest.mark.slow
def test_the_site_is_whole_and_needs_no_network(site):
    pages, out = site
    assert {"index.html", "quickstart.html", "troubleshooting.html", "api/model.html"} <= set(pages)
    assert lost(pages, out) == []
    assert [f"{name}: {target}" for name, page in pages.items() for target in page.loads if is_remote(target)] == []
    styles = "".join(path.read_text("utf-8") for path in out.rglob("*.css"))
    assert re.findall(r"(?:@import\s+|url\()[\"']?(?:https?:)?//[^)]*", styles) == []
    assert ENTRIES
    assert "<math" in (out / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_quickstart_shows_what_ran(site):
    _, out = site
    text = re.sub(r"<[^>]+>", "", (out / "quickstart.html").read_text("utf-8"))
    assert "Convergence (nuts)" in text
    assert "PointFit: SplatMeasure" in text
    assert str(ROOT) not in text


def test_lost_targets_and_remote_ones_are_seen(tmp_path):
    loads, links = '<script src="https://cdn.org/x.js"></script><img src="d.png">', '<a href="b.html#c"></a>'
    (tmp_path / "a.html").write_text(loads + links)
    (tmp_path / "b.html").write_text('<p id="e">')
    pages = {name: Page(tmp_path / name) for name in ("a.html", "b.html")}
    assert lost(pages, tmp_path) == ["a.html: d.png", "a.html: b.html#c"]
    assert [target for target in pages["a.html"].loads if is_remote(target)] == ["https://cdn.org/x.js"]
