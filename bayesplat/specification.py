"""What is fitted, without the data: the parts of a model, and how they make scales, centres and heights of sites."""

from dataclasses import dataclass, fields
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from bayesplat._checks import one_of, positive_int, require
from bayesplat._typing import AnyArray, Sites
from bayesplat.evaluate import heights
from bayesplat.likelihoods import Normal
from bayesplat.mothers import Gaussian, Mother
from bayesplat.priors import AmplitudePrior, Box, Centres, Lengths, RegularizedHorseshoe, shear_sites
from bayesplat.priors.sites import SiteTable
from bayesplat.scales import Scale, family
from bayesplat.trend import TRENDS, trend_features


@dataclass(frozen=True)
class Specification:
    """What is fitted, without the data: y = trend + sum_i a_i height_i(x) + noise."""

    n_splats: int = 20
    """Number of splats k: generous, since the prior switches off those that are not needed."""
    prior: AmplitudePrior = RegularizedHorseshoe()
    """Prior on amplitudes: the regulariser."""
    likelihood: Normal = Normal()
    """How data scatter about f."""
    mother: Mother = Gaussian()
    """Shape of every splat."""
    covariance: str = "full"
    """Scale family: "spherical", "diag" or "full"; the same thing for one input."""
    trend: str = "constant"
    """"none" (f is 0 without splats), "constant" or "linear"."""
    lengths: Lengths = Lengths()
    """Prior on axis lengths, as fractions of each input's range."""
    centres: Centres = Centres()
    """Prior on centres, on the unit box."""

    def __post_init__(self) -> None:
        # JAX would take a NumPy integer for data
        object.__setattr__(self, "n_splats", positive_int("n_splats", self.n_splats))
        parts = {
            "prior": AmplitudePrior,
            "likelihood": Normal,
            "mother": Mother,
            "lengths": Lengths,
            "centres": Centres,
        }
        for name, kind in parts.items():
            value = getattr(self, name)
            hint = f"; did you mean {value.__name__}()?" if isinstance(value, type) else "."
            hint = f"; write an object, such as {getattr(type(self), name)!r}." if isinstance(value, str) else hint
            require(isinstance(value, kind), f"Expected `{name}` to be {_an(kind)} object, got {value!r}{hint}")
        family(self.covariance)
        one_of("trend", self.trend, TRENDS)
        self.prior.check(self.n_splats)
        kinds = len(self.mother.kinds)
        require(
            self.n_splats >= kinds,
            f"Expected `n_splats` of at least {kinds}, one for each of the mothers, got {self.n_splats}.",
        )

    @property
    def scale_family(self) -> Scale:
        """The family of scales A."""
        return family(self.covariance)

    def __str__(self) -> str:
        rows = [f"  {f.name:<11} {getattr(self, f.name)!r}" for f in fields(self) if f.name != "n_splats"]
        return f"{type(self).__name__} with {self.n_splats} splats\n" + "\n".join(rows)


def _an(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


class Geometry(NamedTuple):
    """Scales and centres of all splats on the unit box."""

    A: Float[AnyArray, "k d d"]
    b: Float[AnyArray, "k d"]
    log_det: Float[AnyArray, " k"]


def geometry_sites(spec: Specification, box: Box, k: int) -> SiteTable:
    """Sites of scales and centres of k splats."""
    lengths = spec.prior.lengths(spec.lengths)
    return {
        **lengths.sites(k, spec.scale_family, box),
        **shear_sites(k, spec.scale_family, box.d, lengths.lkj),
        **spec.centres.sites(k, box),
    }


def geometry(spec: Specification, values: Sites, box: Box) -> Geometry:
    """Scales and centres from the values of the geometry sites."""
    log_lengths = box.log_lengths(spec.prior.lengths(spec.lengths).excess(values))
    shears = values.get("shear", jnp.zeros((values["centre"].shape[0], 0)))
    A, log_det = scale_matrices(spec, log_lengths, shears, box.d)
    return Geometry(A, values["centre"], log_det)


def scale_matrices(
    spec: Specification, log_lengths: Float[AnyArray, "k q"], shears: Float[AnyArray, "k c"], d: int
) -> tuple[Float[AnyArray, "k d d"], Float[AnyArray, " k"]]:
    """Scales A and log|det A| of all splats."""
    return jax.vmap(lambda length, shear: spec.scale_family.constrain(length, shear, d))(log_lengths, shears)


def features(spec: Specification, geometry: Geometry, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n r"]:
    """Heights of all splats at inputs on the unit box, then the trend's columns."""
    return jnp.concatenate([heights(geometry.A, geometry.b, x, spec.mother), trend_features(spec.trend, x)], 1)
