"""Simulated data sets: the test functions at a design, with noise of known size."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bayesplat._checks import is_number, one_of, positive_int, require
from bayesplat._typing import Float
from bayesplat.datasets import functions

SIGNAL_SD = 7.0  # donoho1994 scales each signal to 7 times the sd of unit noise


class Simulated(NamedTuple):
    """Simulated data with the truth behind them."""

    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]  # truth + noise
    truth: Float[np.ndarray, " n"]  # f at x
    f: Callable[[np.ndarray], np.ndarray]  # (m, d) -> (m,), or (m,) -> (m,) for one input; noise-free, in y's units
    noise: float  # sd of the noise, in y's units


class Problem(NamedTuple):
    """One row of the table below."""

    function: Callable[[np.ndarray], np.ndarray]
    d: int  # number of inputs
    n: int  # default number of points
    noise: float  # default noise sd
    signal: bool = False  # equispaced design and sd(f) = SIGNAL_SD, instead of uniform points and no scaling


PROBLEMS = {
    "blocks": Problem(functions.blocks, d=1, n=512, noise=1.0, signal=True),
    "bumps": Problem(functions.bumps, d=1, n=512, noise=1.0, signal=True),
    "heavisine": Problem(functions.heavisine, d=1, n=512, noise=1.0, signal=True),
    "doppler": Problem(functions.doppler, d=1, n=512, noise=1.0, signal=True),
    "chirp": Problem(functions.chirp, d=1, n=200, noise=0.0),
    "sawtooth": Problem(functions.sawtooth, d=1, n=1000, noise=0.0),
    "surface": Problem(functions.surface, d=2, n=1000, noise=0.01),
    "wave": Problem(functions.wave, d=2, n=500, noise=0.0),
}
NAMES = tuple(PROBLEMS)


def simulate(name: str, n: int | None = None, noise: float | int | None = None, seed: int = 0) -> Simulated:
    """Draw a data set from one of the test functions: y_j = f(x_j) + noise * e_j with e_j ~ N(0, 1).

    "blocks", "bumps", "heavisine", "doppler": x = (1..n)/n, f scaled so that its sd over x is 7 (donoho1994).
    "chirp", "sawtooth", "surface", "wave": x uniform on the unit box (E1, E1b, E2, E3 of daniels2025splat).
    `n` and `noise` default to the experiment's own; `f` takes new points in the unit box.
    Raises `BayesplatError` for an unknown name, n below 1 (2 for the signals), negative noise or a negative seed.

    >>> data = simulate("surface", n=50, noise=0.1)
    >>> data.x.shape, data.y.shape, data.noise
    ((50, 2), (50,), 0.1)
    >>> data.f(np.array([[0.25, 0.0]])).round(3).tolist()
    [-1.0]
    """
    problem = PROBLEMS[one_of("name", name, NAMES)]
    n = problem.n if n is None else positive_int("n", n)
    sd = problem.noise if noise is None else _not_negative("noise", noise)
    rng = np.random.default_rng(positive_int("seed", seed, least=0))
    x = _design(problem, n, rng)
    f = _truth(problem, x)
    truth = f(x)
    return Simulated(x, truth + sd * rng.standard_normal(n), truth, f, sd)


def _design(problem: Problem, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Equispaced points for a signal, uniform points on the unit box otherwise."""
    if not problem.signal:
        return rng.uniform(size=(n, problem.d))
    require(n >= 2, f"Expected `n` to be at least 2, since a signal is scaled by its spread over the points, got {n}.")
    return np.arange(1, n + 1)[:, None] / n


def _truth(problem: Problem, x: Float[np.ndarray, "n d"]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of a problem as a callable on rows of x, scaled over the design if it is a signal."""

    def unscaled(points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, dtype=float)
        if problem.d > 1:
            return problem.function(points)
        return problem.function(points[:, 0] if points.ndim == 2 else points)

    if not problem.signal:
        return unscaled
    scale = SIGNAL_SD / np.std(unscaled(x))
    return lambda points: scale * unscaled(points)


def _not_negative(name: str, value: float | int) -> float:
    """Return `value` as a finite float of at least 0, or refuse it."""
    known = is_number(value) and bool(0 <= value < np.inf)
    require(known, f"Expected `{name}` to be a number of at least 0, got {value!r}.")
    return float(value)
