"""A page read back: its elements in order, and whether every one of them is closed."""

from html.parser import HTMLParser
from typing import NamedTuple

INLINE = {"strong", "em", "code", "a", "span"}

VOID = {"img", "meta", "br", "link", "input", "hr"}


class Element(NamedTuple):
    """One start tag, and what was open around it."""

    name: str
    attributes: dict[str, str | None]
    around: tuple[str, ...]


class Document(HTMLParser):
    """All elements and the text between them."""

    def __init__(self, source: str):
        super().__init__()
        self.elements: list[Element] = []
        self.words: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append(Element(tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another element"
        if tag not in INLINE:
            self.words.append(("", " "))

    def handle_data(self, data):
        self.words.append((self.open[-1] if self.open else "", data))

    def all(self, *names: str) -> list[Element]:
        """Elements of these names, in order."""
        return [element for element in self.elements if element.name in names]

    @property
    def text(self) -> str:
        """Everything that is read, with single spaces."""
        return " ".join("".join(data for where, data in self.words if where != "style").split())

    def inside(self, name: str) -> list[str]:
        """Texts directly inside elements of one name."""
        return [data for where, data in self.words if where == name]
