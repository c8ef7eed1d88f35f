"""The directive `commands`: what every command of `bayesplat` says to `--help`, asked at build time."""

import typer
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from typer.testing import CliRunner

from bayesplat.cli.app import app as program

WIDTH = "84"


def help_of(*command: str) -> str:
    """The text of `bayesplat COMMAND --help`, without the spaces that fill its lines."""
    said = CliRunner().invoke(program, [*command, "--help"], env={"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH})
    return "\n".join(line.rstrip() for line in said.output.replace("Usage: root", "Usage: bayesplat").splitlines())


class Commands(Directive):
    """One section for each command."""

    def run(self) -> list[nodes.Node]:
        """Build the sections."""
        sections = []
        for name in typer.main.get_command(program).commands:
            title = f"bayesplat {name}"
            section = nodes.section("", nodes.title("", title), ids=[nodes.make_id(title)], names=[title])
            text = help_of(name).strip("\n")
            section += nodes.literal_block(text, text, language="text")
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
