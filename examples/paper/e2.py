"""E2: the surface sin(3 pi sqrt(x1)) cos(3 pi x2) from 1000 noisy points, as the number of splats grows.

Run `uv run python examples/paper/e2.py`; `--quick` for a small version. Networks are given by their hidden layers, as
200 or 200x200, Kolmogorov-Arnold networks of splines as spline:50.
"""

import argparse

import figure
import numpy as np
import pandas as pd
import splats
import table
from peers import networks, paper_splats, statistics
from peers.fitted import Fitted
from table import MEAN, OURS, PAPER, Method, on

from bayesplat import datasets
from bayesplat.datasets import Simulated

NOISE, EDGE = 0.01, 0.05
MIDDLES = (np.arange(200) + 0.5) / 200
TESTS = np.stack(np.meshgrid(MIDDLES, MIDDLES), axis=-1).reshape(-1, 2)
"""Where errors are measured, against the truth: a grid, since most of the error lies in a thin strip at x1 = 0."""

HEADS = {
    "method": "method",
    "k": "k",
    "live": "live",
    "parameters": "parameters",
    "seeds": "seeds",
    "mse": "MSE, median",
    "mse_worst": "worst",
    "mse_inside": "inside",
    "mse_edge": "edge",
    **table.RATIOS,
    "sigma": "noise sd",
    "seconds_first": "s, first",
    "seconds": "s",
}
CAPTION = """MSE to the truth on a grid of {m} points; edge: within {edge} of the boundary of the
square, inside: the rest. Noise sd {noise}. The paper's training: Adam. Networks: Adam with the same steps and rate.
Parameters of boosting: leaves. Seconds on {machine}: the first fit and the median of the later
ones; networks and the paper's training compile in every fit.
{comparison}"""


def hidden(text: str) -> tuple[int, ...]:
    """Widths of the hidden layers: "200x200" is (200, 200)."""
    return tuple(int(width) for width in text.split("x"))


def methods(options: argparse.Namespace) -> list[Method]:
    """Splats of every size first, then the peers."""
    seeds, few, steps = options.seeds, options.training_seeds, options.steps

    def mlp(text: str) -> Method:
        return Method(f"MLP {text}", on(networks.mlp, hidden=hidden(text), steps=steps), None, few)

    def kan(text: str) -> Method:
        basis, widths = ("spline", text.removeprefix("spline:")) if text.startswith("spline:") else ("chebyshev", text)
        fit = on(networks.kan, hidden=hidden(widths), basis=basis, steps=steps)
        return Method(f"KAN {widths} ({basis})", fit, None, few)

    return [
        *(Method(OURS, on(splats.fit, k=k), k, seeds) for k in options.sizes),
        *(Method(MEAN, on(splats.posterior, k=k), k, options.posterior_seeds) for k in options.posteriors),
        *(Method(PAPER, on(paper_splats.adam, k=k, steps=steps), k, seeds) for k in options.sizes),
        Method("GP (RBF)", on(statistics.gaussian_process, kernel="rbf"), None, seeds),
        Method("GP (Matern 5/2)", on(statistics.gaussian_process, kernel="matern"), None, seeds),
        Method("boosting", on(statistics.boosting), None, seeds),
        *map(mlp, options.mlps),
        *map(kan, options.kans),
    ]


def errors(fitted: Fitted, data: Simulated) -> dict[str, float]:
    """MSE to the truth: everywhere, inside, and near the edge, where data are one-sided and f is steep at x1 = 0."""
    squares = (fitted.predict(TESTS) - data.f(TESTS)) ** 2
    edge = np.minimum(TESTS, 1 - TESTS).min(axis=1) < EDGE
    return {"mse": squares.mean(), "mse_inside": squares[~edge].mean(), "mse_edge": squares[edge].mean()}


def draw(fits: pd.DataFrame, options: argparse.Namespace) -> None:
    """Error over k, and over the number of parameters."""
    processes = fits.method.str.startswith("GP")
    with figure.sheet(options.out / "e2.png", 9.0, 4.4, columns=2) as (left, right):
        figure.curve(left, fits[fits.k.notna() | processes | (fits.method == "boosting")], "k")
        left.set(xlabel="splats k", ylabel="MSE")
        for method, group in fits[~processes].groupby("method", sort=False):
            colour = figure.COLOURS.get(str(method), figure.style.GREY)
            right.plot(group.parameters, group.mse, "o", ms=4, mew=0, alpha=0.7, color=colour)
            if method not in figure.COLOURS:
                at = (group.parameters.median(), group.mse.median())
                right.annotate(method, at, xytext=(4, 2), textcoords="offset points", fontsize=7, color=colour)
        right.set(xscale="log", yscale="log", xlabel="parameters", ylabel="MSE")


def main(argv: list[str] | None = None) -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(description="E2: a surface, as the number of splats grows")
    parser.add_argument("--seeds", type=int, default=6, help="data sets for all but the following")
    parser.add_argument("--posterior-seeds", type=int, default=2, help="data sets for the posterior mean")
    parser.add_argument("--training-seeds", type=int, default=1, help="data sets for networks")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 50, 100, 200, 300], help="k")
    parser.add_argument("--posteriors", type=int, nargs="*", default=[50], help="k of the posterior mean")
    parser.add_argument("--mlps", nargs="*", default=["200", "1000", "200x200"], help="the paper also has 500x500")
    parser.add_argument("--kans", nargs="*", default=["10", "50", "20x20", "spline:50"], help="the paper has 10 to 400")
    parser.add_argument("--steps", type=int, default=20_000, help="of the paper's training and of networks")
    parser.add_argument("--n", type=int, default=1000, help="points")
    quick = {"seeds": 1, "sizes": [8], "posteriors": [], "mlps": ["8"], "kans": ["4"], "steps": 200, "n": 64}
    options = table.options(parser, argv, **quick)

    def data(seed: int) -> Simulated:
        return datasets.simulate("surface", n=options.n, noise=NOISE, seed=seed)

    rows = table.Table(options.out / "e2_fits.csv")
    table.race(rows, methods(options), data, errors)
    found = table.summary(rows.frame, ["method", "k"], ["mse_inside", "mse_edge", "sigma", "live"])
    found = table.beside_paper(found)
    table.save(found, options.out / "e2.csv")
    draw(rows.frame, options)
    comparison = table.comparison(found, options.steps)
    caption = CAPTION.format(m=len(TESTS), edge=EDGE, noise=NOISE, machine=table.machine(), comparison=comparison)
    title = f"E2: sin(3 pi sqrt(x1)) cos(3 pi x2), {options.n} points"
    table.page(options.out / "e2.md", [table.markdown(title, caption, found, HEADS)])


if __name__ == "__main__":
    main()
