"""One real fit for all tests of the command line; its shapes are those of `demo --quick`, so both compile once."""

from pathlib import Path

import pandas as pd
import pytest

from bayesplat.datasets import motorcycle

from . import run

SMALL = ["--prior", "ridge", "--noise", "varying", "--splats", "6", "--chains", "2", "--warmup", "50", "--draws", "50"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """data.csv (columns time and y, the last y missing) and new.csv (with a column of text first)."""
    folder = tmp_path_factory.mktemp("cli")
    data = motorcycle()
    frame = pd.DataFrame({"time": [*data.x, 60.0], "y": [*data.y, None]})
    frame.to_csv(folder / "data.csv", index=False)
    (folder / "new.csv").write_text("who,time\n007,10\nb,20.50\n")
    return folder


@pytest.fixture(scope="session")
def fitted(folder):
    """What the example of `fit --help` prints, made small; it writes run.nc."""
    return run("fit", folder / "data.csv", "--target", "y", "--out", folder / "run.nc", *SMALL)


@pytest.fixture(scope="session")
def nc(folder, fitted) -> Path:
    """The posterior that was written."""
    assert fitted.exit_code == 0, fitted.output
    return folder / "run.nc"
