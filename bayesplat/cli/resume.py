"""`bayesplat resume`: from the work that a killed or interrupted fit kept to its posterior."""

from pathlib import Path
from typing import Annotated

import typer

from bayesplat._checks import require
from bayesplat.checkpoint import read_manifest
from bayesplat.cli.console import note, note_replaced, say
from bayesplat.cli.files import require_writable
from bayesplat.cli.fit import finish, kept_in
from bayesplat.flow.result import PointFit
from bayesplat.resume import resume as resume_run

EXAMPLE = "bayesplat resume run.checkpoint"


def resume(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Checkpoint, kept by fit.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(metavar="RUN.nc", help="For the posterior; beside the folder by default.", show_default=False),
    ] = None,
) -> None:
    """Go on with a fit that was killed or interrupted, to the result that it would have had."""
    place = folder.resolve()  # "." has no name
    out = place.with_name(f"{place.name.removesuffix('.checkpoint')}.nc") if out is None else out
    require_writable(out, ".nc")
    require(
        not out.resolve().is_relative_to(place),
        f"Expected --out outside {folder}, whose work is deleted once {out.name} is written, got {out}.",
    )
    read_manifest(folder)
    note(f"Going on with the work kept in {folder}.")
    note_replaced(out)
    with kept_in(folder, KeyboardInterrupt):
        result = resume_run(folder)
    if isinstance(result, PointFit):
        say(result)
    else:
        finish(result, place, out)
