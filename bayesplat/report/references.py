"""Citations and the list of references, made from BibTeX."""

import re
from typing import NamedTuple

from bayesplat.report.bibliography import BIBTEX
from bayesplat.report.markup import Html, join, tag

ENTRY = re.compile(r"^@\w+\{(\w+),\n.*?^\}", re.DOTALL | re.MULTILINE)
FIELD = re.compile(r"^  (\w+) *= \{(.*?)\},?$(?=\n  \w+ *= \{|\n\})", re.DOTALL | re.MULTILINE)
CITATION = re.compile(r" ?\[\[(\w+(?:, ?\w+)*)\]\]")

PLAIN = {"{\\'e}": "é", '{\\"u}': "ü", "{\\aa}": "å", "$\\widehat{R}$": "R-hat", "---": "—", "--": "–"}
"""What stands for TeX in the entries; braces go last."""


class Reference(NamedTuple):
    """One entry."""

    bibtex: str
    fields: dict[str, str]  # without TeX

    @property
    def authors(self) -> list[tuple[str, str]]:
        """Surnames and first names."""
        names = [name.partition(", ") for name in self.fields["author"].split(" and ")]
        return [(last, first) for last, _, first in names]

    @property
    def citation(self) -> str:
        """Author and year: Hoffman and Gelman 2014."""
        last = [name for name, _ in self.authors]
        who = f"{last[0]} et al." if len(last) > 2 else " and ".join(last)
        return f"{who} {self.fields['year']}"


def _plain(text: str) -> str:
    for tex, plain in PLAIN.items():
        text = text.replace(tex, plain)
    return " ".join(re.sub(r"[{}]", "", text).split())


def parse(bibtex: str) -> dict[str, Reference]:
    """Every entry, by key."""
    found = {}
    for match in ENTRY.finditer(bibtex):
        fields = {name: _plain(value) for name, value in FIELD.findall(match[0])}
        found[match[1]] = Reference(match[0], fields)
    return found


REFERENCES = parse(BIBTEX)


def cited(text: str) -> list[str]:
    """Keys of the references that a text cites, sorted."""
    keys = {key for match in CITATION.finditer(text) for key in re.split(", ?", match[1])}
    return sorted(keys & set(REFERENCES))


def with_citations(text: str) -> str:
    """The text with (Author year) for every [[key]]."""

    def words(match: re.Match[str]) -> str:
        keys = re.split(", ?", match[1])
        if not set(keys) <= set(REFERENCES):
            return match[0]
        return f" ({'; '.join(REFERENCES[key].citation for key in keys)})"

    return CITATION.sub(words, text)


def without_citations(text: str) -> str:
    """The text without them."""
    return CITATION.sub("", text)


def reference_list(keys: list[str]) -> Html:
    """References as a list, in the order of their authors."""
    chosen = sorted((REFERENCES[key] for key in keys), key=lambda one: one.citation.lower())
    return tag("ul", "\n", join((tag("li", _entry(one)) for one in chosen), "\n"), "\n", class_="references")


def bibtex(keys: list[str]) -> str:
    """The entries as BibTeX."""
    return "\n\n".join(REFERENCES[key].bibtex for key in keys)


def _entry(one: Reference) -> Html:
    fields = one.fields
    names = [f"{first} {last}" for last, first in one.authors]
    authors = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    venue = fields.get("journal") or fields.get("booktitle") or fields.get("institution")
    place = [tag("em", venue)] if venue else []
    if "volume" in fields:
        place.append(Html(f" {fields['volume']}" + (f"({fields['number']})" if "number" in fields else "")))
    elif "number" in fields:
        place.append(join([", ", fields["number"]]))
    if "pages" in fields:
        place.append(join([f", {fields['pages']}"]))
    parts = [join([f"{authors} ({fields['year']}). {fields['title']}. "]), *place, *_links(fields, bool(place))]
    return join([*parts, "."])


def _links(fields: dict[str, str], after: bool) -> list[Html]:
    """Where the text is, and a note if there is one."""
    parts = []
    if "eprint" in fields:
        number = fields["eprint"]
        parts.append(tag("a", f"arXiv:{number}", href=f"https://arxiv.org/abs/{number}"))
    if "doi" in fields:
        parts.append(tag("a", f"doi:{fields['doi']}", href=f"https://doi.org/{fields['doi']}"))
    if "note" in fields:
        parts.append(join([fields["note"]]))
    joined = join(parts, ", ")
    return [join([", " if after else "", joined])] if parts else []
