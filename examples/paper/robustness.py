"""How much the start matters: E2 with more and more noise, the same data fitted from random starts.

Run `uv run python examples/paper/robustness.py`; `--quick` for a small version.
"""

import argparse

import e2
import figure
import numpy as np
import pandas as pd
import splats
import table
from peers import paper_splats
from table import OURS, PAPER, Method, on

from bayesplat import datasets
from bayesplat.datasets import Simulated

HEADS = {
    "noise": "noise sd",
    "method": "method",
    "live": "live",
    "parameters": "parameters",
    "mse": "MSE, median",
    "mse_best": "best",
    "mse_worst": "worst",
    "spread": "worst / best",
    "mse_inside": "inside",
    **table.RATIOS,
    "sigma": "noise sd found",
    "seconds_first": "s, first",
    "seconds": "s",
}
CAPTION = """{n} points of E2, drawn once for each noise sd, k = {k}, {starts} seeds. MSE to the truth on {m} points.
Every fit of bayesplat is the best of its own four starts, as by default; the paper's training (Adam) has one, at
random. Seconds on {machine}.
{comparison}"""


def draw(fits: pd.DataFrame, options: argparse.Namespace) -> None:
    """Every fit over the noise, beside the variance of the noise."""
    noise = sorted(fits.noise.unique())
    with figure.sheet(options.out / "robustness.png", 6.5, 4.2) as (panel,):
        figure.curve(panel, fits, "noise", spread=0.06)
        panel.plot(noise, np.square(noise), ":", color=figure.style.GREY, label="variance of the noise")
        panel.set(xlabel="noise sd", ylabel="MSE to the truth")


def main(argv: list[str] | None = None) -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(description="Robustness to noise and to the start")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3, 1.0], help="sds")
    parser.add_argument("--starts", type=int, default=10, help="random starts")
    parser.add_argument("--k", type=int, default=50, help="splats")
    parser.add_argument("--n", type=int, default=1000, help="points")
    parser.add_argument("--steps", type=int, default=20_000, help="of the paper's training")
    options = table.options(parser, argv, noise=[0.1], starts=2, k=8, n=64, steps=200)
    methods = [
        Method(OURS, on(splats.fit, k=options.k), options.k, options.starts),
        Method(PAPER, on(paper_splats.adam, k=options.k, steps=options.steps), options.k, options.starts),
    ]
    rows = table.Table(options.out / "robustness_fits.csv")
    for sd in options.noise:
        drawn = datasets.simulate("surface", n=options.n, noise=sd)

        def data(seed: int, drawn: Simulated = drawn) -> Simulated:
            del seed  # seeds are those of the fits
            return drawn

        table.race(rows, methods, data, e2.errors, noise=sd)
    by = ["noise", "method"]
    found = table.summary(rows.frame, by, ["mse_inside", "sigma", "live"])
    found["mse_best"] = rows.frame.groupby(by, sort=False).mse.min().to_numpy()
    found["spread"] = found.mse_worst / found.mse_best
    found = table.beside_paper(found, ["noise"])
    table.save(found, options.out / "robustness.csv")
    draw(rows.frame, options)
    how = {"m": len(e2.TESTS), "machine": table.machine()}
    caption = CAPTION.format(**vars(options), **how, comparison=table.comparison(found, options.steps, ["noise"]))
    table.page(options.out / "robustness.md", [table.markdown("Robustness to noise and start", caption, found, HEADS)])


if __name__ == "__main__":
    main()
