"""Draws from an approximation of the posterior, with the log weights that judge it."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bayesplat._typing import AnyArray, Sites
from bayesplat.model import Problem
from bayesplat.posterior.program import potential

BATCH = 64
"""Draws weighed at a time: bounds memory."""


class Approximation(NamedTuple):
    """Draws from approximations, one for each start; leading axes (starts, draws)."""

    values: Sites  # of the model's sites
    log_p: np.ndarray  # (starts, draws) log joint density of the model at each draw, unconstrained coordinates
    log_q: np.ndarray  # (starts, draws) log density of the approximation there
    interrupted: bool


class Progress(NamedTuple):
    """Where the optimisation stands."""

    done: int
    total: int
    loss: float  # nats


def log_joint(problem: Problem, positions: Sites) -> Float[AnyArray, " s"]:
    """Log joint density of the model at unconstrained positions, leading axis s, up to the same constant for all."""
    return -jax.lax.map(lambda z: potential(problem, z), positions, batch_size=BATCH)
