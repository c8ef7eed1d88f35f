"""The `bayesplat` command: its subcommands, and how refusals and interrupts end."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import bayesplat
from bayesplat._checks import BayesplatError
from bayesplat.cli import compare, demo, fit, predict, report, resume
from bayesplat.cli.console import note, one_line_warnings
from bayesplat.cli.device import keep_compiled


class CommandLine(TyperGroup):
    """A group whose misuse ends in one sentence on stderr and exit code 2, never in a traceback."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        """Run a command and exit."""
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        settings["standalone_mode"] = False
        try:
            with one_line_warnings():
                code = super().main(given, *rest, **settings)
        except Exception as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            note(f"Error: {refusal}")
            code = 2
        if code == 130:
            note("Interrupted: the command did not finish.")
        sys.exit(code or 0)


def _refusal(error: Exception) -> str | None:
    """The sentence of an error that the user can mend; none for a fault of ours."""
    if isinstance(error, BayesplatError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"Cannot use {error.filename}: {error.strerror or error}."
    # typer's own errors, whose classes have moved between its versions
    sentence = getattr(error, "format_message", None)
    if sentence is None:
        return None
    context = getattr(error, "ctx", None)
    words = " ".join(sentence().replace("Value error, ", "").split()).rstrip(".")
    return f"{words}; see {context.command_path} --help." if context else f"{words}."


app = typer.Typer(
    cls=CommandLine,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog=f"Example: {demo.EXAMPLE}",
)
for module, command in (
    (demo, demo.demo),
    (fit, fit.fit),
    (resume, resume.resume),
    (predict, predict.predict),
    (compare, compare.compare),
    (report, report.report),
):
    app.command(epilog=f"Example: {module.EXAMPLE}")(command)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"bayesplat {bayesplat.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")] = False,
) -> None:
    """Regression by splats: functions with structure at several scales, with uncertainty you can check."""


def main() -> None:
    """Entry point of the `bayesplat` script."""
    if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")  # as files are read and written
    with one_line_warnings():
        keep_compiled()
    app(prog_name="bayesplat")
