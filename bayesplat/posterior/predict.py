"""Predictions from draws of one posterior, or of a mixture of several, in blocks of rows, without the training data."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Float, Int

from bayesplat._typing import AnyArray, Sites
from bayesplat.likelihoods import NoiseField, Normal
from bayesplat.specification import Geometry, Specification, features
from bayesplat.tables import evenly, frame_like, sliced
from bayesplat.wording import percent

PAIRS = 2**22
"""Values of f (draws x rows) held at a time."""

PARTIAL_DRAWS, PARTIAL_ROWS = 400, 128
"""Most draws, and most data averaged over, behind a partial dependence."""


class Sample(NamedTuple):
    """Draws that predictions need, chains joined, on the unit box and standardised output."""

    A: Float[AnyArray, "s k d d"]
    b: Float[AnyArray, "s k d"]
    coefficients: Float[AnyArray, "s r"]  # amplitudes, then trend
    noise: Sites  # `sigma` (s,) and, for varying noise, `noise_weight` (s, g)


class Component(NamedTuple):
    """One posterior of a mixture, with as many draws as its weight gives it."""

    spec: Specification
    sample: Sample
    field: NoiseField


class Prediction(NamedTuple):
    """What is predicted at each row, in the units of y."""

    mean: np.ndarray  # (m,)
    sd: np.ndarray  # (m,)
    lower: np.ndarray  # (m,) end of the equal-tailed interval
    upper: np.ndarray  # (m,)
    prob: float  # probability of the interval
    kind: str  # "function": f; "observation": f plus noise; "noise": the noise's sigma(x); "average": f over the data
    x: object = None  # the inputs as they came in

    def to_frame(self) -> Any:
        """Columns mean, sd, lower, upper: a polars frame if one came in, else pandas, with the index that came in."""
        return frame_like(self.x, {name: getattr(self, name) for name in ("mean", "sd", "lower", "upper")})

    def __str__(self) -> str:
        bands = f"{percent(self.prob)} equal-tailed intervals"
        return f"Prediction of the {self.kind} at {self.mean.size} rows, with {bands}"

    __repr__ = __str__


def predict(
    components: tuple[Component, ...],
    x: Float[np.ndarray, "m d"],
    prob: float,
    kind: str,
    error: Float[np.ndarray, " m"] | None = None,
) -> Prediction:
    """Mean, sd and equal-tailed interval of a mixture at inputs on the unit box, standardised output.

    `error` holds known sds of the measurements of new observations.
    """
    tails = ((1 - prob) / 2, min((1 + prob) / 2, float(np.nextafter(1, 0))))  # which rounds to 1 next to it
    parts = []
    for rows, errors in zip(_blocks(x, components), _columns(error, len(x), components), strict=True):
        if kind == "observation":
            parts.append(jax.tree.map(np.asarray, _observation(components, rows, errors, tails)))
        else:
            value = functions if kind == "function" else noise_sd
            drawn = _drawn(value, components, rows)
            parts.append((drawn.mean(0), drawn.std(0), *np.quantile(drawn, tails, axis=0)))
    mean, sd, lower, upper = (np.concatenate(part)[: len(x)] for part in zip(*parts, strict=True))
    return Prediction(mean, sd, lower, upper, prob, kind)


def draws(components: tuple[Component, ...], x: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "s m"]:
    """Draws of f of a mixture at inputs on the unit box, standardised output."""
    blocks = [_drawn(functions, components, rows) for rows in _blocks(x, components)]
    return np.concatenate(blocks, 1)[:, : len(x)]


def _drawn(
    value: Callable[..., Float[AnyArray, "s m"]], components: tuple[Component, ...], rows: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "s m"]:
    return np.concatenate([np.asarray(value(component, rows)) for component in components])


def partial_dependence(
    component: Component, x: Float[np.ndarray, "n d"], j: int, at: Float[np.ndarray, " m"], prob: float
) -> Prediction:
    """Average of f over the data x with input j at each value of `at`; on the unit box, standardised output."""
    sample = jax.tree.map(lambda leaf: leaf[evenly(len(leaf), PARTIAL_DRAWS)], component.sample)
    rows = x[sliced(len(x), PARTIAL_ROWS)]
    drawn = np.asarray(_averages(component._replace(sample=sample), rows, jnp.asarray(j), at))
    lower, upper = np.quantile(drawn, ((1 - prob) / 2, (1 + prob) / 2), axis=0)
    return Prediction(drawn.mean(0), drawn.std(0), lower, upper, prob, "average")


@eqx.filter_jit
def _averages(
    component: Component, x: Float[AnyArray, "n d"], j: Int[AnyArray, ""], at: Float[AnyArray, " m"]
) -> Float[AnyArray, "s m"]:
    return jax.lax.map(lambda value: functions(component, jnp.asarray(x).at[:, j].set(value)).mean(1), at).T


def log_predictive_density(
    components: tuple[Component, ...],
    x: Float[np.ndarray, "m d"],
    y: Float[np.ndarray, " m"],
    error: Float[np.ndarray, " m"] | None = None,
) -> Float[np.ndarray, " m"]:
    """Log p(y | data) at every row: the log of the mean density over draws, standardised output."""
    return _at_rows(_log_density, components, x, y, error)


def cdf(
    components: tuple[Component, ...],
    x: Float[np.ndarray, "m d"],
    y: Float[np.ndarray, " m"],
    error: Float[np.ndarray, " m"] | None = None,
) -> Float[np.ndarray, " m"]:
    """P(y' <= y | data) at every row: the mean distribution function over draws, standardised output."""
    return _at_rows(_cdf, components, x, y, error)


def _at_rows(
    value: Callable[..., Float[AnyArray, " m"]],
    components: tuple[Component, ...],
    x: Float[np.ndarray, "m d"],
    y: Float[np.ndarray, " m"],
    error: Float[np.ndarray, " m"] | None,
) -> Float[np.ndarray, " m"]:
    columns = (_columns(one, len(x), components) for one in (y, error))
    blocks = zip(_blocks(x, components), *columns, strict=True)
    return np.concatenate([np.asarray(value(components, *block)) for block in blocks])[: len(x)]


def _rows(components: tuple[Component, ...]) -> int:
    return int(np.clip(PAIRS // sum(len(component.sample.A) for component in components), 16, 256))


def _blocks(x: Float[np.ndarray, "m d"], components: tuple[Component, ...]) -> list[np.ndarray]:
    """Blocks of equally many rows, the last one filled up, so that every block runs the same compiled code."""
    rows = _rows(components)
    padded = np.concatenate([x, np.repeat(x[:1], -len(x) % rows, axis=0)])
    return list(padded.reshape(-1, rows, x.shape[1]))


def _columns(
    values: Float[np.ndarray, " m"] | None, m: int, components: tuple[Component, ...]
) -> list[np.ndarray] | list[None]:
    """One value a row in the same blocks; as many times nothing where there are none."""
    rows = _rows(components)
    if values is None:
        return [None] * -(-m // rows)
    return list(np.concatenate([values, np.zeros(-m % rows)]).reshape(-1, rows))


@eqx.filter_jit
def functions(component: Component, x: Float[AnyArray, "m d"]) -> Float[AnyArray, "s m"]:
    """F = trend + splats of every draw at inputs on the unit box."""
    spec, sample = component.spec, component.sample

    def one(A: AnyArray, b: AnyArray, coefficients: AnyArray) -> AnyArray:
        return features(spec, Geometry(A, b, jnp.zeros(b.shape[0])), x) @ coefficients

    return jax.lax.map(lambda draw: one(*draw), (sample.A, sample.b, sample.coefficients), batch_size=16)


@eqx.filter_jit
def noise_sd(component: Component, x: Float[AnyArray, "m d"]) -> Float[AnyArray, "s m"]:
    """Scale sigma(x) of the noise of every draw at inputs on the unit box."""
    at = component.field.features(x)
    return jax.vmap(lambda noise: component.spec.likelihood.sd(noise, at))(component.sample.noise)


class Law(NamedTuple):
    """How new observations at some rows scatter, given every draw of one posterior."""

    likelihood: Normal
    f: Float[AnyArray, "s m"]
    sd: Float[AnyArray, "s m"]  # scale of the noise
    error: Float[AnyArray, " m"] | None  # known sd of their measurement

    def log_density(self, y: Float[AnyArray, " m"]) -> Float[AnyArray, "s m"]:
        """Log density at y."""
        if self.error is None:
            return self.likelihood.log_density(y[None, :], self.f, self.sd)
        return self._with_error(y, 0)

    def cdf(self, y: Float[AnyArray, " m"]) -> Float[AnyArray, "s m"]:
        """Distribution function at y."""
        if self.error is None:
            return self.likelihood.cdf(y[None, :], self.f, self.sd)
        return self._with_error(y, 1)

    def _with_error(self, y: Float[AnyArray, " m"], part: int) -> Float[AnyArray, "s m"]:
        """The same where a Gaussian error adds to the noise: log density (part 0) or distribution function (1)."""
        assert self.error is not None
        variance = self.error**2

        def one(draw: tuple[AnyArray, AnyArray]) -> AnyArray:
            f, sd = draw
            return self.likelihood.log_predictive(y, f, variance, sd)[part]

        return jax.lax.map(one, (self.f, self.sd), batch_size=16)

    @property
    def variance(self) -> Float[AnyArray, "s m"]:
        """Variance about f."""
        noise = self.likelihood.variance(self.sd)
        return noise if self.error is None else noise + self.error**2


def _laws(
    components: tuple[Component, ...], x: Float[AnyArray, "m d"], error: Float[AnyArray, " m"] | None
) -> list[Law]:
    return [Law(each.spec.likelihood, functions(each, x), noise_sd(each, x), error) for each in components]


@eqx.filter_jit
def _log_density(
    components: tuple[Component, ...],
    x: Float[AnyArray, "m d"],
    y: Float[AnyArray, " m"],
    error: Float[AnyArray, " m"] | None,
) -> Float[AnyArray, " m"]:
    log_density = jnp.concatenate([law.log_density(y) for law in _laws(components, x, error)])
    return logsumexp(log_density, 0) - jnp.log(log_density.shape[0])


@eqx.filter_jit
def _cdf(
    components: tuple[Component, ...],
    x: Float[AnyArray, "m d"],
    y: Float[AnyArray, " m"],
    error: Float[AnyArray, " m"] | None,
) -> Float[AnyArray, " m"]:
    return jnp.concatenate([law.cdf(y) for law in _laws(components, x, error)]).mean(0)


@eqx.filter_jit
def _observation(
    components: tuple[Component, ...],
    x: Float[AnyArray, "m d"],
    error: Float[AnyArray, " m"] | None,
    tails: tuple[float, float],
) -> tuple[Float[AnyArray, " m"], ...]:
    """Moments and quantiles of a new observation: exact for the mixture over draws, so nothing is simulated."""
    laws = _laws(components, x, error)
    f = jnp.concatenate([law.f for law in laws])
    scatter = jnp.concatenate([law.variance for law in laws])
    mean, variance = f.mean(0), f.var(0) + scatter.mean(0)

    def below(y: AnyArray) -> AnyArray:
        return jnp.concatenate([law.cdf(y) for law in laws]).mean(0)

    def quantile(prob: float) -> Float[AnyArray, " m"]:
        def halve(_: object, ends: tuple[AnyArray, AnyArray]) -> tuple[AnyArray, AnyArray]:
            low, high = ends
            middle = 0.5 * (low + high)
            short = below(middle) < prob
            return jnp.where(short, middle, low), jnp.where(short, high, middle)

        # Cantelli: a quantile lies within sqrt((1 - p) / p) sds of the mean, whatever the distribution
        reach = jnp.sqrt(variance * max(prob / (1 - prob), (1 - prob) / prob))
        low, high = jax.lax.fori_loop(0, 40, halve, (mean - reach, mean + reach))
        return 0.5 * (low + high)

    return mean, jnp.sqrt(variance), quantile(tails[0]), quantile(tails[1])
