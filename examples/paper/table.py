"""What all experiments share: methods that are raced, a CSV row for every fit, and summaries as CSV and markdown."""

import argparse
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from peers.fitted import Fitted

from bayesplat.datasets import Simulated

OURS, MEAN, PAPER = "bayesplat", "bayesplat, posterior mean", "paper's training"
OWN = (OURS, MEAN)
RATIOS = {"times_paper": "of the paper's", "times_seconds": "of its seconds"}
"""Columns of `beside_paper`, as tables show them."""


class Method(NamedTuple):
    """What is fitted to the data of every seed."""

    name: str
    fit: Callable[[Simulated, int], Fitted]  # of data and seed
    k: int | None = None  # splats or coefficients, for methods that are told
    seeds: int = 1


class Table:
    """Rows of one experiment, on disk as soon as they are known: a long run that is cut short keeps what it has."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.rows = path, []

    def add(self, **row: Any) -> None:
        """Add, save and print one row."""
        self.rows.append(row)
        save(self.frame, self.path)
        print("  ".join(f"{name} {written(value)}" for name, value in row.items() if name != "note"), flush=True)

    @property
    def frame(self) -> pd.DataFrame:
        """All rows so far."""
        return whole(pd.DataFrame(self.rows))


def options(parser: argparse.ArgumentParser, argv: list[str] | None, **quick: Any) -> argparse.Namespace:
    """Parsed options with --quick and --out; --quick changes defaults, so flags given by hand still count."""
    parser.add_argument("--quick", action="store_true", help="tiny sizes: only to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("docs/paper"), help="folder of tables and figures")
    if parser.parse_args(argv).quick:
        parser.set_defaults(**quick)
    return parser.parse_args(argv)


def on(fit: Callable[..., Fitted], **settings: Any) -> Callable[[Simulated, int], Fitted]:
    """A peer with its settings, as a function of data and seed."""
    return lambda data, seed: fit(data.x, data.y, seed=seed, **settings)


def race(
    table: Table,
    methods: Sequence[Method],
    data: Callable[[int], Simulated],
    score: Callable[[Fitted, Simulated], dict[str, float]],
    **same: Any,
) -> dict[tuple[str, int | None], Fitted]:
    """A row for every method and seed, each scored on its data; the fits of the first seed, for figures.

    Seeds are the inner loop, so `first` marks the fit that pays for compilation, unless an earlier race had its shapes.
    """
    fits = {}
    for method in methods:
        for seed in range(method.seeds):
            drawn = data(seed)
            fitted = method.fit(drawn, seed)
            own = {name: getattr(fitted, name, None) for name in ("live", "sigma", "energy", "worst_energy")}
            table.add(
                **same,
                method=method.name,
                k=method.k,
                seed=seed,
                parameters=fitted.parameters,
                **score(fitted, drawn),
                seconds=fitted.seconds,
                first=seed == 0,
                **own,
                note=fitted.note,
            )
            fits.setdefault((method.name, method.k), fitted)
    return fits


def summary(fits: pd.DataFrame, by: list[str], medians: Sequence[str] = (), worst: str = "mse") -> pd.DataFrame:
    """One row per group of `by`: medians over seeds, the worst `worst`, and the first fit's seconds apart.

    The first fit compiles; `seconds` is the median of the later ones, or the first where there is no other.
    """
    rows = []
    for names, group in fits.groupby(by, sort=False, dropna=False):
        later = group.seconds[~group["first"]]
        rows.append(
            {
                **dict(zip(by, names, strict=True)),
                "seeds": len(group),
                "parameters": round(group.parameters.median()),
                worst: group[worst].median(),
                f"{worst}_worst": group[worst].max(),
                **{name: pd.to_numeric(group[name]).median() for name in medians},
                "seconds_first": group.seconds.iloc[0],
                "seconds": (later if len(later) else group.seconds).median(),
            }
        )
    return whole(pd.DataFrame(rows))


def beside_paper(found: pd.DataFrame, within: Sequence[str] = (), value: str = "mse") -> pd.DataFrame:
    """The summary with its errors and seconds over those of the paper's training in the same run.

    Of the same columns `within` and the same k; where it has no such k, of the one with which it errs least.
    """
    reference = found[found.method == PAPER]

    def ratios(row: pd.Series) -> pd.Series:
        same = reference[(reference[list(within)] == row[list(within)]).all(axis=1)]
        equal = same[same.k.eq(row.k).fillna(False)] if "k" in found else same
        one = (equal if len(equal) else same).nsmallest(1, value)
        return pd.Series({f"times_{of}": (row[of] / one[of]).max() for of in (value, "seconds")})

    return found.join(found.apply(ratios, axis=1).set_axis(["times_paper", "times_seconds"], axis=1))


def comparison(
    found: pd.DataFrame, steps: int, within: Sequence[str] = (), value: str = "mse", own: Sequence[str] = OWN
) -> str:
    """The end of a caption: what the ratios are to, and who is ahead."""
    return f"""Of the paper's, of its seconds: error and seconds over those of the paper's training ({steps:,} steps)
