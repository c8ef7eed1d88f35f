"""The page as a whole: its sections in order, and the file they go to."""

import os
import platform
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from bayesplat._checks import BayesplatError, require
from bayesplat.atomic import write_whole
from bayesplat.report.findings import Findings, find
from bayesplat.report.markup import Html, join, paragraph, section, tag
from bayesplat.report.methods import methods
from bayesplat.report.pictures import picture
from bayesplat.report.settings import settings
from bayesplat.report.splats import splat_table
from bayesplat.report.style import CSS
from bayesplat.report.summary import summary
from bayesplat.report.trust import trust
from bayesplat.results import Posterior
from bayesplat.wording import count, listed

CONTENTS = {
    "summary": "Summary",
    "function": "What the data say",
    "splats": "The splats",
    "trust": "Can it be trusted?",
    "settings": "What was fitted",
    "methods": "For a methods section",
}
"""Sections by key."""

METHODS = {
    "nuts": "NUTS",
    "smc": "sequential Monte Carlo",
    "svi": "variational inference",
    "laplace": "Laplace's method",
}


def report(post: object, path: str | os.PathLike[str]) -> None:
    """Write one HTML page about `post`, a Posterior: findings, pictures, checks, settings, text for a methods section.

    The page needs nothing else: no other file, no network, no script. It is written whole or not at all. Raises
    BayesplatError for another object, and for a place that cannot be written.
    """
    if not isinstance(post, Posterior):
        kind = type(post).__name__
        raise BayesplatError(f"Expected a Posterior, from SplatModel.sample or bayesplat.load, got {kind}.")
    target = Path(path)
    # before the work, not after
    require(target.parent.is_dir(), f"There is no folder {target.parent} to write {target.name} in; make it first.")
    require(not target.is_dir(), f"Expected a file to write to, got the folder {target}.")
    ending = f"Expected a file that ends in .html, got {target.name}; a browser prints the page to other formats."
    require(target.suffix.lower() in (".html", ".htm"), ending)
    text = page(post)
    write_whole(target, lambda beside: beside.write_text(text, "utf-8", "replace"))


def page(post: Posterior) -> str:
    """The page as text."""
    found = find(post)
    title = f"{post.names[-1]} given {listed(list(post.names[:-1]))}"
    head = tag(
        "head",
        "\n",
        tag("meta", charset="utf-8"),
        "\n",
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        "\n",
        tag("title", f"Report on {title}"),
        "\n",
        tag("style", Html(CSS)),
        "\n",
    )
    body = tag("body", "\n", _header(found, title), "\n", _contents(), "\n", _main(found), "\n", _footer(), "\n")
    return "<!DOCTYPE html>\n" + tag("html", "\n", head, "\n", body, "\n", lang="en") + "\n"


def _header(found: Findings, title: str) -> Html:
    method = found.post.info["method"]
    drawn = f"{count(found.chains, 'chain')} of {count(found.draws, 'draw')} by {METHODS.get(method, method)}"
    return tag(
        "header",
        tag("h1", f"Report on {title}"),
        tag("p", f"Bayesian splat regression, {found.n} data, {drawn}. Report of {_today()}.", class_="meta"),
    )


def _contents() -> Html:
    links = (tag("li", tag("a", title, href=f"#{key}")) for key, title in CONTENTS.items())
    return tag("nav", tag("ol", *links), aria_label="Contents")


def _main(found: Findings) -> Html:
    parts = {
        "summary": summary(found),
        "function": [picture(found, "bands")],
        "splats": [picture(found, "splats"), splat_table(found)],
        "trust": trust(found),
        "settings": settings(found),
        "methods": methods(found),
    }
    sections = [section(key, title, *parts[key]) for key, title in CONTENTS.items()]
    return tag("main", "\n", join(sections, "\n\n"), "\n")


def _footer() -> Html:
    made = f"bayesplat {version('bayesplat')} under Python {platform.python_version()}"
    words = f"Written by {made} on {_today()}. The page is complete in itself."
    return tag("footer", paragraph(words))


def _today() -> str:
    today = datetime.now().astimezone()
    return f"{today.day} {today:%B %Y}"
