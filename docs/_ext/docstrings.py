"""The package's docstrings are plain text with `code` in backticks: this makes reStructuredText of them."""

import inspect
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

COMMENTED = re.compile(r"^    (\w+): [^#\n]+?  # (.+)$", re.MULTILINE)
"""A field of a class, and the comment behind it."""

SOURCES = re.findall(r"^@\w+\{(\w+),", (Path(__file__).parents[1] / "references.bib").read_text("utf-8"), re.MULTILINE)
KEY = re.compile(rf"\b({'|'.join(SOURCES)})\b")
"""Keys of sources, which become links as code does."""


def plain(text: str) -> str:
    """Escape what means something in reStructuredText and not in plain text; code in backticks stays code."""
    parts = re.split(r"(`[^`]+`)", text)
    for i, part in enumerate(parts):
        if i % 2:
            touches = re.match(r"\w", parts[i + 1])
            parts[i] = f"`{part}`" + ("\\ " if touches else "")
        else:
            escaped = re.sub(r"([\\*|]|_(?!\w))", r"\\\1", part)
            parts[i] = KEY.sub(r"``\1``", escaped)
    return "".join(parts)


def fields(kind: type) -> dict[str, str]:
    """Fields of a class that are explained by comments behind them."""
    try:
        return dict(COMMENTED.findall(inspect.getsource(kind)))
    except (OSError, TypeError):
        return {}


def translate(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place."""
    del app, name, options
    examples, blocks = [], []
    for block in "\n".join(lines).split("\n\n"):
        if block.lstrip().startswith(">>>"):
            blocks.append(f"@@{len(examples)}@@")
            examples.append(block)
        else:
            blocks.append(block)
    text = plain("\n\n".join(blocks))
    for i, example in enumerate(examples):
        text = text.replace(f"@@{i}@@", example)
    lines[:] = text.split("\n")
    if what == "class":
        lines += ["", *(f"- ``{field}``: {plain(comment)}" for field, comment in fields(obj).items()), ""]


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which the text of their class lists, and what tuples can do."""
    del app, what, skipped, options
    alias = (getattr(obj, "__doc__", None) or "").startswith("Alias for field number")
    return True if alias or name in {"count", "index"} else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both."""
    app.connect("autodoc-process-docstring", translate)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
