"""The page is complete in itself, well-formed, accessible, and says what the reports say; files are written whole."""

import os
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayesplat as bs
from bayesplat import plots
from bayesplat.diagnostics.pool import pooled
from bayesplat.report import report
from bayesplat.report.findings import active_fact, find
from bayesplat.report.markup import Html
from bayesplat.report.page import CONTENTS, page
from bayesplat.report.pictures import WORDS, picture
from bayesplat.report.splats import Splats, _along, _row, splat_table, splats
from tests.made_up import INPUTS, OUTPUT, K, N, posterior

from .made import CASES, DRAWN, HOSTILE, made

cases = pytest.mark.parametrize("case", CASES)


# ---------------------------------------------------------------- form


@cases
def test_the_page_needs_nothing_else(document, source, case):
    read = document(case)
    assert read.all("script", "link", "iframe", "object", "base", "form") == []
    assert all(image.attributes["src"].startswith("data:image/png;base64,") for image in read.all("img"))
    assert all(re.match(r"#|https://(doi|arxiv)\.org/", link.attributes["href"]) for link in read.all("a"))
    assert not re.search(r"@import|url\(", "".join(read.inside("style")))
    assert not any(name.startswith("on") for element in read.elements for name in element.attributes)
    assert len(source(case)) < 3e6


