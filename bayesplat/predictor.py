"""Predictions in the user's units, from one posterior or from a mixture of several."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

from bayesplat._checks import fraction, one_of, require, warn
from bayesplat.devices import inference
from bayesplat.diagnostics.pool import counts, spread
from bayesplat.posterior import predict as predictions
from bayesplat.posterior.predict import Component, Prediction
from bayesplat.scaling import Scaling, in_reach
from bayesplat.tables import Table, as_errors, as_inputs, as_output
from bayesplat.wording import percent


class Predictor(NamedTuple):
    """All that predictions need: draws, each of the same weight, and the user's units and names."""

    components: tuple[Component, ...]
    scaling: Scaling
    names: tuple[str, ...]  # of the inputs, then of the output
    still: Bool[np.ndarray, " d"]  # which inputs were constant in the fit
    measured: bool  # whether the data of the fit had known errors

    def predict(self, x_new: object, prob: float, kind: str, y_err: object = None) -> Prediction:
        """Mean, sd and equal-tailed interval at new inputs, as `Posterior.predict` says."""
        prob = fraction("prob", prob)
        one_of("kind", kind, ("function", "observation", "noise"))
        require(y_err is None or kind == "observation", f"Expected `y_err` with kind='observation', got {kind!r}.")
        if kind == "observation":
            self._ask_for_errors(y_err)
        else:
            self._ask_for_draws(prob)
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
        """New inputs on the unit box; a warning where the fit knows nothing: further out than any splat's centre."""
        margin = max(component.spec.centres.margin for component in self.components)
        raw = as_inputs(x_new, "x_new", self.names[:-1])
        return in_reach(raw, self.scaling, self.still, margin, self.names)

    def log_predictive_density(self, x_new: object, y_new: object, y_err: object = None) -> Float[np.ndarray, " m"]:
        """Log p(y_new | data) at every row, per unit of y. NaN where y_new is missing."""
        self._ask_for_errors(y_err)
        x = self._inside(x_new)
        return self._log_density(x, as_output(y_new, len(x), "y_new", "x_new"), y_err)

    def log_density(self, table: Table) -> Float[np.ndarray, " m"]:
        """The same for rows that the package has read and left out itself: nobody is warned of them."""
        x, y, y_err = table
        return self._log_density(np.asarray(self.scaling.to_box(x)), y, y_err)

    def cdf(self, table: Table) -> Float[np.ndarray, " m"]:
        """Probability of a smaller y at every such row. NaN where y is missing."""
        x, y, y_err = table
        return self._at(predictions.cdf, np.asarray(self.scaling.to_box(x)), y, y_err)

    def _log_density(
        self, x: Float[np.ndarray, "m d"], y: Float[np.ndarray, " m"], y_err: object
    ) -> Float[np.ndarray, " m"]:
        return self._at(predictions.log_predictive_density, x, y, y_err) - np.log(self.scaling.sd)

    def _at(
        self,
        value: Callable[..., Float[np.ndarray, " m"]],
        x: Float[np.ndarray, "m d"],
        y: Float[np.ndarray, " m"],
        y_err: object,
    ) -> Float[np.ndarray, " m"]:
        """What is asked of outputs at inputs on the unit box, standardised."""
        error = self._errors(y_err, y)
        with inference():
            return value(self.components, x, np.asarray(self.scaling.to_standard(y)), error)

    def _ask_for_errors(self, y_err: object) -> None:
        """Warn where new measurements are spoken of as if they had no errors, though those of the fit had."""
        if self.measured and y_err is None:
            message = (
                "The data of the fit had known errors, the new ones are taken to have none: intervals are too narrow "
                "for measurements like those of the fit; give their sds (`y_err`, or --error), or 0."
            )
            warn(message)

    def _ask_for_draws(self, prob: float) -> None:
        """Warn where the ends of an interval lie beyond all draws."""
        drawn = sum(_size(component) for component in self.components)
        if drawn * (1 - prob) / 2 < 1:
            warn(
                f"Intervals of {percent(prob)} end beyond what {drawn} draws can tell, and reach no further than "
                "these: sample more draws, or lower `prob`."
            )

    def _errors(self, y_err: object, y: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"] | None:
        """Known errors of new outputs, standardised."""
        return None if y_err is None else as_errors(y_err, y) / self.scaling.sd

    def in_units(self, p: Prediction, level: float, x: object) -> Prediction:
        """A standardised prediction in the units of y, about this level."""
        low, high, mean = (level + self.scaling.sd * part for part in (p.lower, p.upper, p.mean))
        return Prediction(mean, self.scaling.sd * p.sd, low, high, p.prob, p.kind, x)


def mixture(predictors: Sequence[Predictor], weights: Float[np.ndarray, " m"]) -> Predictor:
    """The predictors of several posteriors of the same data as one: each gives its share of all their draws.

    Raises BayesplatError where their inputs differ.
    """
    first = predictors[0].scaling
    same = all(np.array_equal(a, b) for one in predictors for a, b in zip(first[:2], one.scaling[:2], strict=True))
    require(same, "Expected posteriors of the same inputs; fit them again.")
    components = [_rescaled(part, each.scaling, first) for each in predictors for part in each.components]
    shares = counts(weights, sum(_size(component) for component in components))
    mixed = tuple(_thinned(each, int(share)) for each, share in zip(components, shares, strict=True) if share)
    return Predictor(mixed, *predictors[0][1:])


def _rescaled(component: Component, own: Scaling, common: Scaling) -> Component:
    """The same posterior by another scaling of y, as models with and without a trend have them: its trend shifts."""
    ratio, level = own.sd / common.sd, (own.mean - common.mean) / common.sd
    if (ratio, level) == (1, 0):
        return component
    spec, sample, k = component.spec, component.sample, component.spec.n_splats
    coefficients = np.asarray(sample.coefficients) * ratio
    if spec.trend == "none":
        spec, coefficients = replace(spec, trend="constant"), np.pad(coefficients, ((0, 0), (0, 1)))
    coefficients[:, k] += level
    # the floor of sigma, 1e-5 sds of y, becomes that of the other sd: far below any noise that matters to a mixture
    noise = {**sample.noise, "sigma": np.asarray(sample.noise["sigma"]) * ratio}
    return component._replace(spec=spec, sample=sample._replace(coefficients=coefficients, noise=noise))


def _size(component: Component) -> int:
    return len(component.sample.A)


def _thinned(component: Component, share: int) -> Component:
    at = spread(share, _size(component))
    return component._replace(sample=jax.tree.map(lambda leaf: leaf[at], component.sample))
