"""`bayesplat report`: a posterior to one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from bayesplat.cli.console import note, note_replaced
from bayesplat.cli.files import require_writable
from bayesplat.regression import load
from bayesplat.report import report as write_report

EXAMPLE = "bayesplat report run.nc --out report.html"


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN.nc", help="Posterior, written by fit.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(metavar="REPORT.html", help="File for the page.", show_default="RUN.html beside RUN.nc"),
    ] = None,
) -> None:
    """Write one HTML page: findings, pictures, checks, settings, and text for a methods section."""
    if out is not None:
        require_writable(out, ".html", (run,))
    post = load(run)
    if out is None:
        out = run.with_suffix(".html")
        require_writable(out, ".html", (run,))
    note_replaced(out)
    write_report(post, out)
    note(f"The report on {post.names[-1]!r} is in {out}; any browser opens it.")
