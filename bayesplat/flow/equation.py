"""Semilinear equations, whose unknown function is a sum of splats: Newton's method, every step of it a run of the flow.

    diffusion * Laplacian of u + reaction(u) = source  inside,      u = given  on the boundary.

About a function u_0 the equation is linear up to second order, L u = r with

    L u = diffusion * Laplacian of u + reaction'(u_0) u,   r = source - reaction(u_0) + reaction'(u_0) u_0,

which is regression through the operator L: the flow lowers its squared residual. Far from the solution L may be nearly
singular, so a pseudo-time step is taken off reaction' at first, in proportion to the residual left (kelley1998); once a
step raises the residual, no longer. Such steps are not taken.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from bayesplat._checks import require
from bayesplat._typing import AnyArray, Key
from bayesplat.flow import run as flow
from bayesplat.flow.descent import INTERRUPTED
from bayesplat.flow.energy import Energy
from bayesplat.flow.joint import squared_error
from bayesplat.flow.position import geometry
from bayesplat.flow.step import State
from bayesplat.model import bind
from bayesplat.operators import SecondOrder
from bayesplat.specification import Specification, features

PENALTY = 1e-14
"""Of the squared error: far below the squares that matter, and enough to keep the masses' matrix definite."""

SLOWEST = 2.0
"""Pseudo-time step taken off reaction' in the first Newton step, over the largest |reaction'(0)|."""

HASTE = flow.Settings(trial=20, rounds=40, patience=15)
"""Budget of the flow in all Newton steps but the last ones: the next one asks for other splats anyway."""


class Semilinear(NamedTuple):
    """An equation at its collocation points on the unit box."""

    x: Float[np.ndarray, "n d"]
    inside: Bool[np.ndarray, " n"]  # False on the boundary
    diffusion: float
    reaction: Callable[[AnyArray], AnyArray]  # elementwise
    given: Float[np.ndarray, " n"]  # source inside, values of u on the boundary

    def residual(self, u: Float[AnyArray, " n"], laplacian: Float[AnyArray, " n"]) -> Float[np.ndarray, " n"]:
        """What a function with these values and Laplacians lacks to be a solution."""
        inner = self.diffusion * laplacian + self.reaction(jnp.asarray(u)) - self.given
        return np.where(self.inside, inner, u - self.given)

    def linear(self, u: Float[np.ndarray, " n"], delay: float) -> tuple[SecondOrder, Float[np.ndarray, " n"]]:
        """Operator and right-hand side about a function, with `delay` taken off reaction'."""
        at = jnp.asarray(u)
        value, slope = jax.jvp(self.reaction, (at,), (jnp.ones_like(at),))
        slope = np.asarray(slope) - delay
        operator = SecondOrder(
            jnp.asarray(np.where(self.inside, self.diffusion, 0.0)), jnp.asarray(np.where(self.inside, slope, 1.0))
        )
        return operator, np.where(self.inside, self.given - np.asarray(value) + slope * u, self.given)


class Solution(NamedTuple):
    """A function that solves an equation as well as its splats can."""

    spec: Specification
    energy: Energy  # of the last linear equation
    runs: list[flow.Run]  # of the last Newton step, lowest energy first
    residual: np.ndarray  # root mean square residual of the equation after every Newton step, taken or not

    def predict(self, x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
        """Values (m,) at points on the unit box; call it within `devices.inference`, as `solve`."""
        best = self.runs[0]
        at = geometry(self.energy.problem, jax.tree.map(jnp.asarray, best.state.position))
        coefficients = np.concatenate([best.amplitude, best.trend])
        return np.asarray(features(self.spec, at, jnp.asarray(x)) @ coefficients)


def solve(
    spec: Specification, equation: Semilinear, key: Key, newton: int = 7, polish: int = 2, starts: int = 2
) -> Solution:
    """Solve by `newton` hasty steps and `polish` patient ones, from u = 0; every step goes on from the splats before.

    Returns the function of the least residual.
    Runs in float64: call it within `devices.inference`. Ctrl-C ends it after the step at hand. Raises BayesplatError
    for a model with a trend, which the squared error would shrink.
    """
    require(spec.trend == "none", f"Expected a model with trend='none', got {spec.trend!r}: splats alone solve it.")
    count = len(equation.x)
    u, laplacian = np.zeros(count), np.zeros(count)
    slope = jax.jvp(equation.reaction, (jnp.zeros(1),), (jnp.ones(1),))[1]
    # of the sign of the operator's other part, with which it must not cancel
    delay = SLOWEST * float(jnp.abs(slope)[0]) * np.sign(equation.diffusion)
    first = left = _rms(equation.residual(u, laplacian))
    found: Solution | None = None
    residuals: list[float] = []
    for step, own in enumerate(jax.random.split(key, newton + polish)):
        operator, target = equation.linear(u, delay * min(1.0, left / first if first else 0.0))
        energy = squared_error(bind(spec, equation.x, target, spec.likelihood.field(equation.x), operator), PENALTY)
        before = [_revalued(energy, run.state) for run in found.runs] if found else []
        runs = flow.run_flow(energy, own, starts, HASTE if step < newton else flow.Settings(), resume=before)
        tried = Solution(spec, energy, runs, np.zeros(0))
        values, laplacian = tried.predict(equation.x), _laplacian(tried)
        residuals.append(_rms(equation.residual(values, laplacian)))
        if found is None or residuals[-1] < left:
            found, u, left = tried, values, residuals[-1]
        else:
            delay = 0.0
        if any(run.reason == INTERRUPTED for run in runs):
            break
    assert found is not None
    return found._replace(residual=np.asarray(residuals))


def _revalued(energy: Energy, state: State) -> State:
    """The same splats with the energy that they have for another operator."""
    state = jax.tree.map(jnp.asarray, state)
    return state._replace(energy=_value(energy, state))


@eqx.filter_jit
def _value(energy: Energy, state: State) -> Float[AnyArray, ""]:
    return energy.value(state.position, state.live)


def _laplacian(found: Solution) -> Float[np.ndarray, " n"]:
    """Laplacians of the function at the collocation points; trends have none."""
    problem, best = found.energy.problem, found.runs[0]
    at = geometry(problem, jax.tree.map(jnp.asarray, best.state.position))
    ones = jnp.ones(len(problem.x))
    columns = SecondOrder(ones, jnp.zeros_like(ones)).columns(at.A, at.b, problem.x, found.spec.mother)
    return np.asarray(columns @ best.amplitude)


def _rms(residual: Float[np.ndarray, " n"]) -> float:
    return float(np.sqrt(np.mean(residual**2)))
