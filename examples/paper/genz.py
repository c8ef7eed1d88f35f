"""How far splats carry as inputs grow in number: two of Genz's test functions in 3, 5 and 10 dimensions.

Run `uv run python examples/paper/genz.py`; `--quick` for a small version.

With c_i = h (2 i - 1) / d^2, which sum to h, and w_i = 0.3 + 0.4 frac(i (sqrt(5) - 1) / 2):
product peak f(x) = prod_i 1 / (1 + c_i^2 (x_i - w_i)^2), h = 7.25;
continuous f(x) = exp(-sum_i c_i |x_i - w_i|), h = 20.4.
"""

import argparse

import figure
import numpy as np
import pandas as pd
import splats
import table
from peers import paper_splats, statistics
from peers.fitted import Fitted
from table import OURS, PAPER, Method, on

from bayesplat.datasets import Simulated

DIFFICULTY = {"product peak": 7.25, "continuous": 20.4}
"""Sum of all c_i, the usual one in ten dimensions, here in all: the same work is spread over more inputs."""

NOISE, TESTS, FULL = 0.01, 5000, 3
"""Noise sd over the sd of f, test points, and the most inputs for which splats may be rotated."""

HEADS = {
    "function": "function",
    "d": "d",
    "method": "method",
    "k": "k",
    "seeds": "seeds",
    "live": "live",
    "parameters": "parameters",
    "mse": "error, median",
    "mse_worst": "worst",
    **table.RATIOS,
    "seconds_first": "s, first",
    "seconds": "s",
}
CAPTION = """Error: MSE to the truth on {m} uniform points over the variance of f there. {n} data, noise sd
{noise} sd(f). Scales of splats: full up to d = {full}, diagonal beyond. Parameters of boosting: leaves.
Gaussian processes learn their lengths from half of the data, without restarts. Seconds on {machine}.
{comparison}"""


def genz(name: str, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients c and centres w (d,) of a function."""
    i = np.arange(1, d + 1)
    return DIFFICULTY[name] * (2 * i - 1) / d**2, 0.3 + 0.4 * (i * (np.sqrt(5) - 1) / 2 % 1)


def value(name: str, x: np.ndarray) -> np.ndarray:
    """Values of f (n,) at x (n, d)."""
    c, w = genz(name, x.shape[1])
    if name == "product peak":
        return np.prod(1 / (1 + (c * (x - w)) ** 2), axis=1)
    return np.exp(-np.abs(x - w) @ c)


def tests(d: int) -> np.ndarray:
    """Test points, of a seed that no data have."""
    return np.random.default_rng(2**32).uniform(size=(TESTS, d))


def simulated(name: str, d: int, n: int, seed: int) -> Simulated:
    """Uniform points with noise; f is in units of its own sd."""
    rng = np.random.default_rng(seed)
    x, unit = rng.uniform(size=(n, d)), value(name, tests(d)).std()

    def f(at: np.ndarray) -> np.ndarray:
        return value(name, at) / unit

    return Simulated(x, f(x) + NOISE * rng.standard_normal(n), f(x), f, NOISE)


def errors(fitted: Fitted, data: Simulated) -> dict[str, float]:
    """MSE over the variance of f, which is 1 on the test points."""
    at = tests(data.x.shape[1])
    return {"mse": np.mean((fitted.predict(at) - data.f(at)) ** 2)}


def methods(d: int, options: argparse.Namespace) -> list[Method]:
    """Splats of every size, and the peers."""
    covariance = "full" if d <= FULL else "diag"
    return [
        *(Method(OURS, on(splats.fit, k=k, covariance=covariance), k, options.seeds) for k in options.sizes),
        *(Method(PAPER, on(paper_splats.adam, k=k, steps=options.steps), k, options.seeds) for k in options.sizes),
        Method("GP (RBF)", on(statistics.gaussian_process, kernel="rbf", restarts=0), None, options.gp_seeds),
        Method("GP (Matern 5/2)", on(statistics.gaussian_process, kernel="matern", restarts=0), None, options.gp_seeds),
        Method("boosting", on(statistics.boosting), None, options.seeds),
    ]


def at_best(fits: pd.DataFrame) -> pd.DataFrame:
    """The fits of every method, for every d, with the k that suits it best there."""
    medians = fits.groupby(["d", "method", "k"], dropna=False).mse.transform("median")
    return fits[medians == medians.groupby([fits.d, fits.method]).transform("min")]


def draw(fits: pd.DataFrame, options: argparse.Namespace) -> None:
    """A row for every function: error over d with the best k, then over k for each d, peers as levels."""
    columns = 1 + len(options.d)
    with figure.sheet(options.out / "genz.png", 3.0 * columns, 6.0, rows=len(DIFFICULTY), columns=columns) as axes:
        for row, (name, group) in enumerate(fits.groupby("function", sort=False)):
            first, *others = axes[row * columns : (row + 1) * columns]
            figure.curve(first, at_best(group), "d")
            first.set(title=f"{name}, best k", xlabel="inputs d", ylabel="MSE / var(f)")
            for panel, (d, some) in zip(others, group.groupby("d"), strict=True):
                panel.sharey(first)
                figure.curve(panel, some, "k")
                panel.set(title=f"{name}, d = {d}", xlabel="splats k")


def main(argv: list[str] | None = None) -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(description="Genz's functions as inputs grow in number")
    parser.add_argument("--d", type=int, nargs="+", default=[3, 5, 10], help="numbers of inputs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 40, 80], help="k")
    parser.add_argument("--seeds", type=int, default=2, help="data sets for splats and boosting")
    parser.add_argument("--gp-seeds", type=int, default=1, help="data sets for GPs, minutes each")
    parser.add_argument("--n", type=int, default=2000, help="points")
    parser.add_argument("--steps", type=int, default=20_000, help="of the paper's training")
    options = table.options(parser, argv, d=[3], sizes=[8], seeds=1, n=64, steps=300)
    rows = table.Table(options.out / "genz_fits.csv")
    for name in DIFFICULTY:
        for d in options.d:

            def data(seed: int, name: str = name, d: int = d) -> Simulated:
                return simulated(name, d, options.n, seed)

            table.race(rows, methods(d, options), data, errors, function=name, d=d)
    found = table.summary(rows.frame, ["function", "d", "method", "k"], ["sigma", "live"])
    found = table.beside_paper(found, ["function", "d"])
    table.save(found, options.out / "genz.csv")
    draw(rows.frame, options)
    how = {"m": TESTS, "noise": NOISE, "full": FULL, "machine": table.machine()}
    comparison = table.comparison(found, options.steps, ["function", "d"])
    caption = CAPTION.format(**vars(options), **how, comparison=comparison)
    table.page(options.out / "genz.md", [table.markdown("Genz functions in d dimensions", caption, found, HEADS)])


if __name__ == "__main__":
    main()
