"""The layers of bayesplat, and the test that holds them.

A module may import from a lower layer, or from its own layer as long as no imports run in a circle. The unit is the
first name below bayesplat: `flow` stands for everything in bayesplat/flow/. bayesplat/__init__.py re-exports the public
names and is exempt; nothing below the command line may import it.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

LAYERS = {
    0: ["_typing", "_checks", "_lazy", "devices", "progress"],
    1: ["atomic", "mothers", "scales", "scaling", "symptoms", "tables", "threads", "wording"],
    2: ["checkpoint", "measure", "prefetch"],
    3: ["evaluate", "trend"],
    4: ["priors", "likelihoods", "operators"],
    5: ["blocks", "collapsed", "model", "specification"],
    6: ["flow", "posterior"],
    7: ["diagnostics", "io"],
    8: ["compare", "predictor", "results"],
    9: ["bound", "sampling"],
    10: ["regression"],
    11: ["plots", "datasets", "kfold", "reloo", "resume", "advice", "sklearn"],
    12: ["report"],
    13: ["cli"],
}

# Further than the layers say: pairs (importer, imported) that must stay apart, and units that may import only these.
APART = {("flow", "posterior"), ("posterior", "flow")}
ONLY = {"datasets": {"_checks", "_typing"}}

# Where a library may be imported at all.
CONFINED = {
    "numpyro": {"priors", "likelihoods", "posterior"},
    "arviz": {"diagnostics", "compare", "plots"},
    "arviz_base": {"diagnostics", "compare", "plots"},
    "arviz_stats": {"diagnostics", "compare", "plots"},
    "arviz_plots": {"diagnostics", "compare", "plots"},
    "blackjax": {"posterior"},
    "matplotlib": {"plots"},
    "sklearn": {"sklearn"},
}

# Imports allowed inside a function, (importer, imported): only what takes long to load, when it is asked for.
DEFERRED = {
    ("__init__", "plots"),
    ("cli", "plots"),
    ("report", "plots"),
    ("sampling", "posterior"),
    ("advice", "scipy"),
    ("tables", "polars"),
    ("diagnostics", "arviz_base"),
    ("diagnostics", "arviz_stats"),
    ("diagnostics", "scipy"),
}

MAX_LINES = 500

ROOT = Path(__file__).parents[1]
LAYER_OF = {unit: layer for layer, units in LAYERS.items() for unit in units}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

type Files = dict[str, str]  # path such as "bayesplat/flow/run.py" -> source


class Import(NamedTuple):
    """One imported module, resolved."""

    path: str  # the importing file
    line: int
    source: str  # the importing module, dotted
    target: str  # the imported module, dotted
    deferred: bool  # inside a function

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


# ---------------------------------------------------------------- reading


def read_package() -> Files:
    """Every Python file of the package."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
        for path in sorted((ROOT / "bayesplat").rglob("*.py"))
    }


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def unit_of(module: str) -> str:
    """The unit a module of bayesplat belongs to; "__init__" is bayesplat itself."""
    return module.split(".")[1] if "." in module else "__init__"


def unit_or_library(module: str) -> str:
    return unit_of(module) if is_internal(module) else module.split(".")[0]


def is_internal(module: str) -> bool:
    return module.split(".")[0] == "bayesplat"


def find_imports(files: Files) -> list[Import]:
    """Every import of every file, with relative names made absolute."""
    known = {module_name(path) for path in files}
    found = []
    for path, text in files.items():
        for node, inside in import_nodes(ast.parse(text, path)):
            for target in targets(node, path, known):
                found.append(Import(path, node.lineno, module_name(path), target, inside))
    return found


