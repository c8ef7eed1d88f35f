"""HTML from plain values: all is escaped unless it is markup already, so that no name in a file becomes code."""

import html
from collections.abc import Iterable, Sequence

VOID = {"img", "meta"}
"""Elements without content, and so without an end tag."""


class Html(str):
    """Text that is markup already and is not escaped again."""


def tag(element: str, *content: object, **attributes: object) -> Html:
    """One element. Content is escaped unless it is Html; `class_` stands for class, `aria_label` for aria-label."""
    named = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{html.escape(str(value))}"' for key, value in named.items())
    if element in VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{join(content)}</{element}>")


def join(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after the other, escaped unless they are Html."""
    return Html(between.join(part if isinstance(part, Html) else html.escape(str(part)) for part in parts))


def paragraph(*content: object) -> Html:
    """A paragraph."""
    return tag("p", *content)


def prose(text: str) -> Html:
    """A message of the package, in which backquotes mark code."""
    parts = text.split("`")
    return join(tag("code", part) if i % 2 and i < len(parts) - 1 else part for i, part in enumerate(parts))


def bullets(messages: Sequence[str]) -> Html:
    """An unordered list of messages; nothing for none."""
    return tag("ul", join((tag("li", prose(message)) for message in messages), "\n")) if messages else Html("")


def section(key: str, title: str, *content: object) -> Html:
    """A section with a heading that the table of contents leads to."""
    heading = tag("h2", title, id=f"{key}-title")
    return tag("section", "\n", heading, "\n", join(content, "\n"), "\n", id=key, aria_labelledby=f"{key}-title")


def table(
    caption: object, head: Sequence[object], rows: Sequence[Sequence[object]], numeric: Iterable[int] = ()
) -> Html:
    """A table whose first column names the rows; columns in `numeric` are set to the right. It scrolls if too wide."""
    numeric = set(numeric)

    def kind(j: int) -> str | None:
        return "number" if j in numeric else None

    header = tag("tr", *(tag("th", name, scope="col", class_=kind(j)) for j, name in enumerate(head)))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell, class_=kind(j)) for j, cell in enumerate(row) if j))
        for row in rows
    ]
    whole = tag(
        "table",
        tag("caption", tag("span", caption)),
        "\n",
        tag("thead", header),
        "\n",
        tag("tbody", "\n", join(body, "\n"), "\n"),
    )
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=_plain(caption))


def _plain(text: object) -> str:
    """Text of a caption as a label: its first sentence."""
    return str(text).split(". ")[0].rstrip(".")


def notice(good: bool, title: str, *content: object) -> Html:
    """A framed verdict: its first word says whether all is well, its frame and colour only repeat it."""
    label = tag("strong", "Passed. " if good else "Warning. ")
    heading = tag("p", label, title, class_="verdict")
    return tag("div", heading, *content, class_="notice passed" if good else "notice warning", role="note")


def flag(words: str) -> Html:
    """A mark in a cell whose value fails: in words, and bold."""
    return tag("strong", f"! {words}", class_="flag")
