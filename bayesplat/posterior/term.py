"""Splats as a part of a NumPyro program of one's own: observed with amplitudes integrated out, or as a function.

Inside such a program the sites have the names of `Problem.sites`; `numpyro.handlers.scope` keeps several terms apart.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax.flatten_util import ravel_pytree
from jaxtyping import Float
from numpyro import distributions as dist

from bayesplat import collapsed
from bayesplat._checks import BayesplatError, require
from bayesplat._typing import AnyArray, Sites
from bayesplat.measure import SplatMeasure
from bayesplat.model import Problem, with_trend
from bayesplat.posterior.program import program
from bayesplat.scaling import Scaling
from bayesplat.trend import trend_features


class SplatFunction(eqx.Module):
    """f = trend + sum of splats, in the user's units: a pytree that works under jit, vmap and grad."""

    measure: SplatMeasure
    trend: Float[AnyArray, " t"]  # coefficients on the unit box, in the units of f
    sigma: Float[AnyArray, ""]  # scale of the noise, in the units of f; the prior on amplitudes may lean on it
    scaling: Scaling
    kind: str = eqx.field(static=True)  # of the trend

    def __call__(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, " n"]:
        """Values f(x) (n,) at inputs (n, d)."""
        trend = trend_features(self.kind, self.scaling.to_box(x)) @ self.trend
        return self.scaling.mean + trend + self.measure(x)[:, 0]


class SplatTerm:
    """The splats of a model, bound to the inputs (and outputs) whose scales their priors go by."""

    def __init__(self, problem: Problem, scaling: Scaling, observed: np.ndarray | None) -> None:
        self.problem, self.scaling = problem, scaling
        self.observed = observed
        """(n,) which of the data given have a y; None where there is no y at all."""

    def __call__(self, offset: Float[AnyArray, " n"] | float = 0.0) -> Sites:
        """Observe y = offset + f(x) + noise; `offset` (n,) is whatever else explains y, in its units.

        Amplitudes are integrated out. Rows whose y is missing have no say, in `offset` either. Where there is a random
        key, as in MCMC and `numpyro.infer.Predictive`, the site "f" is a draw of f at the data with a y. Returns the
        values of the sites. Raises BayesplatError without y, in float32, or for an offset of another length.
        """
        if self.observed is None:
            raise BayesplatError("Expected a term that knows y: call model.numpyro(x, y), or use function().")
        _require_float64()
        n, shape = self.observed.size, jnp.shape(offset)
        require(shape in ((), (n,)), f"Expected `offset` to be one number or to have shape ({n},), got {shape}.")
        share = (jnp.asarray(offset)[self.observed] if shape else offset) / self.scaling.sd
        problem = eqx.tree_at(lambda problem: problem.y, self.problem, self.problem.y - share)
        values = program(problem)
        key = numpyro.prng_key()
        if key is not None:
            # NumPyro gives every draw of MCMC the same key, and Predictive each its own
            flat = ravel_pytree(values)[0]
            bits = jnp.sum(jax.lax.bitcast_convert_type(flat, jnp.uint32), dtype=jnp.uint32)
            key = jax.random.fold_in(key, bits)
            geometry = problem.geometry(values)
            coefficients = collapsed.draw_coefficients(problem.factor_at(geometry, values), key)
            f = self.scaling.mean + self.scaling.sd * problem.features(geometry) @ coefficients
            numpyro.deterministic("f", f)
        return values

    def function(self) -> SplatFunction:
        """Sample f itself, amplitudes and all, for a likelihood of one's own. Raises BayesplatError in float32."""
        _require_float64()
        problem, spec = self.problem, self.problem.spec
        table = sorted(problem.sites().items())
        values: Sites = {name: jnp.asarray(numpyro.sample(name, prior)) for name, prior in table}
        geometry = problem.geometry(values)
        numpyro.factor("repulsion", spec.prior.log_penalty(geometry.A, geometry.b))
        size = spec.n_splats + problem.n_trend
        sds = with_trend(problem.scales(values), size)
        # in units of its sd, which is how gradients like it
        standard = jnp.asarray(numpyro.sample("coefficient", dist.Normal(0.0, 1.0).expand((size,)).to_event(1)))
        coefficients = self.scaling.sd * sds * standard
        measure = SplatMeasure.from_amplitude(
            coefficients[: spec.n_splats, None],
            self.scaling.extent[:, None] * geometry.A,
            self.scaling.low + self.scaling.extent * geometry.b,
            spec.mother,
        )
        sigma = values["sigma"] * self.scaling.sd
        return SplatFunction(measure, coefficients[spec.n_splats :], sigma, self.scaling, spec.trend)


def _require_float64() -> None:
    require(
        bool(jax.config.jax_enable_x64),
        "Expected double precision: run the sampler inside `with jax.enable_x64(True):`.",
    )
