"""References: those of docs/references.bib, told in full, and every citation has one."""

import re
from pathlib import Path

import pytest

from bayesplat.report.references import (
    REFERENCES,
    bibtex,
    cited,
    parse,
    reference_list,
    with_citations,
    without_citations,
)

DOCS = (Path(__file__).parents[2] / "docs" / "references.bib").read_text("utf-8")


@pytest.mark.parametrize("key", REFERENCES)
def test_entries_are_those_of_the_docs(key):
    theirs = parse(DOCS)[key]
    assert REFERENCES[key].bibtex.split() == theirs.bibtex.split()
    assert REFERENCES[key].fields == theirs.fields
    assert bibtex([key]).count("{") == bibtex([key]).count("}")


def test_every_entry_of_the_docs_is_read():
    entries = parse(DOCS)
    assert len(entries) == DOCS.count("\n@")
    assert all({"author", "title", "year"} <= set(entry.fields) for entry in entries.values())


@pytest.mark.parametrize("key", REFERENCES)
def test_no_tex_is_left(key):
    text = re.sub("<[^>]*>", "", reference_list([key]))
    assert not re.search(r"[\\{}$]", text)
    assert REFERENCES[key].fields["year"] in text


def test_a_reference_reads_as_in_a_paper():
    text = re.sub("<[^>]*>", "", reference_list(["vehtari2021", "daniels2025splat", "kumar2019"])).split("\n")
    assert text[1] == "Mara Daniels and Philippe Rigollet (2025). Splat Regression Models. arXiv:2511.14042, ICLR 2026."
    assert text[2].endswith("Journal of Open Source Software 4(33), 1143, doi:10.21105/joss.01143.")
    assert "Aki Vehtari, Andrew Gelman, Daniel Simpson, Bob Carpenter and Paul-Christian Bürkner (2021)." in text[3]
    assert "an improved R-hat for assessing convergence of MCMC (with discussion). Bayesian Analysis 16(2)" in text[3]


def test_citations():
    text = "NUTS [[hoffman2014]], LOO [[vehtari2017, vehtari2024]], and a name [[of mine]] [[nobody1999]]"
    assert cited(text) == ["hoffman2014", "vehtari2017", "vehtari2024"]
    assert with_citations(text) == (
        "NUTS (Hoffman and Gelman 2014), LOO (Vehtari et al. 2017; Vehtari et al. 2024), and a name [[of mine]] "
        "[[nobody1999]]"
    )
    assert without_citations("a [[hoffman2014]], b") == "a, b"
