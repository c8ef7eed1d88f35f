"""Predictions in the user's units, from one posterior or from a mixture of several."""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bayesplat._checks import fraction, one_of, require
from bayesplat.devices import inference
from bayesplat.diagnostics.pool import counts, spread
from bayesplat.posterior import predict as predictions
from bayesplat.posterior.predict import Component, Prediction
from bayesplat.scaling import Scaling
from bayesplat.tables import as_errors, as_inputs, as_output


class Predictor(NamedTuple):
    """All that predictions need: draws, each of the same weight, and the user's units and names."""

    components: tuple[Component, ...]
    scaling: Scaling
    names: tuple[str, ...]  # of the inputs, then of the output

    def predict(self, x_new: object, prob: float, kind: str, y_err: object = None) -> Prediction:
        """Mean, sd and equal-tailed interval at new inputs, as `Posterior.predict` says."""
        fraction("prob", prob)
        one_of("kind", kind, ("function", "observation", "noise"))
        require(y_err is None or kind == "observation", f"Expected `y_err` with kind='observation', got {kind!r}.")
        x = self._inside(x_new)
        error = self._errors(y_err, np.zeros(len(x)))
        with inference():
            p = predictions.predict(self.components, x, prob, kind, error)
        return self.in_units(p, 0.0 if kind == "noise" else self.scaling.mean, x_new)

    def draws(self, x_new: object) -> Float[np.ndarray, "s m"]:
        """Draws of f at new inputs, in the units of y, as `Posterior.draws` says."""
        x = self._inside(x_new)
        with inference():
            drawn = predictions.draws(self.components, x)
        return self.scaling.mean + self.scaling.sd * drawn

    def _inside(self, x_new: object) -> Float[np.ndarray, "m d"]:
        """New inputs on the unit box; a warning where they are further out than any splat's centre."""
        x = np.asarray(self.scaling.to_box(as_inputs(x_new, "x_new", self.names[:-1])))
        margin = max(component.spec.centres.margin for component in self.components)
        beyond = int(((x < -margin) | (x > 1 + margin)).any(1).sum())
        if beyond:
            message = (
                f"{beyond} of {len(x)} rows of `x_new` lie beyond the data: f returns to the trend there, and its "
                "bands are too narrow."
            )
            warnings.warn(message, UserWarning, stacklevel=4)
        return x

    def log_predictive_density(self, x_new: object, y_new: object, y_err: object = None) -> Float[np.ndarray, " m"]:
        """Log p(y_new | data) at every row, per unit of y. NaN where y_new is missing."""
        score = self._at(predictions.log_predictive_density, x_new, y_new, y_err)
        return score - np.log(self.scaling.sd)

    def cdf(self, x_new: object, y_new: object, y_err: object = None) -> Float[np.ndarray, " m"]:
        """Probability of a y below y_new at every row. NaN where y_new is missing."""
        return self._at(predictions.cdf, x_new, y_new, y_err)

    def _at(
        self, value: Callable[..., Float[np.ndarray, " m"]], x_new: object, y_new: object, y_err: object
    ) -> Float[np.ndarray, " m"]:
        """What is asked of new outputs, standardised."""
        x = as_inputs(x_new, "x_new", self.names[:-1])
        y = as_output(y_new, x.shape[0], "y_new")
        error, box = self._errors(y_err, y), np.asarray(self.scaling.to_box(x))
        with inference():
            return value(self.components, box, np.asarray(self.scaling.to_standard(y)), error)

    def _errors(self, y_err: object, y: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"] | None:
        """Known errors of new outputs, standardised."""
        return None if y_err is None else as_errors(y_err, y) / self.scaling.sd

    def in_units(self, p: Prediction, level: float, x: object) -> Prediction:
        """A standardised prediction in the units of y, about this level."""
        low, high, mean = (level + self.scaling.sd * part for part in (p.lower, p.upper, p.mean))
        return Prediction(mean, self.scaling.sd * p.sd, low, high, p.prob, p.kind, x)


def mixture(predictors: Sequence[Predictor], weights: Float[np.ndarray, " m"]) -> Predictor:
    """The predictors of several posteriors of the same data as one: each gives its share of all their draws.

    Raises BayesplatError where their units differ.
    """
    scalings = [predictor.scaling for predictor in predictors]
    same = all(np.allclose(a, b) for scaling in scalings for a, b in zip(scalings[0], scaling, strict=True))
    require(same, "Expected posteriors of the same data to have the same units; fit them again.")
    components = [component for predictor in predictors for component in predictor.components]
    shares = counts(weights, sum(_size(component) for component in components))
    mixed = tuple(_thinned(each, int(share)) for each, share in zip(components, shares, strict=True) if share)
    return Predictor(mixed, *predictors[0][1:])


def _size(component: Component) -> int:
    return len(component.sample.A)


def _thinned(component: Component, share: int) -> Component:
    at = spread(share, _size(component))
    return component._replace(sample=jax.tree.map(lambda leaf: leaf[at], component.sample))
