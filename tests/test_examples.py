"""The examples run as a reader runs them, in their quick form."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRINTED = {
    "motorcycle.py": ["| splats, varying noise |", "| Gaussian process |", "Convergence (nuts)", "Overfitting"],
    "compose.py": ["(true 1.50)", "error of the season's shape", "90% band covers"],
    "surface_2d.py": ["PointFit", "MSE to the truth", "3 splats: MSE", "Convergence (nuts)"],
    "coverage.py": ["| truth | method | 50% |", "| two scales | splats |", "| slowing wave | GP (Matern 5/2) |"],
    "regularisation.py": ["| flat | 3 |", "| ridge | 3 |", "LOO picks the prior"],
    "jumps.py": ["| both |", "LOO picks both"],
    "efficiency.py": ["| 3 | plain NumPyro |", "| 3 | bayesplat |"],
    "methods.py": ["| 3 | nuts |", "| 3 | smc |", "| 3 | svi |", "| 3 | laplace |", "| k | log evidence |"],
}
SLOW = ("compose", "coverage", "efficiency", "jumps", "methods", "regularisation")
PICTURES = {
    "motorcycle.py": {"motorcycle_bands.png", "motorcycle_splats.png"},
    "surface_2d.py": {"surface_bands.png", "surface_splats.png"},
    "compose.py": {"compose.png"},
    "coverage.py": {"coverage.png"},
    "regularisation.py": {"regularisation.png"},
    "jumps.py": {"jumps.png"},
    "efficiency.py": set(),
    "methods.py": set(),
}


def test_every_example_is_known():
    assert {script.name for script in EXAMPLES} == set(PRINTED) == set(PICTURES)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "script",
    # a minute of compilation each
    [pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else ()) for path in EXAMPLES],
    ids=lambda path: path.name,
)
def test_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script.name, "--quick"])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert [part for part in PRINTED[script.name] if part not in printed] == []
    assert {path.name for path in tmp_path.rglob("*.png")} == PICTURES[script.name]
