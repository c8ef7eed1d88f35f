"""Can the fit be trusted? Convergence, overfitting and the say of the prior, in tables and in words."""

import math

import numpy as np

from bayesplat._lazy import pd
from bayesplat.diagnostics.convergence import (
    APPROXIMATE,
    BFMI_LIMIT,
    ESS_LIMIT,
    EVIDENCE_LIMIT,
    KHAT_LIMIT,
    RHAT_LIMIT,
    Convergence,
)
from bayesplat.diagnostics.sensitivity import LIMIT
from bayesplat.report.findings import Findings, convergence_verdict, overfitting_verdict
from bayesplat.report.markup import Html, bullets, flag, join, notice, paragraph, prose, table, tag
from bayesplat.report.pictures import picture
from bayesplat.wording import UNKNOWN, number

SENSITIVITY_ROWS = "sensitivity of f to "
"""Rows of the overfitting report that the table of sensitivity holds in full."""

CONVERGENCE = ("convergence", "Did the sampler converge?")
OVERFITTING = ("overfitting", "Does the fit follow the noise?")
"""Keys and titles of the parts that the summary points to."""

BLOCKS = {
    "v": "prior on amplitudes (v)",
    "A": "prior on lengths and shapes (A)",
    "b": "repulsion between splats (b)",
    "noise": "prior on the noise",
    "likelihood": "likelihood: the data",
}


def trust(found: Findings) -> list[Html]:
    """All reports, each with its verdict first."""
    return [
        *_convergence(found),
        *_overfitting(found),
        *_sensitivity(found),
        tag("h3", "Checks at a glance"),
        picture(found, "checks"),
        tag("h3", "What the data taught"),
        picture(found, "prior_posterior"),
    ]


def _heading(part: tuple[str, str]) -> Html:
    key, title = part
    return tag("h3", title, id=key)


def _convergence(found: Findings) -> list[Html]:
    """Did the sampler converge?"""
    report = found.convergence
    parts = [_heading(CONVERGENCE)]
    parts.append(notice(report.ok, convergence_verdict(found), bullets(report.failures)))
    if not report.table.empty:
        parts.append(_statistics(report.table))
    caption = f"Statistics of the {'approximation' if report.method in APPROXIMATE else 'sampler'} ({report.method})."
    if rows := [*_sampler_rows(report), *_weight_rows(found)]:
        parts.append(table(caption, ["statistic", "value", "should be"], rows, numeric=(1,)))
    return [*parts, *(paragraph(prose(words)) for words in report.notes)]


def _statistics(statistics: "pd.DataFrame") -> Html:
    """R-hat and effective draws, failures marked in words."""
    values = statistics[["r_hat", "ess_bulk", "ess_tail"]].to_numpy().tolist()
    rows = [
        [
            label,
            _judged(f"{r_hat:.3f}", r_hat <= RHAT_LIMIT, r_hat),
            *(_judged(f"{ess:.0f}", ess >= ESS_LIMIT, ess) for ess in sizes),
        ]
        for label, (r_hat, *sizes) in zip(statistics.index, values, strict=True)
    ]
    caption = (
        f"Agreement of chains, judged on f at the data, the noise and the log density, never on splats, whose labels "
        f"may switch. R-hat should be at most {RHAT_LIMIT}, effective draws (ESS) at least {ESS_LIMIT}."
    )
    return table(caption, ["quantity", "R-hat", "bulk ESS", "tail ESS"], rows, numeric=(1, 2, 3))


def _judged(words: str, passed: bool, value: float) -> object:
    if not math.isfinite(value):
        return flag(UNKNOWN if math.isnan(value) else "infinite")
    return words if passed else flag(words)


def _sampler_rows(report: Convergence) -> list[list[object]]:
    if report.method in APPROXIMATE:
        passed = report.khat <= KHAT_LIMIT
        words = _judged(f"{report.khat:.2f}", passed, report.khat)
        return [["Pareto k-hat of the importance weights", words, f"at most {KHAT_LIMIT}"]]
    if report.log_evidence is not None:
        log, error = report.log_evidence
        known = not error > EVIDENCE_LIMIT
        return [
            ["log evidence, log p(y)", f"{log:.2f}", "larger is better, among models of the same data"],
            ["its standard error", _judged(f"{error:.2f}", known, error), f"at most {EVIDENCE_LIMIT:g} nat"],
        ]
    return [
        ["divergent transitions", _judged(f"{report.divergences}", report.divergences == 0, 0.0), "0"],
        ["BFMI, smallest", _judged(f"{report.bfmi:.2f}", report.bfmi >= BFMI_LIMIT, report.bfmi), f"≥ {BFMI_LIMIT}"],
        ["draws at the depth limit", f"{report.depth_share:.0%}", "few"],
    ]


def _weight_rows(found: Findings) -> list[list[object]]:
    weights = found.post.chain_weights
    if np.allclose(weights, weights[0]):
        return []
    source = "stacking" if "stacking" in found.post.data.children else "evidence"
    words = ", ".join(f"{w:.2f}" for w in weights)
    return [[f"weights of the chains, by {source}", words, "about equal"]]


def _overfitting(found: Findings) -> list[Html]:
    report = found.overfitting
    columns = zip(report.table.index, report.table["value"], report.table["meaning"], strict=True)
    rows = [
        [label, number(float(value), 4), meaning]
        for label, value, meaning in columns
        if not str(label).startswith(SENSITIVITY_ROWS)
    ]
    caption = "How closely the fit follows single data. LOO: leave-one-out; PIT: predicted probability of less."
    return [
        _heading(OVERFITTING),
        notice(report.ok, overfitting_verdict(found), bullets(report.signs)),
        table(caption, ["quantity", "value", "what it is"], rows, numeric=(1,)),
    ]


def _sensitivity(found: Findings) -> list[Html]:
    report = found.overfitting
    moved = report.sensitivity[["f", "sigma"]]
    rows = [
        [BLOCKS.get(block, block), _moved(block, "f", f), _moved(block, "sigma", sigma)]
        for block, (f, sigma) in zip(map(str, moved.index), moved.to_numpy().tolist(), strict=True)
    ]
    head = ["what counts more or less", "f", "noise"]
    caption = (
        "Sensitivity of f (mean over the data) and of the noise scale to each part of the prior and to the likelihood: "
        f"how far their distributions move for one doubling of its log density (power scaling). Below {LIMIT} a change "
        "would not be noticed."
    )
    notes = [note.removeprefix("Note: ") for note in report.notes]
    words = (
        [paragraph("No fault by itself, but to be said where results are reported:"), bullets(notes)] if notes else []
    )
    return [tag("h3", "How much does the prior decide?"), join(words), table(caption, head, rows, numeric=(1, 2))]


def _moved(block: str, name: str, value: float) -> object:
    if math.isnan(value):
        return UNKNOWN
    if block == "likelihood":
        return flag(f"{value:.2f}, the data say little") if name == "f" and value < LIMIT else f"{value:.2f}"
    return tag("strong", f"{value:.2f}, above {LIMIT}") if value > LIMIT else f"{value:.2f}"
