"""Numbers, escapes and the words for every part of a specification."""

import re

import numpy as np
import pytest

import bayesplat as bs
from bayesplat.report.description import likelihood_words, mother_words, prior_words, shape_words, trend_words
from bayesplat.report.markup import Html, join, notice, prose, table, tag
from bayesplat.report.references import cited
from bayesplat.trend import TRENDS
from bayesplat.wording import beside, count, interval, listed, number

NUMBERS = [
    (number(0.0123456), "0.0123"),
    (number(1234567.0), "1230000"),
    (number(1.234e-9), "1.23e-09"),
    (number(0.0), "0"),
    (number(-5.0), "-5"),
    (number(np.nan), "not available"),
    (beside(2019.5372, 3.2), "2019.5"),
    (beside(-0.001, 1.0), "0.0"),
    (beside(1234.5, 4000.0), "1200"),
    (beside(3.0, 0.0), "3"),
    (beside(1700043200.0, 3000.0), "1700043200"),
    (beside(20260101.0, 30.0), "20260101"),
    (beside(2.04e7, 1e6), "2.04e+07"),
    (beside(1.00000000012, 3e-10), "1.00000000012"),
    (beside(0.0, 3e-10), "0"),
    (interval(1.7e9, 1.7e9 + 86400.0), "1700000000 to 1700086000"),
    (interval(17.123, 18.456), "17.1 to 18.5"),
    (interval(-3.0, 41.0), "-3 to 41"),
    (count(1, "datum"), "1 datum"),
    (count(0, "draw"), "0 draws"),
    (listed(["a"]), "a"),
    (listed(["a", "b", "c"]), "a, b and c"),
]


@pytest.mark.parametrize(("said", "expected"), NUMBERS)
def test_numbers(said, expected):
    assert said == expected


def test_markup_escapes_all_but_markup():
    assert tag("p", "<b>", Html("<i>x</i>"), class_='"') == '<p class="&quot;">&lt;b&gt;<i>x</i></p>'
    assert tag("img", alt="a", src=None) == '<img alt="a">'
    assert join(["&", 1], "<") == "&amp;<1"
    assert prose("see `<f>` and ` alone") == "see <code>&lt;f&gt;</code> and ` alone".replace("` alone", " alone")
    assert "<td>&lt;</td>" in table("c", ["a", "b"], [["r", "<"]])


def test_a_verdict_begins_with_its_outcome():
    assert "<strong>Passed. </strong>fine" in notice(True, "fine")
    assert "<strong>Warning. </strong>bad" in notice(False, "bad")


MOTHERS = [kind() for kind in (getattr(bs.mothers, name) for name in ("Gaussian", "Logistic", "Laplace", "Wendland"))]
PRIORS = [bs.Ridge(), bs.RegularizedHorseshoe(), bs.R2D2(), bs.StickBreaking(), bs.Flat(), bs.Repulsive(bs.Ridge(2.0))]
WORDS = [
    *map(mother_words, [*MOTHERS, bs.mothers.StudentT(7.0), bs.mothers.Box(order=3), bs.mothers.Mixed(tuple(MOTHERS))]),
    *(prior_words(prior, 12) for prior in PRIORS),
    *map(trend_words, TRENDS),
    *(shape_words(covariance, 3) for covariance in ("spherical", "diag", "full")),
    *(likelihood_words(kind(noise), 8) for kind in (bs.Normal, bs.StudentT) for noise in ("constant", "varying")),
]


def test_every_part_of_a_specification_has_words_of_its_own():
    assert len(set(WORDS)) == len(WORDS)
    assert [words for words in WORDS if re.search(r"[A-Za-z0-9]+\(.*=", words)] == []  # no repr
    assert all(cited(words) for words in map(prior_words, PRIORS[1:4], [12] * 3))
