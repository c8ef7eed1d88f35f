"""Sources are cited by key, as `vehtari2017`: their list shows the keys, and code that is a key links to its source."""

from collections.abc import Iterable, Iterator

from docutils import nodes
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.unsrt import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx.application import Sphinx

PAGE = "references"


class KeyLabels(BaseLabelStyle):
    """Labels that are the keys themselves."""

    def format_labels(self, sorted_entries: list[Entry]) -> Iterator[str]:
        """One label for each entry."""
        return (entry.key for entry in sorted_entries)


class KeyStyle(Style):
    """Plain entries under their keys, sorted by them."""

    default_label_style = KeyLabels

    def sort(self, entries: Iterable[Entry]) -> list[Entry]:
        """By key."""
        return sorted(entries, key=lambda entry: entry.key)


def with_formulas(children: list[nodes.Node]) -> list[nodes.Node]:
    """The parts of a text with what stands between dollars as formulas, be it in several parts."""
    found, formula = [], None
    for child in children:
        if "$" not in child.astext():
            if formula is None:
                found.append(child)
            else:
                formula += child.astext()
            continue
        for i, piece in enumerate(child.astext().split("$")):
            if i and formula is not None:
                found.append(nodes.math("", formula))
                formula = None
            elif i:
                formula = ""
            if formula is None:
                found.append(nodes.Text(piece))
            else:
                formula += piece
    return found


def finish(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Link every piece of code that is the key of a source, and show the formulas in titles of sources as such."""
    keys = app.env.get_domain("cite").bibdata.data.entries
    for paragraph in [part for entry in doctree.findall(nodes.citation) for part in entry.findall(nodes.paragraph)]:
        paragraph[:] = with_formulas(paragraph.children)
    for literal in list(doctree.findall(nodes.literal)):
        key = literal.astext()
        if key in keys and not isinstance(literal.parent, nodes.reference):
            where = f"{app.builder.get_relative_uri(page, PAGE)}#{key}" if page != PAGE else f"#{key}"
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), internal=True, refuri=where))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the style and the links."""
    register_plugin("pybtex.style.formatting", "keys", KeyStyle)
    app.connect("doctree-resolved", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