@cases
def test_the_page_is_accessible(document, case):
    read = document(case)
    (html,) = read.all("html")
    assert html.attributes["lang"] == "en"
    levels = [int(element.name[1]) for element in read.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) == 1
    assert all(len(image.attributes["alt"]) > 30 and "figure" in image.around for image in read.all("img"))
    assert len(read.all("figcaption")) == len(read.all("figure")) == len(read.all("img"))
    assert all(cell.attributes["scope"] in ("row", "col") for cell in read.all("th"))
    assert len(read.all("caption")) == len(read.all("table")) > 0
    ids = [element.attributes["id"] for element in read.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    targets = [link.attributes["href"] for link in read.all("a")]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    assert {f"#{key}" for key in CONTENTS} <= set(targets)
    for element in read.elements:
        label = element.attributes.get("aria-labelledby")
        assert label is None or label in ids


@cases
def test_there_is_no_loose_number(document, case):
    messages = r"sigma \(nan\)|k-hat is inf"  # of the reports themselves
    text = re.sub(messages, "", document(case).text.replace("typical=None", ""))
    assert not re.search(r".{30}\b(nan|inf|None)\b", text)


# ---------------------------------------------------------------- content


@cases
def test_all_sections_and_the_users_names_are_there(document, case):
    read, names = document(case), CASES[case].get("names", (*INPUTS[: CASES[case].get("d", 1)], OUTPUT))
    assert [word for word in read.inside("h2") if word.strip()] == list(CONTENTS.values())
    assert all(" ".join(name.split()) in read.text for name in names)
    (title,) = read.inside("title")
    assert title.startswith(f"Report on {names[-1]} given ")
    assert f"{N} data" in read.text


@cases
def test_pictures(document, case):
    ids = [figure.attributes["id"] for figure in document(case).all("figure")]
    assert "is left out: it could not be drawn" not in document(case).text  # not for a formula among the names either
    if case in DRAWN:
        assert ids == ["figure-bands", "figure-splats", "figure-checks", "figure-prior-posterior"]


def test_reports_are_told_in_full(document):
    post, text = made(), document("one input").text
    for message in (*post.convergence().failures, *post.overfitting().signs):
        assert " ".join(message.replace("`", "").split()) in text
    for label, meaning in post.overfitting().table["meaning"].items():
        assert str(label).startswith("sensitivity") or str(meaning) in text
    assert f"In-sample coverage {_covered(post):.0%} of the {N} data" in text


def _covered(post):
    y = post.data["observed_data"]["y"].values
    band = post.predict(post.data["constant_data"]["x"].values, kind="observation")
    return np.mean((band.lower <= y) & (y <= band.upper))


def test_a_failure_is_said_in_words_and_a_pass_too(document):
    read = document("smc")
    verdicts = [word for word in read.inside("strong") if word in ("Warning. ", "Passed. ")]
    assert len(verdicts) == 4
    assert "! not available" not in read.text
    assert "Only one chain ran" in document("few draws of boxes, interrupted").text
    assert "Warning. The run was interrupted" in document("few draws of boxes, interrupted").text
    assert "interrupted before" not in read.text


SAID = {
    "one input": [
        "No-U-Turn sampler (Hoffman and Gelman 2014)",
        "among weighted candidates (Tjelmeland 2004) and interweave the shared scales",
        "2 chains",
        "40 warm-up steps and 25 kept draws",
    ],
    "two inputs, stacked": [
        "expects 2 of 5 splats to matter",
        "Chains disagreed and were weighted by stacking (Yao et al. 2022), with weights 0.90, 0.10",
        "weights of the chains, by stacking 0.90, 0.10",
        "correlations between inputs",
        "LKJ(1) prior (Lewandowski et al. 2009)",
    ],
    "three inputs": ["R2-D2 prior (Zhang et al. 2022)", "repulsion (Petralia et al. 2012)"],
    "Student-t noise that varies, by svi": [
        "Student-t noise with 5 degrees of freedom whose log scale varies",
        "a low-rank Gaussian in unconstrained coordinates",
        "Kucukelbir",
        "Pareto k-hat",
        "range over the data",
    ],
    "smc": [
        "2 independent populations of 25 draws",
        "The log evidence was estimated as -150.18",
        "stick-breaking prior",
    ],
    "smc alone": ["estimated as -150.00 (of a single run, without a standard error)"],
    "laplace": ["nearest to the ends of 2 runs of a Wasserstein-Fisher-Rao gradient flow", "practically flat prior"],
    "few draws of boxes, interrupted": [
        "1 chain of 4 draws",
        "among weighted candidates (Tjelmeland 2004), slide the edges of splats along the data and interweave the "
        "shared scales",
        "Prior sensitivity was not judged",
    ],
    "a constant input": ["scatter about one location for all inputs, with", "1013.25 throughout"],
    "nothing shared": ["redraw single splats among weighted candidates (Tjelmeland 2004):"],
    "hostile names": ["seed 7"],
}


@cases
def test_settings_and_methods_are_those_of_the_run(document, case):
    text = document(case).text
    assert [words for words in SAID[case] if words not in text] == []
    assert text.count(str(made(**CASES[case]).spec.prior)) == 1
    assert "numpyro 0.22.0" in text
    assert "NumPyro 0.22.0 (Phan et al. 2019)" in text


def test_unknown_entries_of_a_newer_file_are_shown_under_their_names(monkeypatch):
    monkeypatch.setattr(sys.modules["bayesplat.report.page"], "picture", lambda *a: Html(""))
    monkeypatch.setattr(sys.modules["bayesplat.report.trust"], "picture", lambda *a: Html(""))
    assert "brand_new</th><td>yes" in page(made(brand_new=True))


# ---------------------------------------------------------------- names that try to become code


def test_hostile_names_are_text(document, source):
    read, text = document("hostile names"), source("hostile names")
    assert "<script" not in text
    assert "alert(1)</script>" in read.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(read.all("img")) == len(read.all("figure"))
    assert read.all("b") == []
    assert "{y} <b>&amp;" in read.text
    assert "as a function of <script>alert(1)</script>, " in read.text
    assert HOSTILE[2] in "".join(read.inside("h1"))


def test_words_name_the_inputs_that_are_drawn():
    found = find(made())
    words = WORDS["bands"](found._replace(post=posterior(9, still=(1,))))
    assert words.alt.startswith("f along depth (km), porosity (%), input 3, input 4, input 5 and input 6, averaged")
    assert "along 6 of 9 inputs (depth (km), porosity (%), input 3, input 4, input 5 and input 6)" in words.caption
    assert "along each input" in WORDS["bands"](found._replace(post=posterior(3))).caption


def test_intervals_without_known_errors_are_said_to_be_so():
    found = find(made())
    assert "errors" not in "".join(WORDS["bands"](found))
    found.post.data["constant_data"]["y_err"] = ("obs", np.ones(N))
    words = WORDS["bands"](found)
    assert words.alt.endswith("interval of new data, known errors aside.")
    assert words.caption.endswith("90% of new observations, noise included, known errors aside.")


def test_a_picture_that_cannot_be_drawn_is_left_out_and_the_page_says_so(monkeypatch):
    def fail(post):
        raise RuntimeError("no <ink>")

    monkeypatch.setattr(plots, "bands", fail)
    words = picture(find(made()), "bands")
    assert words == "<p>Figure 1 is left out: it could not be drawn (RuntimeError: no &lt;ink&gt;).</p>"


@pytest.mark.parametrize(("still", "maps"), [((), True), ((0,), False), ((0, 1), False)])
def test_the_first_figure_is_called_what_it_shows(still, maps):
    words = WORDS["bands"](find(made(2, still=still)))
    assert words.alt.startswith("Two maps over") == maps
    assert words.caption.startswith("Partial dependence") != maps
    assert maps or f"f along {INPUTS[1 if still == (0,) else 0]}, averaged" in words.alt


# ---------------------------------------------------------------- files


@pytest.fixture
def quick(monkeypatch):
    """A page without the work."""
    monkeypatch.setattr(sys.modules["bayesplat.report.page"], "page", lambda post: "<p>é</p>")


def test_the_file_is_written_whole(quick, tmp_path):
    report(made(), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_bytes() == "<p>é</p>".encode()
    assert os.listdir(tmp_path) == ["r.html"]


def test_a_failed_write_keeps_the_old_file(quick, tmp_path, monkeypatch):
    (tmp_path / "r.html").write_text("old")

    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(bs.BayesplatError, match=r"r\.html: No space left"):
        report(made(), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]


def test_bad_places_are_refused_before_the_work(tmp_path, monkeypatch):
    def work(post):
        raise AssertionError("the work began")

    monkeypatch.setattr(sys.modules["bayesplat.report.page"], "page", work)
    with pytest.raises(bs.BayesplatError, match="no folder"):
        report(made(), tmp_path / "nowhere" / "r.html")
    with pytest.raises(bs.BayesplatError, match="got the folder"):
        report(made(), tmp_path)
    with pytest.raises(bs.BayesplatError, match=r"ends in \.html, got r\.pdf"):
        report(made(), tmp_path / "r.pdf")
    with pytest.raises(bs.BayesplatError, match=r"Expected a Posterior, .* got int"):
        report(3, tmp_path / "r.html")  # pyright: ignore


def test_a_folder_that_cannot_be_written_is_named(quick, tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):  # root may write anywhere: let the system call say what it says to others
        monkeypatch.setattr("pathlib.Path.open", _refuse)
    with pytest.raises(bs.BayesplatError, match=r"Cannot write .*r\.html: Permission denied"):
        report(made(), tmp_path / "r.html")


def _refuse(path, mode):
    raise PermissionError(13, "Permission denied")


def test_findings_go_by_the_weights_of_chains():
    post = made(weights=(1.0, 0.0))
    draws = post.data["posterior"]
    draws["amplitude"].values[1], draws["contribution"].values[1] = 1e9, 0.0
    found = find(post)
    np.testing.assert_array_equal(np.unique(found.noise), np.unique(draws["sigma"].values[0]))
    assert (found.active > 0).all()
    assert np.abs(splats(post).heights).max() < 1e6


def test_the_noise_of_a_report_is_its_sd():
    post = made(likelihood=bs.StudentT(df=5.0))
    sigma = pooled(post.data, "posterior")["sigma"].values
    np.testing.assert_allclose(find(post).noise, sigma * np.sqrt(5 / 3))


def test_the_interval_of_active_splats_leaves_its_tails_out():
    assert "interval 5 to 95" in active_fact(find(made())._replace(active=np.arange(101)))[1]


@pytest.mark.parametrize(
    ("name", "unit"),
    [("mass (kg)", " kg"), ("heat flow (W/m²) ", " W/m²"), ("log(price)", ""), ("f(x)", ""), ("y", "")],
)
def test_only_brackets_that_stand_apart_hold_a_unit(name, unit):
    post = made()
    assert find(replace(post, names=(*post.names[:-1], name))).unit == unit


def test_a_table_of_the_strongest_splats_says_so(monkeypatch):
    found = find(made())
    assert "The splats of the draw" in splat_table(found)
    monkeypatch.setattr(sys.modules["bayesplat.report.splats"], "ROWS", 2)
    assert "The 2 strongest splats of the draw" in splat_table(found)


def one_splat(post, slot, height, elsewhere=0.0):
    """The posterior with one splat in every draw: in slot 0 of the best draw and in another of the rest."""
    draws = post.data["posterior"].to_dataset().copy(deep=True)
    draws["A"].values[:], draws["b"].values[:], draws["amplitude"].values[:] = 0.5 * np.eye(post.n_inputs), 5.0, 1e-8
    draws["b"].values[..., 1:, -1] += elsewhere * np.random.default_rng(0).normal(size=draws.b.shape[:2])[..., None]
    lp = post.data["sample_stats"]["lp"].values
    best = np.unravel_index(lp.argmax(), lp.shape)
    draws["amplitude"].values[..., slot] = height
    draws["amplitude"].values[best] = [height, 1e-8, 1e-8, 1e-8, 1e-8]
    draws["v"].values[:] = draws["amplitude"].values * (2 * np.pi) ** 0.5 * 0.5
    tree = post.data.copy()
    tree["posterior"] = xr.DataTree(draws)
    return replace(post, data=tree)


G, B = bs.mothers.Gaussian(), bs.mothers.Box(64)


@pytest.mark.parametrize(("mothers", "slot", "share"), [((G, B), 1, 0), ((G, G, B), 1, 1), ((G, B), 2, 1)])
def test_a_splat_of_another_mother_is_not_the_same_splat(mothers, slot, share):
    """A box at the place of a Gaussian, of its size, is not found again as the Gaussian; a Gaussian elsewhere is."""
    (present,) = splats(one_splat(made(model=bs.SplatModel(K, mother=bs.mothers.Mixed(mothers))), slot, 30.0)).present
    assert present.sum() == (present.size if share else 1)


def test_a_weak_splat_of_all_draws_is_found_in_all():
    post = made()
    found = splats(one_splat(post, 1, 0.04 * post.table.y.std()))
    assert found.present.size
    assert found.present.all()


def test_where_splats_are_along_a_constant_input_does_not_matter():
    post = one_splat(made(d=2, still=(1,)), 1, 30.0, elsewhere=9.0)
    post.data["posterior"]["b"].values[..., 1] += 1013.25 - 5.0  # where that input is
    found = splats(post)
    assert found.present.size
    assert found.present.all()
    assert splats(one_splat(made(d=2), 1, 30.0, elsewhere=9.0)).present.mean() < 0.3


def test_heights_are_those_where_a_splat_is_found():
    there = np.arange(60) < 30
    heights = np.where(there, 10.0 + 0.01 * np.arange(60), 0.0)[None]
    shown = Splats(np.ones((1, 1, 1)), np.zeros((1, 1)), np.ones(1), np.ones(1, int), heights, there[None], False)
    *_, share, height = _row(shown, 0)
    assert share == "50%"
    assert height.startswith("10.1")


def test_sheared_splats_are_compared_along_some_inputs_by_their_covariance():
    rng = np.random.default_rng(0)
    A, b = np.tril(rng.normal(size=(6, 3, 3))), rng.normal(size=(6, 3))
    L, along = _along(np.array([True, False, True]), A, b)
    np.testing.assert_allclose(L @ np.swapaxes(L, -1, -2), (A @ np.swapaxes(A, -1, -2))[:, ::2, ::2], atol=1e-12)
    assert (np.diagonal(L, axis1=-2, axis2=-1) > 0).all()
    np.testing.assert_array_equal(along, b[:, ::2])


def test_the_extent_of_a_tilted_splat_is_its_sd_along_each_input():
    shown = Splats(np.array([[[1.0, 0.0], [2.0, 1.0]]]), *[np.zeros(1)] * 5, False)
    np.testing.assert_allclose(shown.extent, [[1.0, 5**0.5]])


def test_the_table_holds_the_splats_of_the_picture():
    post = made()
    shown = splats(post)
    assert len(shown.b) == K - 1  # one is negligible
    lp = post.data["sample_stats"]["lp"].values
    chain, draw = np.unravel_index(lp.argmax(), lp.shape)
    best = post.data["posterior"].to_dataset().isel(chain=chain, draw=draw)
    for amplitude in shown.amplitude:
        assert np.abs(best["amplitude"].values - amplitude).min() < 1e-9 * abs(amplitude)
    assert shown.present[:, chain * lp.shape[1] + draw].all()  # each is found in its own draw
