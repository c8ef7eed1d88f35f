"""Fits as users see them: in their units."""

import jax.numpy as jnp
import numpy as np
from posterior.problems import SQUARE, problem_of

from bayesplat.flow import result
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.position import geometry
from bayesplat.flow.step import State
from bayesplat.priors import Ridge
from bayesplat.scaling import Scaling


def test_tilted_splats_of_two_inputs_are_the_same_in_units(x64):
    rng, k = np.random.default_rng(0), 2
    problem = problem_of(Ridge(), k=k, x=SQUARE)
    energy = neg_log_evidence(problem)
    centre, shear = jnp.asarray(rng.uniform(size=(k, 2))), jnp.full((k, 1), 0.7)
    position = energy.start(k)._replace(centre=centre, shear=shear)
    scaling, amplitude = Scaling(np.array([-3.0, 100.0]), np.array([2.0, 5000.0]), 7.0, 0.5), rng.normal(size=k)
    measure, _ = result._in_units(energy, State(position, np.ones(k, bool), np.zeros(())), amplitude, scaling)
    at = geometry(problem, position)
    expected = scaling.sd * problem.columns(at.A, at.b) @ amplitude
    np.testing.assert_allclose(measure(scaling.low + scaling.extent * SQUARE)[:, 0], expected, rtol=1e-8)