def import_nodes(node: ast.AST, inside: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements below a node, and whether a function encloses them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside
        yield from import_nodes(child, inside or isinstance(child, FUNCTIONS))


def targets(node: ast.Import | ast.ImportFrom, path: str, known: set[str]) -> set[str]:
    """The modules an import statement names: `from a import b` means a.b where that is a module, else a."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    folder = path.split("/")[:-1]
    above = folder[: len(folder) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    return {name if (name := f"{base}.{alias.name}") in known else base for alias in node.names}


# ---------------------------------------------------------------- checking: each returns its faults as sentences


def unlisted(files: Files) -> list[str]:
    units = {unit_of(module_name(path)) for path in files} - {"__init__"}
    return [
        f"bayesplat.{unit} has no layer: add it to LAYERS at the top of {Path(__file__).name}."
        for unit in sorted(units - set(LAYER_OF))
    ]


def upward(files: Files) -> list[str]:
    faults = []
    for item in find_imports(files):
        source, target = unit_of(item.source), unit_of(item.target)
        if not is_internal(item.target) or source in ("__init__", target):
            continue
        if fault := forbidden(source, target):
            faults.append(f"{item.where} imports {item.target}: {fault}.")
    return faults


def forbidden(source: str, target: str) -> str:
    """Why one unit may not import another; empty if it may."""
    if target == "__init__":
        return "" if source == "cli" else "the package itself is built from this module; import what defines the name"
    if (source, target) in APART:
        return f"{source} and {target} must not know each other"
    if target not in ONLY.get(source, {target}):
        return f"{source} may import only {', '.join(sorted(ONLY[source]))}"
    low, high = LAYER_OF.get(source), LAYER_OF.get(target)
    if low is not None and high is not None and high > low:
        return f"layer {low} ({source}) must not import layer {high} ({target})"
    return ""


def cycles(files: Files) -> list[str]:
    """The first circle of imports, where importing a.b from outside a also runs a/__init__.py."""
    graph: dict[str, set[str]] = {}
    for item in find_imports(files):
        if is_internal(item.target) and "bayesplat" not in (item.source, item.target):
            graph.setdefault(item.source, set()).update(modules_run(item.source, item.target))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"Imports run in a circle: {' <- '.join(error.args[1])}."]
    return []


def modules_run(source: str, target: str) -> set[str]:
    """The target, and the packages around it that do not also hold the source."""
    parts = target.split(".")
    around = {".".join(parts[:end]) for end in range(2, len(parts))}
    return {target} | {outer for outer in around if not f"{source}.".startswith(f"{outer}.")}


def deferred(files: Files) -> list[str]:
    return [
        f"{item.where} imports {item.target} inside a function: move it to the top of the file."
        for item in find_imports(files)
        if item.deferred and (unit_of(item.source), unit_or_library(item.target)) not in DEFERRED
    ]


def unconfined(files: Files) -> list[str]:
    faults = []
    for item in find_imports(files):
        library = item.target.split(".")[0]
        allowed = CONFINED.get(library)
        if allowed is not None and unit_of(item.source) not in allowed:
            faults.append(f"{item.where} imports {library}, which belongs only in {', '.join(sorted(allowed))}.")
    return faults


def too_long(files: Files) -> list[str]:
    lengths = {path: len(text.splitlines()) for path, text in files.items()}
    return [
        f"{path} has {length} lines: split it ({MAX_LINES} at most)."
        for path, length in lengths.items()
        if length > MAX_LINES
    ]


# ---------------------------------------------------------------- the package


@pytest.mark.parametrize("check", [unlisted, upward, cycles, deferred, unconfined, too_long])
def test_package(check):
    faults = check(read_package())
    assert not faults, "\n" + "\n".join(faults)


def test_package_is_read():
    assert {"bayesplat/__init__.py", "bayesplat/_checks.py"} <= set(read_package())


def test_table_names_each_unit_once():
    assert len(LAYER_OF) == sum(map(len, LAYERS.values()))


# ---------------------------------------------------------------- planted faults: every check must see its own


def package(files: Files) -> Files:
    """A small package with the given files; paths are below bayesplat/."""
    empty = dict.fromkeys(["__init__.py", "measure.py", "flow/__init__.py", "flow/run.py", "plots/__init__.py"], "")
    return {f"bayesplat/{path}": text for path, text in {**empty, **files}.items()}


UPWARD = [
    ({"measure.py": "import bayesplat.flow.run"}, "layer 2 (measure) must not import layer 6 (flow)"),
    ({"measure.py": "from bayesplat.flow.run import go"}, "measure.py:1 imports bayesplat.flow.run"),
    ({"measure.py": "from bayesplat import flow"}, "imports bayesplat.flow:"),
    ({"measure.py": "\nfrom .flow import run"}, "measure.py:2 imports bayesplat.flow.run"),
    ({"priors/a.py": "from ..flow.run import go"}, "layer 4 (priors) must not import layer 6 (flow)"),
    ({"measure.py": "if True:\n    from bayesplat import flow"}, "measure.py:2"),
    ({"flow/run.py": "from bayesplat import SplatModel"}, "the package itself is built from this module"),
    ({"flow/run.py": "from bayesplat.posterior import nuts"}, "must not know each other"),
    ({"posterior/nuts.py": "import bayesplat.flow"}, "must not know each other"),
    ({"datasets/a.py": "import bayesplat.measure"}, "datasets may import only _checks, _typing"),
]
CYCLIC = [
    ({"flow/a.py": "from bayesplat.flow import b", "flow/b.py": "from . import a"}, "circle"),
    ({"flow/__init__.py": "from .a import x", "flow/a.py": "from bayesplat.flow import y"}, "circle"),
    ({"spec.py": "import bayesplat.io", "io.py": "import bayesplat.spec"}, "bayesplat.io"),
    (  # only because importing priors.b runs priors/__init__.py
        {
            "priors/__init__.py": "from bayesplat.priors.a import x",
            "priors/a.py": "import bayesplat.likelihoods",
            "priors/b.py": "",
            "likelihoods.py": "from bayesplat.priors.b import y",
        },
        "circle",
    ),
]
INSIDE_A_FUNCTION = [
    ({"measure.py": "def f():\n    import math"}, "measure.py:2 imports math inside a function"),
    ({"measure.py": "class C:\n    async def f(self):\n        from os import path"}, "imports os"),
    ({"regression.py": "def f():\n    if f:\n        from bayesplat import flow"}, "imports bayesplat.flow"),
    ({"regression.py": "def f():\n    from bayesplat import plots"}, "imports bayesplat.plots"),
]
UNCONFINED = [
    ({"flow/run.py": "import numpyro.distributions as dist"}, "only in likelihoods, posterior, priors"),
    ({"regression.py": "from arviz import loo"}, "imports arviz"),
    ({"cli/app.py": "import matplotlib.pyplot as plt"}, "only in plots"),
]
UNLISTED = [
    ({"gadget.py": ""}, "bayesplat.gadget has no layer: add it to LAYERS"),
    ({"gadget/part.py": ""}, "bayesplat.gadget has no layer"),
]
TOO_LONG = [({"measure.py": "\n" * 501}, "has 501 lines")]
PLANTED = {
    unlisted: UNLISTED,
    upward: UPWARD,
    cycles: CYCLIC,
    deferred: INSIDE_A_FUNCTION,
    unconfined: UNCONFINED,
    too_long: TOO_LONG,
}


@pytest.mark.parametrize(
    ("check", "files", "words"), [(check, *fault) for check, faults in PLANTED.items() for fault in faults]
)
def test_planted_fault_is_reported(check, files, words):
    faults = check(package(files))
    assert len(faults) == 1
    assert words in faults[0]


@pytest.mark.parametrize("check", PLANTED)
@pytest.mark.parametrize(
    "files",
    [
        {"flow/run.py": "import math\nfrom bayesplat.measure import b\nfrom . import energy", "flow/energy.py": ""},
        {"__init__.py": "from bayesplat import flow, measure\nfrom bayesplat.flow.run import go"},
        {"results.py": "import bayesplat.io", "io.py": ""},
        {"posterior/nuts.py": "import numpyro", "plots/bands.py": "import arviz, matplotlib.pyplot"},
        {"cli/app.py": "import bayesplat as bs\ndef report():\n    from bayesplat import plots"},
        {"measure.py": "\n" * 500},
    ],
)
def test_sound_files_pass(check, files):
    assert check(package(files)) == []
