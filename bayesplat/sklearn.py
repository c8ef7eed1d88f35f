"""Splat regression as a scikit-learn regressor: for pipelines, grid searches and cross-validation.

scikit-learn is not a dependency of bayesplat: only who imports this module needs it.
"""

from dataclasses import fields
from typing import Any, no_type_check

import numpy as np
import pandas as pd

from bayesplat._checks import fraction, one_of, require
from bayesplat.likelihoods import Normal
from bayesplat.mothers import Mother
from bayesplat.priors import AmplitudePrior, Centres, Lengths
from bayesplat.regression import SplatModel
from bayesplat.sampling import METHODS

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("bayesplat.sklearn needs scikit-learn 1.6 or later: pip install scikit-learn") from error

__all__ = ["SplatRegressor"]


class SplatRegressor(RegressorMixin, BaseEstimator):
    """Splat regression for scikit-learn: y = trend + sum_i a_i height_i(x) + noise (daniels2025splat).

    `n_splats` to `centres` are the fields of `SplatModel`; None stands for its default. Only the default prior follows
    `n_splats`: it expects five splats to matter, or half of them where there are fewer than ten.

    `inference="point"` fits by the flow, the best of `starts`: quick, without uncertainty. "nuts", "smc", "svi",
    "laplace" and "auto" draw from the posterior with `chains`, `warmup` and `draws`, as `SplatModel.sample` says.
    `random_state` is an integer; None is 0, so that the same call always gives the same result.

    After `fit` there is `fit_` (a PointFit) or `posterior_` (a Posterior), with all their reports and plots, beside
    scikit-learn's `n_features_in_` and `feature_names_in_`. All data weigh the same: there is no `sample_weight`, and
    no `y_err` as `SplatModel` has.
    """

    @no_type_check  # scikit-learn wants a constructor that takes anything: `fit` refuses what cannot be used
    def __init__(
        self,
        n_splats: int = 20,
        prior: AmplitudePrior | None = None,
        likelihood: Normal | None = None,
        mother: Mother | None = None,
        covariance: str = "full",
        trend: str = "constant",
        lengths: Lengths | None = None,
        centres: Centres | None = None,
        inference: str = "point",
        starts: int = 4,
        chains: int = 4,
        warmup: int = 500,
        draws: int = 500,
        random_state: int | None = None,
    ) -> None:
        self.n_splats = n_splats
        self.prior = prior
        self.likelihood = likelihood
        self.mother = mother
        self.covariance = covariance
        self.trend = trend
        self.lengths = lengths
        self.centres = centres
        self.inference = inference
        self.starts = starts
        self.chains = chains
        self.warmup = warmup
        self.draws = draws
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "SplatRegressor":
        """Fit to inputs (n, d) and outputs (n,), arrays or frames, in any units.

        Raises BayesplatError for parameters that cannot be used, and ValueError, as scikit-learn does, for data that
        are not finite numbers of these shapes. Ctrl-C keeps what there is in `fit_` or `posterior_`, and is raised, so
        that searches end too.
        """
        one_of("inference", self.inference, ("point", *METHODS, "auto"))
        model, seed = self._model(), _seed(self.random_state)
        label = getattr(y, "name", None)
        inputs, outputs = validate_data(self, X, y, y_numeric=True, dtype=np.float64)
        # frames again, so that the fit, its warnings and its plots speak of columns by their names
        names = getattr(self, "feature_names_in_", None)
        inputs = inputs if names is None else pd.DataFrame(inputs, columns=names)
        outputs = pd.Series(outputs, name=label if isinstance(label, str) else None)
        for earlier in ("fit_", "posterior_"):
            vars(self).pop(earlier, None)
        if self.inference == "point":
            self.fit_ = model.fit(inputs, outputs, seed=seed, starts=self.starts, progress=False)
            interrupted = self.fit_.interrupted
        else:
            budget: dict[str, Any] = {"chains": self.chains, "warmup": self.warmup, "draws": self.draws}
            self.posterior_ = model.sample(inputs, outputs, self.inference, seed=seed, progress=False, **budget)
            interrupted = self.posterior_.info["interrupted"]
        if interrupted:
            raise KeyboardInterrupt("Interrupted: this is no complete fit.")
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to predict from."""
        return hasattr(self, "fit_") or hasattr(self, "posterior_")

    def predict(self, X: Any, return_std: bool = False, return_interval: float | None = None) -> Any:
        """Predictions at inputs (m, d), in the units of y. Shape (m,), or a tuple of arrays (m,).

        With `return_std`, (mean, std); with `return_interval=0.9`, (mean, lower, upper), the equal-tailed interval of
        that probability; with both, (mean, std, lower, upper). All are for a new observation, noise included, as with
        BayesianRidge or a Gaussian process with a WhiteKernel; `posterior_.predict` gives those of the function alone.

        Raises BayesplatError where these are asked of a point fit, which has none.
        """
        check_is_fitted(self)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        asked = return_std or return_interval is not None
        if hasattr(self, "fit_"):
            require(
                not asked,
                "Expected a posterior behind `return_std` or `return_interval`, got a point fit, which has no "
                "uncertainty; set inference='laplace' (quick) or 'nuts' (exact) and fit again.",
            )
            return self.fit_.predict(x)
        if not asked:
            return self.posterior_.predict(x).mean
        prob = 0.9 if return_interval is None else fraction("return_interval", return_interval)
        new = self.posterior_.predict(x, prob, kind="observation")
        std = (new.sd,) if return_std else ()
        interval = () if return_interval is None else (new.lower, new.upper)
        return (new.mean, *std, *interval)

    def _model(self) -> SplatModel:
        """The model that the parameters describe."""
        given = {field.name: getattr(self, field.name) for field in fields(SplatModel)}
        return SplatModel(**{name: value for name, value in given.items() if value is not None})


def _seed(random_state: object) -> int:
    """The seed that scikit-learn's parameter stands for."""
    require(
        random_state is None or (isinstance(random_state, (int, np.integer)) and not isinstance(random_state, bool)),
        f"Expected `random_state` to be an integer or None, got {random_state!r}.",
    )
    return 0 if random_state is None else int(random_state)  # pyright: ignore[reportArgumentType]
