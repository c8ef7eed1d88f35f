"""What was fitted and how: every setting, so that someone else can fit it again."""

from dataclasses import fields
from typing import Any

from bayesplat.report.description import described, scaled_words
from bayesplat.report.findings import Findings
from bayesplat.report.markup import Html, table, tag
from bayesplat.report.references import without_citations
from bayesplat.wording import beside, interval, number

LABELS = {
    "method": "method",
    "seed": "seed",
    "seconds": "seconds taken",
    "guide": "family of the approximation",
    "warmup": "warm-up steps of each chain",
    "target_accept": "target acceptance",
    "max_tree_depth": "longest trajectory, 2 to the power of",
    "pool": "candidates of one teleport",
    "chain_method": "chains run on",
    "interrupted": "interrupted",
    "ess": "effective share left by one rise of the likelihood's power",
    "sweeps": "sweeps of moves after each rise",
    "leapfrogs": "leapfrog steps of one move",
    "rises": "rises of the likelihood's power",
    "dtype": "precision",
    "device": "device",
    "cores": "cores",
}
"""What the entries of `Posterior.info` mean; others are shown under their own names."""

ELSEWHERE = ("chains", "draws", "versions")
"""Entries of `Posterior.info` that are said in another way."""


def settings(found: Findings) -> list[Html]:
    """Data, model, and sampling with its software."""
    return [_data(found), _model(found), _sampling(found)]


def _data(found: Findings) -> Html:
    post = found.post
    x, y, *_ = post.table
    rows = [
        [name, "input", _range(float(column.min()), float(column.max()))]
        for name, column in zip(post.names, x.T, strict=False)
    ]
    mean, sd = float(y.mean()), float(y.std())
    spread = f"mean {beside(mean, sd, 3)}, sd {beside(sd, sd, 3)}"
    rows.append([post.names[-1], "output", f"{_range(float(y.min()), float(y.max()))}; {spread}"])
    caption = f"The data: {found.n} rows with a value of the output."
    return Html(tag("h3", "Data") + table(caption, ["column", "used as", "range"], rows))


def _range(low: float, high: float) -> str:
    return interval(low, high, 3) if low < high else f"{number(low, 10)} throughout"


def _model(found: Findings) -> Html:
    spec = found.post.spec
    words = {**described(found.post), "covariance": "shape of the splats; it matters with several inputs"}
    words |= {"n_splats": f"each with {words['n_splats']}", "prior": f"heights: {words['prior']}"}
    names = [field.name for field in fields(spec)]
    rows = [[name, tag("code", repr(getattr(spec, name))), without_citations(words[name])] for name in names]
    caption = (
        "The model, as bayesplat.SplatModel takes it. Inputs were scaled to the unit box and the output to "
        f"{scaled_words(spec.trend)}, and scales are in those units."
    )
    return Html(tag("h3", "Model") + table(caption, ["setting", "value", "in words"], rows))


def _sampling(found: Findings) -> Html:
    rows = [["chains", str(found.chains)], ["draws kept of each chain", str(found.draws)]]
    rows += [[LABELS.get(key, key), _value(key, v)] for key, v in found.post.info.items() if key not in ELSEWHERE]
    versions = found.post.info.get("versions", {})
    if versions:
        rows.append(["versions", ", ".join(f"{name} {version}" for name, version in versions.items())])
    return Html(tag("h3", "Sampling") + table("How the draws were made.", ["setting", "value"], rows))


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if key == "seconds" else str(value)
