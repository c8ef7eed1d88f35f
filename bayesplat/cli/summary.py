"""The demo in words: a Markdown page with the numbers, the tables and the pictures."""

import platform
from dataclasses import dataclass

import numpy as np

from bayesplat._lazy import pd
from bayesplat.compare import Comparison
from bayesplat.datasets import Dataset
from bayesplat.diagnostics.active import active_splats
from bayesplat.results import Posterior

DATA, SUMMARY = "motorcycle.csv", "summary.md"

PICTURES = {
    "bands.png": "the data, the posterior mean of f and its bands",
    "splats.png": "the splats of the point fit, one by one",
    "prior_check.png": "draws of f from the prior: what the model expects before any data",
    "checks.png": "what the model predicts against the data, calibration, influential data",
    "compare.png": "the priors ranked by leave-one-out score, with errors",
    "flow.png": "how the point fit was found: energy against moves, one line a start",
}

COLUMNS = {
    "elpd_loo": "log predictive density of each datum from all the others, summed; higher is better",
    "se": "its standard error",
    "elpd_diff": "difference to the best",
    "dse": "standard error of that difference: below 2 of these, or 4 nats, it is noise",
    "p_loo": "effective number of parameters: how much the fit bends to single data",
    "active": "splats at work, on average over the draws",
    "bad_k": "data whose leave-one-out score cannot be trusted",
    "weight": "share in the best mixture of these models (stacking)",
    "seconds": "time to sample, without the point fit",
}


@dataclass(frozen=True)
class Study:
    """Posteriors of one data set under several priors, and their comparison."""

    posts: dict[str, Posterior]
    comparison: Comparison
    command: str
    quick: bool

    @property
    def best(self) -> str:
        """Name of the prior with the highest score."""
        return str(self.comparison.table.index[0])

    def files(self) -> dict[str, str]:
        """Every file of the demo and what it shows."""
        return {
            SUMMARY: "everything in words: start here",
            **PICTURES,
            **{f"{name}.nc": f"the posterior under the {name} prior" for name in self.posts},
            DATA: "the data",
        }


def summary(study: Study, data: Dataset) -> str:
    """The page."""
    post = study.posts[study.best]
    table = study.comparison.table
    parts = [
        "# Motorcycle data: which prior overfits least?",
        f"{len(data.x)} readings of {data.y_name} against {data.x_name}, from {data.source}: flat at first, then a "
        "sharp dip and a rebound, with noise that grows on the way. No single length scale and no single noise level "
        f"fits all of it. The model is a constant plus {post.spec.n_splats} splats plus noise that varies with x, "
        f"fitted under {len(study.posts)} priors.",
        "**This was a quick run: chains are too short and priors too few for conclusions. Run `bayesplat demo`.**"
        if study.quick
        else "",
        "## Which prior?",
        study.comparison.verdict,
        markdown(table, {"weight": "{:.2f}", "bad_k": "{:.0f}", "seconds": "{:.0f}"}),
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in COLUMNS.items()),
        _picture("compare.png"),
        f"## What the data say, under the {study.best} prior",
        _findings(post, data),
        *map(_picture, ("bands.png", "splats.png")),
        "## Can it be trusted?",
        "Did the sampler converge?",
        _code(post.convergence()),
        "Does the fit follow the noise?",
        _code(post.overfitting()),
        *map(_picture, ("checks.png", "prior_check.png", "flow.png")),
        "## How this was made",
        _provenance(study, post),
        "The posteriors are in " + ", ".join(f"`{name}.nc`" for name in study.posts) + ", the data in "
        "`motorcycle.csv`. Open one with `bayesplat.load`, or in this folder:",
        f"```\nbayesplat predict {study.best}.nc motorcycle.csv\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _findings(post: Posterior, data: Dataset) -> str:
    """The numbers that someone would ask for first."""
    (_, x_unit), (y_name, y_unit) = _name_and_unit(data.x_name), _name_and_unit(data.y_name)
    grid = np.linspace(data.x.min(), data.x.max(), 200)
    f, new, back = (
        post.predict(grid),
        post.predict(grid, kind="observation"),
        post.predict(data.x, kind="observation"),
    )
    noise = np.sqrt(np.maximum(new.sd**2 - f.sd**2, 0))
    quiet, loud, low, high = (int(i) for i in (noise.argmin(), noise.argmax(), f.mean.argmin(), f.mean.argmax()))
    covered = np.mean((back.lower <= data.y) & (data.y <= back.upper))

    def at(i: int) -> str:
        interval = f"90% interval {f.lower[i]:.0f} to {f.upper[i]:.0f}"
        return f"{f.mean[i]:.0f} {y_unit} ({interval}) at {grid[i]:.0f} {x_unit}"

    return "\n".join(
        [
            f"- {y_name.capitalize()} is lowest, {at(low)}, and highest, {at(high)}.",
            f"- The noise has an sd of {noise[quiet]:.2g} {y_unit} at {grid[quiet]:.0f} {x_unit} and of "
            f"{noise[loud]:.2g} {y_unit} at {grid[loud]:.0f} {x_unit}.",
            f"- The 90% band for observations covers {covered:.0%} of the data it was fitted to.",
            f"- {active_splats(post.data):.1f} of {post.spec.n_splats} splats are at work.",
        ]
    )


def _name_and_unit(name: str) -> tuple[str, str]:
    """Take "time (ms)" apart."""
    quantity, _, unit = name.partition(" (")
    return quantity, unit.rstrip(")")


def _provenance(study: Study, post: Posterior) -> str:
    versions = {"python": platform.python_version(), **post.info["versions"]}
    sizes = post.data["posterior"].sizes
    rows = {
        "command": f"`{study.command}`",
        "seed": post.info["seed"],
        "sampler": f"{sizes['chain']} chains of {post.info['warmup']} + {sizes['draw']} draws by {post.info['method']}",
        "precision, device": f"{post.info['dtype']}, {post.info['device']}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return "\n".join([*(f"- {name}: {value}" for name, value in rows.items()), "", _code(post.spec)])


def markdown(table: "pd.DataFrame", formats: dict[str, str]) -> str:
    """A table in Markdown; numbers with one decimal unless `formats` says otherwise."""
    head = ["", *map(str, table.columns)]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * len(table.columns)]
    for name, row in table.iterrows():
        cells = [formats.get(str(column), "{:.1f}").format(value) for column, value in row.items()]
        lines.append("| " + " | ".join([str(name), *cells]) + " |")
    return "\n".join(lines)


def _picture(name: str) -> str:
    words = PICTURES[name]
    return f"![{words}]({name})\n\n*{words[0].upper()}{words[1:]}.*"


def _code(text: object) -> str:
    return f"```\n{text}\n```"
