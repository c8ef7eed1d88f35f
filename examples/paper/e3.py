"""E3: the steady Allen-Cahn equation eps^2 lap u + u - u^3 = 0 on the unit square, whose solution here is a plane wave.

Run `uv run python examples/paper/e3.py`; `--quick` for a small version. No value of u inside the square is seen: only
that the equation holds at some points, and u on the boundary. Networks are given by their hidden layers: 50 or 50x50.
"""

import argparse
import time
from typing import NamedTuple

import e2
import figure
import jax
import numpy as np
import table
from peers import pinn
from peers.fitted import Fitted
from splats import SplatFit
from table import OURS, PAPER, Method

import bayesplat as bs
from bayesplat.datasets import functions
from bayesplat.devices import inference
from bayesplat.flow.equation import Semilinear, solve

EPS = 0.1
TESTS = np.random.default_rng(2**32).uniform(size=(1000, 2))
"""Where errors are measured: the same points for all."""

HEADS = {
    "method": "method",
    "k": "k",
    "live": "live",
    "parameters": "parameters",
    "seeds": "seeds",
    "error": "relative L2, median",
    "error_worst": "worst",
    **table.RATIOS,
    "seconds_first": "s, first",
    "seconds": "s",
}
CAPTION = """Relative L2 error of u on {m} points against tanh((x1 + x2 - 1) / (2 eps)), eps = {eps};
{interior} points inside and {boundary} on the boundary. The paper's training: Adam on the squared residual, batches
of 500. Networks: the same training. bayesplat: Newton's method, every step a run of the flow on the squared residual.
Seconds on {machine}: the first fit, which compiles, and the median of the later ones; the other
methods compile every time.
{comparison}"""


class Points(NamedTuple):
    """Collocation points."""

    interior: np.ndarray  # (n, 2)
    boundary: np.ndarray  # (m, 2)
    values: np.ndarray  # (m,) of u on the boundary


def points(interior: int, boundary: int, seed: int) -> Points:
    """Uniform points inside, and on the four sides in turn."""
    rng = np.random.default_rng(seed)
    inside, on = rng.uniform(size=(interior, 2)), rng.uniform(size=(boundary, 2))
    side = np.arange(boundary) % 4
    on[np.arange(boundary), side % 2] = side // 2
    return Points(inside, on, functions.wave(on, EPS))


def splats(data: Points, seed: int, k: int, **settings: int) -> Fitted:
    """At most k splats by Newton's method and the flow."""
    began = time.perf_counter()
    x = np.concatenate([data.interior, data.boundary])
    inside = np.arange(len(x)) < len(data.interior)
    given = np.concatenate([np.zeros(len(data.interior)), data.values])
    equation = Semilinear(x, inside, EPS**2, lambda u: u - u**3, given)
    with inference():
        found = solve(bs.SplatModel(k, trend="none"), equation, jax.random.key(seed), **settings)

    def predict(new: np.ndarray) -> np.ndarray:
        with inference():
            return found.predict(new)

    live = int(found.runs[0].state.live.sum())
    note = f"{live} live; residual of the equation {found.residual[0]:.2e} to {found.residual[-1]:.2e}"
    return SplatFit(predict, 6 * live, time.perf_counter() - began, note, live=live)


def methods(options: argparse.Namespace) -> list[Method]:
    """Splats of every size first, then the peers."""
    few, steps = options.training_seeds, options.steps
    hasty = {"newton": 3, "polish": 0} if options.quick else {}

    def trained(data: Points, seed: int, k: int) -> Fitted:
        return pinn.splat_pinn(*data, k, seed=seed, steps=steps, eps=EPS)

    def network(kind: str, text: str) -> Method:
        def fit(data: Points, seed: int) -> Fitted:
            return pinn.pinn(*data, network=kind, hidden=e2.hidden(text), seed=seed, steps=steps, eps=EPS)

        return Method(f"{kind.upper()} {text}", fit, None, few)

    return [
        *(
            Method(OURS, lambda data, seed, k=k: splats(data, seed, k, **hasty), k, options.seeds)
            for k in options.sizes
        ),
        *(Method(PAPER, lambda data, seed, k=k: trained(data, seed, k), k, options.seeds) for k in options.sizes),
        *(network("mlp", text) for text in options.mlps),
        *(network("kan", text) for text in options.kans),
    ]


def errors(fitted: Fitted, data: Points) -> dict[str, float]:
    """Relative L2 error on the test points."""
    del data  # all have the same solution
    truth = functions.wave(TESTS, EPS)
    return {"error": float(np.linalg.norm(fitted.predict(TESTS) - truth) / np.linalg.norm(truth))}


def main(argv: list[str] | None = None) -> None:
    """Solve, score, write."""
    parser = argparse.ArgumentParser(description="E3: steady Allen-Cahn")
    parser.add_argument("--seeds", type=int, default=3, help="sets of points for splats, the paper's too")
    parser.add_argument("--training-seeds", type=int, default=1, help="sets of points for networks")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 50], help="k")
    parser.add_argument("--mlps", nargs="*", default=["200", "200x200"], help="hidden layers")
    parser.add_argument("--kans", nargs="*", default=["10", "20x20"], help="hidden layers, Chebyshev")
    parser.add_argument("--steps", type=int, default=5_000, help="of the paper's training and of networks")
    parser.add_argument("--interior", type=int, default=500, help="points inside")
    parser.add_argument("--boundary", type=int, default=200, help="points on the boundary")
    quick = {"seeds": 1, "sizes": [6], "mlps": ["8"], "kans": [], "steps": 50, "interior": 60, "boundary": 20}
    options = table.options(parser, argv, **quick)
    rows = table.Table(options.out / "e3_fits.csv")
    table.race(rows, methods(options), lambda seed: points(options.interior, options.boundary, seed), errors)
    found = table.summary(rows.frame, ["method", "k"], ["live"], worst="error")
    found = table.beside_paper(found, value="error")
    table.save(found, options.out / "e3.csv")
    with figure.sheet(options.out / "e3.png", 6.5, 4.2) as (panel,):
        figure.strip(panel, rows.frame, "error")
        panel.set_xlabel("relative L2 error of u")
    comparison = table.comparison(found, options.steps, value="error")
    how = {"eps": EPS, "m": len(TESTS), "machine": table.machine(), "comparison": comparison}
    section = table.markdown("E3: steady Allen-Cahn", CAPTION.format(**vars(options), **how), found, HEADS)
    table.page(options.out / "e3.md", [section])


if __name__ == "__main__":
    main()
