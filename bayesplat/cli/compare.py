"""`bayesplat compare`: which of several posteriors of the same data predicts best."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bayesplat.cli.console import say
from bayesplat.compare import compare as compare_posteriors
from bayesplat.regression import load

EXAMPLE = "bayesplat compare ridge.nc horseshoe.nc"


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN.nc...", help="Posteriors of the same data, written by fit.", show_default=False),
    ],
) -> None:
    """Rank fits of the same data by how well they predict data left out."""
    say(compare_posteriors({name: load(path) for name, path in zip(_names(runs), runs, strict=True)}))


def _names(runs: list[Path]) -> list[str]:
    """Stems of the files, with their folders where stems agree, and numbers where even those do."""
    stems = Counter(path.stem for path in runs)
    names = [path.stem if stems[path.stem] == 1 else str(path.with_suffix("")) for path in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: i + 1].count(name)})" for i, name in enumerate(names)
    ]
