"""What the commands say: results on stdout; notes, warnings and refusals on stderr. No colours when piped."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bayesplat.cli.device import told

STYLES = {"!": "yellow", "Warning:": "yellow", "Error:": "bold red", "Converged": "green", "No sign": "green"}
"""Style of a line by its first characters."""


def say(text: object = "") -> None:
    """Print results."""
    _print(Console(), str(text))


def note(text: object) -> None:
    """Print what is not a result."""
    _print(Console(stderr=True), str(text))


def note_replaced(out: Path) -> None:
    """Say beforehand that a file will be lost."""
    if out.exists():
        note(f"{out} exists: it will be replaced.")


def _print(console: Console, text: str) -> None:
    for line in text.split("\n"):
        style = next((style for start, style in STYLES.items() if line.startswith(start)), "")
        # a file gets every line whole; a terminal breaks lines between words
        console.print(Text(line, style), soft_wrap=not console.is_terminal)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Show each distinct warning once, as one line, instead of Python's two with a file name."""
    seen: set[str] = set()

    def show(message: Warning | str, *rest: Any, **more: Any) -> None:
        words = told(str(message))
        if words not in seen:
            seen.add(words)
            note(f"Warning: {words}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield
