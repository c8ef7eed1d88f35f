"""Bayesian splat regression: y = trend + sum_i v_i rho(A_i^-1 (x - b_i)) / |det A_i| + noise."""

from importlib import import_module
from typing import Any

from bayesplat import datasets, mothers
from bayesplat._checks import BayesplatError
from bayesplat.advice import Advice, advise
from bayesplat.compare import Comparison, compare
from bayesplat.flow.result import PointFit
from bayesplat.kfold import KFold, kfold
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.measure import SplatMeasure
from bayesplat.posterior.predict import Prediction
from bayesplat.priors import R2D2, Centres, Flat, Lengths, RegularizedHorseshoe, Repulsive, Ridge, StickBreaking
from bayesplat.regression import SplatModel, load
from bayesplat.reloo import reloo
from bayesplat.report import report
from bayesplat.results import Posterior
from bayesplat.resume import resume

__version__ = "0.1.0"

__all__ = [
    "R2D2",
    "Advice",
    "BayesplatError",
    "Centres",
    "Comparison",
    "Flat",
    "KFold",
    "Lengths",
    "Normal",
    "PointFit",
    "Posterior",
    "Prediction",
    "RegularizedHorseshoe",
    "Repulsive",
    "Ridge",
    "SplatMeasure",
    "SplatModel",
    "StickBreaking",
    "StudentT",
    "advise",
    "compare",
    "datasets",
    "kfold",
    "load",
    "mothers",
    "plots",
    "reloo",
    "report",
    "resume",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    # matplotlib is only paid for by those who draw
    if name == "plots":
        return import_module("bayesplat.plots")
    raise AttributeError(f"module 'bayesplat' has no attribute {name!r}")
