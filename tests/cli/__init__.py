"""Tests of the command line."""

from typer.testing import CliRunner

from bayesplat.cli.app import app


def run(*arguments: object):
    """The result of one command."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
