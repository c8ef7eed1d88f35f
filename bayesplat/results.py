"""What a model gives its users: draws from the prior; the posterior, its predictions, scores, reports and files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bayesplat import io
from bayesplat._checks import BayesplatError, fraction, require
from bayesplat._lazy import pd, xr
from bayesplat._typing import Sites
from bayesplat.devices import inference
from bayesplat.diagnostics.convergence import Convergence, convergence
from bayesplat.diagnostics.convert import draws_table, group
from bayesplat.diagnostics.evidence import Evidence, evidence
from bayesplat.diagnostics.overfitting import Overfitting, overfitting
from bayesplat.diagnostics.pool import chain_weights, pooled
from bayesplat.likelihoods import NoiseField
from bayesplat.posterior.predict import Component, Prediction, Sample, partial_dependence
from bayesplat.predictor import Predictor
from bayesplat.scaling import Scaling, constant, in_reach
from bayesplat.specification import Specification
from bayesplat.tables import Data, as_inputs

GROUPS = (
    "posterior",
    "sample_stats",
    "log_likelihood",
    "log_prior",
    "loo_predictive",
    "posterior_predictive",
    "prior",
    "prior_predictive",
    "observed_data",
    "constant_data",
)


class PriorPredictive(NamedTuple):
    """What the prior expects before any data: draws of f, y, sigma and the splats at the inputs asked for."""

    x: np.ndarray  # (n, d), without those of missing y
    f: np.ndarray  # (draws, n)
    y: np.ndarray  # (draws, n)
    sigma: np.ndarray  # (draws,)
    lengths: np.ndarray  # (draws, k, d) extent of every splat along each input, as an sd
    contribution: np.ndarray  # (draws, k) root mean square of each splat's term at the inputs
    names: tuple[str, ...]  # of the inputs, then of the output with its unit

    def __str__(self) -> str:
        return (
            f"PriorPredictive: {self.f.shape[0]} draws at {self.f.shape[1]} inputs; sd of f {self.f.std():.3g}, "
            f"sd of y {self.y.std():.3g}, median sigma {np.median(self.sigma):.3g}"
        )

    __repr__ = __str__


@dataclass(frozen=True)
class Posterior:
    """Draws from the posterior of a splat regression, in the user's units."""

    spec: Specification
    scaling: Scaling
    names: tuple[str, ...]
    """Names of the inputs, then of the output."""
    data: "xr.DataTree"
    """ArviZ DataTree with every group of `GROUPS`; dimensions obs, splat, input, chain, draw."""
    info: Mapping[str, Any]
    """How the draws were made: method, seed, settings, versions, seconds (of all processes)."""

    def predict(self, x_new: object, prob: float = 0.9, kind: str = "function", y_err: object = None) -> Prediction:
        """Posterior mean, sd and equal-tailed interval at new inputs (m, d) or (m,), in the units of y.

        `kind="function"` is for f alone, `kind="observation"` for a new y, whose measurement adds a known error of sd
        `y_err` (m,) or a number, if any: exact for the mixture over draws; `kind="noise"` is for the scale sigma(x) of
        the noise. Needs no training data; memory is bounded for any number of rows. A frame's columns are taken by
        their names, and `.to_frame()` gives a frame of its kind back. Raises BayesplatError for inputs that do not fit.
        """
        return self.predictor.predict(x_new, prob, kind, y_err)

    def draws(self, x_new: object) -> Float[np.ndarray, "s m"]:
        """Draws of f at new inputs (m, d) or (m,), in the units of y: row by row one function of the posterior.

        For what intervals at single points cannot say, such as where f is highest, differences and integrals:
        `x_new[post.draws(x_new).argmax(1)]` are draws of the place of the peak. Chains are joined in proportion to
        their weights. Shape (s, m). Raises BayesplatError for inputs that do not fit.
        """
        return self.predictor.draws(x_new)

    def partial_dependence(self, along: object, at: object, prob: float = 0.9) -> Prediction:
        """Average of f over the data, with one input held at each value of `at` (m,), in the units of y.

        f_j(t) = mean over the data x_i of f(x_i with input j at t), with an equal-tailed interval over draws; from at
        most 400 draws and 128 data (friedman2001). `along` is the input's name or number. Raises BayesplatError for
        an input that is not there.
        """
        fraction("prob", prob)
        inputs = self.names[:-1]
        found = [j for j, name in enumerate(inputs) if along in (name, j)]
        expected = f"Expected `along` to be one of {', '.join(inputs)} or a number below {len(inputs)}, got {along!r}."
        require(len(found) == 1, expected)
        j, one = found[0], found
        x, values = self.scaling.to_box(self.table.x), as_inputs(at, "at", (inputs[j],))
        scaling = self.scaling._replace(low=self.scaling.low[one], extent=self.scaling.extent[one])
        still, margin = self.predictor.still[one], self.spec.centres.margin
        held = in_reach(values, scaling, still, margin, (inputs[j],), rows_of="values of `at`")
        with inference():
            (component,) = self.predictor.components
            p = partial_dependence(component, np.asarray(x), j, held[:, 0], prob)
        return self.predictor.in_units(p, self.scaling.mean, at)

    def log_predictive_density(self, x_new: object, y_new: object, y_err: object = None) -> Float[np.ndarray, " m"]:
        """Log p(y_new | data) at every row, per unit of y: held-out scores. NaN where y_new is missing.

        `y_err` (m,) or a number: known sds of the measurements of y_new.
        """
        return self.predictor.log_predictive_density(x_new, y_new, y_err)

    def convergence(self) -> Convergence:
        """Did the sampler converge? R-hat and ESS of f, sigma and the log density, and what failed, in words."""
        return convergence(self.data, self.info["method"])

    def overfitting(self) -> Overfitting:
        """Does the fit follow the noise? LOO, active splats, calibration, suspicious splats, in words."""
        return overfitting(self.data)

    def to_dataframe(self) -> "pd.DataFrame":
        """The draws as a table: one row a draw, one column a number, as "sigma" or "b[0, time]".

        A last column `weight` holds the share of every draw: chains may count differently (`chain_weights`).
        """
        table = draws_table(self.data)
        sizes = group(self.data, "posterior").sizes
        weights = xr.DataArray(self.chain_weights / sizes["draw"], {"chain": self.data["posterior"]["chain"]}, "chain")
        return table.assign(weight=weights.sel(chain=table.index.get_level_values("chain").values).values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one netCDF file, atomically. Raises BayesplatError if `path` cannot be written."""
        scaling = {name: np.asarray(value).tolist() for name, value in self.scaling._asdict().items()}
        settings = {
            "spec": io.spec_to_json(self.spec),
            "scaling": scaling,
            "names": list(self.names),
            "info": dict(self.info),
        }
        io.write(self.data, settings, path)

    @property
    def chain_weights(self) -> Float[np.ndarray, " chains"]:
        """Weight of every chain in predictions, scores and reports.

        Equal; by stacking where chains disagree; or, for SMC, the share of each run in the evidence.
        """
        return chain_weights(self.data)

    @property
    def log_evidence(self) -> Evidence:
        """Log p(y) and its standard error, from `method="smc"`: the larger, the better the model foresaw the data.

        Raises BayesplatError for other methods, which do not estimate it.
        """
        require(
            "evidence" in self.data.children,
            f"Expected a posterior by method='smc', which alone estimates the evidence, got {self.info['method']!r}.",
        )
        return evidence(self.data)

    @property
    def table(self) -> Data:
        """The data behind it, in their units, without rows whose y is missing: `x` (n, d), `y`, and `y_err` or None."""
        constant, y = group(self.data, "constant_data"), group(self.data, "observed_data")["y"].values
        return Data(constant["x"].values, y, self.names, constant["y_err"].values if "y_err" in constant else None)

    @property
    def n_inputs(self) -> int:
        """Number of inputs d."""
        return len(self.names) - 1

    @cached_property
    def predictor(self) -> Predictor:
        """What predictions are made from: draws on the unit box, chains joined in proportion to their weights."""
        draws, data = pooled(self.data, "posterior"), group(self.data, "constant_data")
        flat = {str(name): draws[name].values for name in draws.data_vars}
        coefficients = np.concatenate([flat["amplitude"], flat["trend"]], 1) / self.scaling.sd
        noise: Sites = {"sigma": flat["sigma"] / self.scaling.sd}
        if "noise_weight" in flat:
            noise["noise_weight"] = flat["noise_weight"]
        A = flat["A"] / self.scaling.extent[:, None]
        sample = Sample(A, self.scaling.to_box(flat["b"]), coefficients, noise)
        field = NoiseField(data["noise_centre"].values, float(data["noise_width"]), data["noise_offset"].values)
        parts, still = (Component(self.spec, sample, field),), constant(data["x"].values)
        return Predictor(parts, self.scaling, self.names, still, "y_err" in data)

    def __str__(self) -> str:
        sizes = group(self.data, "posterior").sizes
        drawn = f"{sizes['chain']} chain{'s' if sizes['chain'] > 1 else ''} x {sizes['draw']} draws"
        return (
            f"Posterior of {self.names[-1]} given {', '.join(self.names[:-1])}: {sizes['obs']} data, {drawn} by "
            f"{self.info['method']} in {self.info['seconds']:.0f} s (seed {self.info['seed']})\n{self.spec}"
        )

    __repr__ = __str__


def load_posterior(path: str | os.PathLike[str], kind: type[Specification]) -> Posterior:
    """Read what `Posterior.save` wrote. Raises BayesplatError, naming the file, if it is not such a file."""
    tree, settings = io.read(path)
    missing = [group for group in GROUPS if group not in tree.children]
    require(not missing, f"{path} is damaged: it lacks {', '.join(missing)}; restore it or fit again.")
    try:
        spec = io.spec_from_json(settings["spec"], kind)
        stored = settings["scaling"]
        scaling = Scaling(np.array(stored["low"]), np.array(stored["extent"]), stored["mean"], stored["sd"])
        names, info = tuple(settings["names"]), settings["info"]
    except (KeyError, TypeError, ValueError) as error:
        raise BayesplatError(f"{path} is damaged: its settings cannot be read; restore it or fit again.") from error
    return Posterior(spec, scaling, names, tree, info)
