"""The top of the page: can the fit be trusted, and its main numbers."""

from bayesplat.report.findings import (
    Findings,
    active_fact,
    convergence_verdict,
    coverage_fact,
    loo_fact,
    noise_fact,
    overfitting_verdict,
)
from bayesplat.report.markup import Html, join, notice, paragraph, tag
from bayesplat.report.trust import CONVERGENCE, OVERFITTING

FACTS = {
    "Splats at work": active_fact,
    "Noise sd": noise_fact,
    "In-sample coverage": coverage_fact,
    "LOO score": loo_fact,
}


def summary(found: Findings) -> list[Html]:
    """Verdicts first, since all that follows depends on them, then the numbers asked for first."""
    facts = join((_fact(name, *words(found)) for name, words in FACTS.items()), "\n")
    return [_verdicts(found), tag("dl", "\n", facts, "\n", class_="facts")]


def _verdicts(found: Findings) -> Html:
    """Did it run to its end, converge, overfit; the reasons are further down."""
    parts = []
    if found.post.info.get("interrupted"):
        words = paragraph("Only the draws made until then are kept.")
        parts.append(notice(False, "The run was interrupted before its end.", words))
    parts.append(_verdict(found.convergence.ok, convergence_verdict(found), CONVERGENCE))
    parts.append(_verdict(found.overfitting.ok, overfitting_verdict(found), OVERFITTING))
    return join(parts, "\n")


def _verdict(good: bool, words: str, where: tuple[str, str]) -> Html:
    key, title = where
    link = paragraph("What, and what to do: see ", tag("a", title, href=f"#{key}"))
    return notice(good, words, *([] if good else [link]))


def _fact(name: str, head: str, words: str) -> Html:
    """A number, large, and what it is."""
    return tag("div", tag("dt", name), tag("dd", tag("strong", head), " ", words))
