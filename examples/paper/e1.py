"""E1 and E1b: a wave that slows down, and a sawtooth, from noise-free points on [0, 1], at random or evenly spaced.

Run `uv run python examples/paper/e1.py`; `--quick` for a small version.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import figure
import numpy as np
import pandas as pd
import splats
import table
from peers import paper_splats, polynomials, statistics
from peers.fitted import Fitted
from table import OURS, PAPER, Method, on

from bayesplat import datasets
from bayesplat.datasets import Simulated


class Task(NamedTuple):
    """One target, and how the paper trains on it."""

    title: str
    data: str  # the name that `datasets.simulate` knows, where the formula is
    grid: np.ndarray  # (m,) where the error is measured
    rate: float
    steps: int
    even: bool = False  # points at the middles of n cells, which are the same for all seeds, instead of random ones


TASKS = {
    "e1": Task("E1: sin(20 pi x (2 - x)), {n} points", "chirp", np.linspace(0, 1, 2001), 1e-5, 20_000),
    "e1_even": Task("E1 at {n} evenly spaced points", "chirp", np.linspace(0, 1, 2001), 1e-5, 20_000, even=True),
    # middles of cells, none of which is at a jump j/6, where the value is a matter of taste
    "e1b": Task("E1b: sawtooth 6 x mod 1, {n} points", "sawtooth", (np.arange(2000) + 0.5) / 2000, 1e-4, 10_000),
}
HEADS = {
    "method": "method",
    "k": "k",
    "live": "live",
    "parameters": "parameters",
    "mse": "MSE, median",
    "mse_worst": "worst",
    "mse_span": "within the data",
    **table.RATIOS,
    "seconds_first": "s, first",
    "seconds": "s",
}
CAPTION = """MSE on {m} points of [0, 1] (within the data: on those between the first and the last datum);
{sets}. k: splats offered, or coefficients; parameters of splats: live splats times (1 + d (d + 3) / 2).
Seconds on {machine}: the first fit, which compiles, and the median of the later ones.
{comparison}"""


def methods(task: Task, options: argparse.Namespace, sizes: list[int]) -> list[Method]:
    """Splats of every size, and the peers; the interpolation alone may ask f at nodes of its own."""
    seeds = options.seeds if task.data == "chirp" else options.sawtooth_seeds
    last, steps, others = sizes[-1], options.steps or task.steps, 1 if task.even else seeds

    def interpolation(count: int) -> Callable[[Simulated, int], Fitted]:
        return lambda data, seed: polynomials.chebyshev_interpolation(data.f, count - 1)

    def least_squares(name: str, fit: Callable[..., Fitted]) -> list[Method]:
        return [Method(f"{name} least squares", on(fit, coefficients=k), k, others) for k in sizes]

    return [
        *(Method(OURS, on(splats.fit, k=k), k, seeds) for k in sizes),
        Method(PAPER, on(paper_splats.plain_flow, k=last, learning_rate=task.rate, steps=steps), last, others),
        *(Method("Chebyshev interpolation", interpolation(count), count, others) for count in [*sizes, 45]),
        *least_squares("Chebyshev", polynomials.chebyshev_least_squares),
        *least_squares("Haar", polynomials.haar),
        Method("GP (RBF)", on(statistics.gaussian_process), None, others),
    ]


def errors(fitted: Fitted, data: Simulated, grid: np.ndarray) -> dict[str, float]:
    """MSE on the grid, and on the part of it that the data span."""
    squares = (fitted.predict(grid[:, None]) - data.f(grid)) ** 2
    inside = (grid >= data.x.min()) & (grid <= data.x.max())
    return {"mse": squares.mean(), "mse_span": squares[inside].mean()}


def evenly_spaced(data: Simulated) -> Simulated:
    """The same function at as many points, the middles of cells of one size."""
    x = (np.arange(len(data.x)) + 0.5) / len(data.x)
    return Simulated(x[:, None], data.f(x), data.f(x), data.f, 0.0)


def run(name: str, options: argparse.Namespace) -> tuple[pd.DataFrame, dict, str]:
    """All fits of one task, those of the first seed, and its section."""
    task, rows = TASKS[name], table.Table(options.out / f"{name}_fits.csv")
    sizes = options.sizes if name == "e1" else options.sizes[-1:]

    def data(seed: int) -> Simulated:
        random = datasets.simulate(task.data, n=options.n, seed=seed)
        return evenly_spaced(random) if task.even else random

    fits = table.race(rows, methods(task, options, sizes), data, lambda f, d: errors(f, d, task.grid))
    found = table.summary(rows.frame, ["method", "k"], medians=["mse_span", "live", "sigma"])
    found = table.beside_paper(found)
    table.save(found, options.out / f"{name}.csv")
    seeds = rows.frame.seed.nunique()
    sets = f"one data set, {seeds} fits of the splats" if task.even else f"data sets: {seeds}"
    comparison = table.comparison(found, options.steps or task.steps)
    caption = CAPTION.format(m=len(task.grid), sets=sets, machine=table.machine(), comparison=comparison)
    return rows.frame, fits, table.markdown(task.title.format(n=len(data(0).x)), caption, found, HEADS)


def draw(frames: dict[str, pd.DataFrame], fits: dict[str, dict], options: argparse.Namespace) -> None:
    """Above: the fits of the first seed; below: every error."""
    with figure.sheet(options.out / "e1.png", 9.0, 7.0, rows=2, columns=2) as axes:
        for top, below, name in zip(axes[:2], axes[2:], ("e1", "e1b"), strict=True):
            task = TASKS[name]
            data = datasets.simulate(task.data, n=options.n)
            top.plot(task.grid, data.f(task.grid), color=figure.style.PALE, linewidth=3, label="truth")
            for method in (PAPER, OURS):
                values = fits[name][method, options.sizes[-1]].predict(task.grid[:, None])
                top.plot(task.grid, values, color=figure.COLOURS[method], label=f"{method}, {options.sizes[-1]} splats")
            top.set_title(task.title.format(n=len(data.x)), fontsize="medium")
            top.set_xlabel("x")
            figure.strip(below, frames[name])


def main(argv: list[str] | None = None) -> None:
    """Fit, score, write."""
    parser = argparse.ArgumentParser(description="E1 and E1b: a wave and a sawtooth")
    parser.add_argument("--seeds", type=int, default=10, help="data sets of E1, or fits of the one evenly spaced")
    parser.add_argument("--sawtooth-seeds", type=int, default=5, help="data sets of E1b, whose GPs take long")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[15, 20, 30], help="k; evenly spaced points and E1b: the last"
    )
    parser.add_argument("--n", type=int, help="points, by default the paper's")
    parser.add_argument("--steps", type=int, help="steps of the paper's training, by default the paper's")
    options = table.options(parser, argv, seeds=1, sawtooth_seeds=1, sizes=[16], n=128, steps=300)
    frames, fits, sections = zip(*(run(name, options) for name in TASKS), strict=True)
    draw(dict(zip(TASKS, frames, strict=True)), dict(zip(TASKS, fits, strict=True)), options)
    table.page(options.out / "e1.md", sections)


if __name__ == "__main__":
    main()
