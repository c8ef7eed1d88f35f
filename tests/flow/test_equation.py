"""Semilinear equations: what Newton's method linearises, and that it ends at the solution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import BayesplatError, SplatModel
from bayesplat.datasets import functions
from bayesplat.devices import inference
from bayesplat.flow import equation as equations
from bayesplat.flow import reaction
from bayesplat.flow import run as flow
from bayesplat.flow.descent import INTERRUPTED
from bayesplat.flow.equation import Semilinear, solve
from bayesplat.flow.step import State

EPS, WIDE = 0.1, 0.3  # a front as narrow as EPS would hardly know where it is on a line


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


def wave(x, slope=1 / (2 * WIDE)):
    return np.tanh(slope * 2 * (x[:, 0] - 0.5))


def line(n=40):
    """eps^2 u'' / 2 + u - u^3 = 0 on [0, 1], solved by the wave."""
    x = np.concatenate([[[0.0], [1.0]], np.random.default_rng(0).uniform(size=(n, 1))])
    inside = np.arange(n + 2) > 1
    return Semilinear(x, inside, WIDE**2 / 2, lambda u: u - u**3, np.where(inside, 0.0, wave(x)))


def square():
    """Allen-Cahn with a source, at points of the unit square."""
    rng = np.random.default_rng(1)
    return Semilinear(rng.uniform(size=(9, 2)), np.arange(9) > 3, 0.3, lambda u: u - u**3, rng.normal(size=9))


def test_the_linear_equation_has_the_residual_of_the_equation_and_its_slope():
    """At u_0 the residual itself; along a direction, to first order, what the equation gains."""
    equation, rng = square(), np.random.default_rng(2)
    (u, bend), (du, dbend) = rng.normal(size=(2, 2, 9))
    operator, target = equation.linear(u, delay=0.0)

    def left(u, bend):
        return np.asarray(operator.diffusion * bend + operator.potential * u) - target

    np.testing.assert_allclose(left(u, bend), equation.residual(u, bend), atol=1e-14)
    up, down = (equation.residual(u + step * du, bend + step * dbend) for step in (1e-6, -1e-6))
    slope = left(u + du, bend + dbend) - left(u, bend)
    np.testing.assert_allclose((up - down) / 2e-6, slope, rtol=1e-7, atol=1e-9)


def test_a_delay_moves_no_fixed_point_and_leaves_the_boundary_alone():
    equation, (u, bend) = square(), np.random.default_rng(3).normal(size=(2, 9))
    operator, target = equation.linear(u, delay=5.0)
    late = np.asarray(operator.diffusion * bend + operator.potential * u) - target
    np.testing.assert_allclose(late, equation.residual(u, bend), atol=1e-14)
    np.testing.assert_array_equal(operator.potential[:4], 1.0)
    np.testing.assert_array_equal(operator.diffusion[:4], 0.0)


def residual_of(u):
    """Root mean square residual of Allen-Cahn on the square, u given as a function of one point."""
    x = np.random.default_rng(4).uniform(size=(50, 2))
    equation = Semilinear(x, np.ones(50, bool), EPS**2, lambda u: u - u**3, np.zeros(50))
    bend = jax.vmap(lambda at: jnp.trace(jax.hessian(u)(at)))(jnp.asarray(x))
    return np.sqrt(np.mean(equation.residual(functions.wave(x, EPS), bend) ** 2))


def test_the_plane_wave_solves_allen_cahn_and_the_published_one_does_not():
    assert residual_of(lambda x: jnp.tanh((x.sum() - 1) / (2 * EPS))) < 1e-12
    assert residual_of(lambda x: jnp.tanh((x.sum() - 1) / (2**0.5 * EPS))) > 0.1


def test_newton_ends_at_the_solution():
    found = solve(SplatModel(8, trend="none"), line(), jax.random.key(0), newton=7, polish=1, starts=1)
    grid = np.linspace(0, 1, 101)[:, None]
    assert np.abs(found.predict(grid) - wave(grid)).max() < 1e-3
    assert found.residual[-1] < 1e-3 < found.residual[0]
    assert found.residual.shape == (8,)
    assert np.abs(found.predict(grid) - wave(grid, 1 / (2**0.5 * WIDE))).max() > 0.05


def on_fixed_splats(energy, key, starts, settings, resume=()):
    """Stands for the flow: the masses alone, solved exactly."""
    at = energy.start(25)
    at = at._replace(centre=jnp.linspace(-0.1, 1.1, 25)[:, None], excess=jnp.full((25, 1), jnp.log(0.08)))
    amplitude, trend = reaction.exact(energy, at, jnp.ones(25, bool))
    state = State(at, jnp.ones(25, bool), jnp.zeros(()))
    nothing = np.zeros(1)
    return [flow.Run(state, np.asarray(amplitude), np.asarray(trend), nothing, nothing, nothing, "", "", 0.0)]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("potential", [-1.0, 1.0, 20.0, 30.0])
def test_linear_equations_of_either_sign_are_solved(potential, sign, monkeypatch):
    """D u'' + c u = 0 and its negative, oscillating (c > pi^2 D) or not: the pseudo-time step must not lead away."""
    monkeypatch.setattr(flow, "run_flow", on_fixed_splats)
    k = abs(potential) ** 0.5
    truth = np.sin if potential > 0 else np.sinh
    x = np.concatenate([[0.0, 1.0], np.linspace(0, 1, 42)[1:-1]])[:, None]
    inside = np.arange(42) > 1
    given = np.where(inside, 0.0, truth(k * x[:, 0]))
    equation = Semilinear(x, inside, float(sign), lambda u: sign * potential * u, given)
    found = solve(SplatModel(25, trend="none"), equation, jax.random.key(0))
    grid = np.linspace(0, 1, 21)[:, None]
    assert np.abs(found.predict(grid) - truth(k * grid[:, 0])).max() < 1e-2
    assert found.residual.shape == (9,)


def test_an_interrupt_ends_it_after_the_step_at_hand(monkeypatch):
    calls, whole = [], flow.run_flow

    def interrupted(*asked, **settings):
        calls.append(None)
        reason = INTERRUPTED if len(calls) == 2 else "done"
        return [run._replace(reason=reason) for run in whole(*asked, **settings)]

    monkeypatch.setattr(flow, "run_flow", interrupted)
    found = solve(SplatModel(8, trend="none"), line(), jax.random.key(0), newton=7, polish=1, starts=1)
    assert len(calls) == len(found.residual) == 2


def test_a_trend_is_refused():
    with pytest.raises(BayesplatError, match="trend='none', got 'constant'"):
        solve(SplatModel(8), line(), jax.random.key(0))


def test_planted_fault_a_late_operator_with_a_prompt_right_hand_side_ends_elsewhere(monkeypatch):
    """Without the delay in the target, the fixed point is that of another equation."""
    prompt = Semilinear.linear

    def faulty(self, u, delay):
        return prompt(self, u, 1.0)[0], prompt(self, u, 0.0)[1]

    monkeypatch.setattr(Semilinear, "linear", faulty)
    found = equations.solve(SplatModel(8, trend="none"), line(), jax.random.key(0), newton=7, polish=0, starts=1)
    assert found.residual[-1] > 1e-2
