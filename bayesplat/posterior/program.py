"""The model as a NumPyro program, and as a potential on unconstrained coordinates; tests hold the two equal."""

import jax.numpy as jnp
import numpyro
from jaxtyping import Float

from bayesplat._typing import AnyArray, Sites
from bayesplat.model import Problem
from bayesplat.priors.sites import constrain


def program(problem: Problem) -> Sites:
    """NumPyro program over every site but the amplitudes, which are integrated out by one factor."""
    # in the order of their names, as every other vector of sites is laid out
    table = sorted(problem.sites().items())
    values: Sites = {name: jnp.asarray(numpyro.sample(name, prior)) for name, prior in table}
    numpyro.factor("collapsed", problem.log_rest(values))
    return values


def potential(problem: Problem, position: Sites) -> Float[AnyArray, ""]:
    """Minus the log joint at an unconstrained position, with the log Jacobian of the change of coordinates."""
    values, log_jacobian = constrain(problem.sites(), position)
    return -(problem.log_joint(values) + log_jacobian)