in the same run, with as many splats, or with as many as suit it best where a row has none or others.
By the lowest error: {verdict(found, within, value, own)}"""


def verdict(found: pd.DataFrame, within: Sequence[str] = (), value: str = "mse", own: Sequence[str] = OWN) -> str:
    """Who is ahead in every group of `within`, and by how much: the best of our own rows beside the best peer."""
    sentences = []
    # what is level in the digits of the table goes to the fewest splats
    found = found.assign(**{value: found[value].map(lambda error: float(f"{error:.3g}"))})
    for names, group in found.groupby(list(within), sort=False) if within else [((), found)]:
        ours, peers = group[group.method.isin(own)], group[~group.method.str.startswith(OURS)]
        first, second = sorted((rows.loc[rows[value].idxmin()] for rows in (ours, peers)), key=lambda row: row[value])
        where = ", ".join(n if isinstance(n, str) else f"{of} = {n}" for of, n in zip(within, names, strict=True))
        times = float(f"{second[value] / first[value]:.2g}")
        who = f"{_called(first)} ahead of {_called(second)} by a factor of {times:,g}"
        who = who if times > 1 else f"{_called(first)} and {_called(second)} level"
        sentences.append(f"{where}: {who}" if where else who)
    return "; ".join(sentences) + "."


def _called(row: pd.Series) -> str:
    return str(row.method) if pd.isna(row.get("k")) else f"{row.method}, k = {row.k}"


def whole(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with whole k where some methods have none."""
    return frame.astype({"k": "Int64"}) if "k" in frame else frame


def save(frame: pd.DataFrame, path: Path) -> None:
    """CSV with six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6g")


def written(value: Any) -> str:
    """A number as a table shows it: three digits, no more."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | str) or not isinstance(value, float):
        return str(value)
    if value == 0 or 0.01 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.2e}" if abs(value) < 1 or abs(value) >= 1e6 else f"{value:,.0f}"


def markdown(title: str, caption: str, frame: pd.DataFrame, heads: dict[str, str] | None = None) -> str:
    """A section: title, table with the columns of `heads` (all, where there are none) and caption."""
    heads = heads or {str(name): str(name) for name in frame.columns}
    lines = [f"| {' | '.join(heads.values())} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(written(row[name]) for name in heads)} |" for row in frame.to_dict("records")]
    return "\n".join([f"### {title}", "", *lines, "", caption, ""])


def page(path: Path, sections: Sequence[str]) -> None:
    """Write sections as one markdown file, and print them."""
    text = "\n".join(sections)
    path.write_text(text, encoding="utf-8")
    print(text)


def machine() -> str:
    """What the seconds of a table were measured on."""
    cores = joblib.cpu_count()  # those that this process may use
    return f"{cores} {'core' if cores == 1 else 'cores'} ({platform.machine()}), jax {version('jax')}"
