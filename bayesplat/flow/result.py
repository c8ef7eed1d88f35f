"""The point fit: what the flow ended at, in the user's units."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float

from bayesplat._typing import AnyArray
from bayesplat.devices import inference, jit_once
from bayesplat.evaluate import evaluate
from bayesplat.flow.descent import BUDGET_SPENT, INTERRUPTED, Run
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import geometry
from bayesplat.flow.report import FitReport, report
from bayesplat.flow.step import State
from bayesplat.likelihoods import NOISE_FREE
from bayesplat.measure import SplatMeasure
from bayesplat.scaling import Scaling, constant, in_reach
from bayesplat.specification import Specification
from bayesplat.tables import Data, as_inputs
from bayesplat.trend import trend_features


@dataclass(frozen=True)
class PointFit:
    """The best of several starts of the flow.

    `measure` holds the splats in the user's units (in float64: call it inside `jax.enable_x64(True)`), `trend` the
    coefficients of the trend on the unit box (in the units of y), `sigma` the noise's scale (its sd, but of Student-t
    noise; its geometric mean over the data if it varies), `certificate` the most nats by which one more splat was found
    to lower the energy (negative: every one raises it), `runs` every start of the flow, lowest energy first, and
    `device` where it ran.
    """

    spec: Specification
    scaling: Scaling
    measure: SplatMeasure
    trend: np.ndarray
    sigma: float
    certificate: float
    runs: tuple[Run, ...]
    x: np.ndarray
    y: np.ndarray
    names: tuple[str, ...]
    device: str
    y_err: np.ndarray | None = None

    def predict(self, x_new: object) -> Float[AnyArray, " m"]:
        """Trend plus splats at new inputs (m, d) or (m,), in the units of y. Shape (m,).

        Raises BayesplatError for inputs of another dimension, text, NaN or infinity.
        """
        x = as_inputs(x_new, "x_new", self.names[:-1])
        box = in_reach(x, self.scaling, constant(self._fitted), self.spec.centres.margin, self.names)
        with inference():
            trend = trend_features(self.spec.trend, box) @ self.trend
            return self.scaling.mean + np.asarray(trend + evaluate(self.measure, x)[:, 0])

    def report(self) -> FitReport:
        """What went wrong with the splats, in words: prints as a table."""
        energies = [float(run.state.energy) for run in self.runs]
        best = self.runs[0]
        spent, gains = best.reason == BUDGET_SPENT, (self.certificate, best.unplaced)
        return report(self.measure, self._fitted, self.scaling.sd, energies, *gains, spent, self._residual)

    @property
    def _fitted(self) -> Float[np.ndarray, "n d"]:
        """Inputs of the rows whose y was observed."""
        return self.x[~np.isnan(self.y)]

    @property
    def _residual(self) -> Float[np.ndarray, " n"]:
        """What f leaves of the observed y; nothing where there is no noise, and all that is left is approximation."""
        observed = ~np.isnan(self.y)
        error = 0.0 if self.y_err is None else float(np.median(self.y_err[observed]))
        if max(self.sigma, error) < NOISE_FREE * self.scaling.sd:
            return np.zeros(observed.sum())
        return self.y[observed] - np.asarray(self.predict(self._fitted))

    @property
    def energy(self) -> float:
        """Lowest energy over the starts, in nats."""
        return float(self.runs[0].state.energy)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return any(run.reason == INTERRUPTED for run in self.runs)

    @property
    def optimality(self) -> str:
        """What the certificate says, in words."""
        if self.certificate > 0:
            return f"no single splat was found to lower the energy by more than {self.certificate:.2f} nats"
        return f"no single splat was found to lower the energy; the best would raise it by {-self.certificate:.2f} nats"

    def __str__(self) -> str:
        sd = float(self.spec.likelihood.variance(np.array([self.sigma]))[0]) ** 0.5
        energies = ", ".join(f"{float(run.state.energy):.1f}" for run in self.runs)
        return "\n".join(
            [
                f"PointFit: {self.measure}",
                f"  noise sd     {sd:.4g}",
                f"  energy       {self.energy:.2f} nats (starts: {energies})",
                f"  certificate  {self.optimality}",
                f"  stopped      {self.runs[0].reason}",
                f"  transport    {self.runs[0].transport} on {self.device}",
                f"  time         {max(run.seconds for run in self.runs):.1f} s",
            ]
        )

    __repr__ = __str__


def point_fit(
    spec: Specification, energy: Energy, runs: list[Run], scaling: Scaling, data: Data, device: str
) -> PointFit:
    """Put the end of a flow into the user's units."""
    best = runs[0]
    found = _in_units(energy, best.state, best.amplitude, jax.tree.map(np.asarray, scaling))
    measure, sigma = jax.tree.map(np.asarray, found)
    return PointFit(
        spec,
        scaling,
        measure,
        best.trend * scaling.sd,
        float(sigma),
        best.certificate,
        tuple(runs),
        data.x,
        data.y,
        data.names,
        device,
        data.y_err,
    )


@jit_once
def _in_units(
    energy: Energy, state: State, amplitude: Float[AnyArray, " k"], scaling: Scaling
) -> tuple[SplatMeasure, Float[AnyArray, ""]]:
    """The splats and the noise sd in the user's units."""
    at = geometry(energy.problem, state.position)
    measure = SplatMeasure.from_amplitude(
        amplitude[:, None] * scaling.sd,
        scaling.extent[:, None] * at.A,
        scaling.low + scaling.extent * at.b,
        energy.problem.spec.mother,
        state.live,
    )
    return measure, energy.noise(state.position)["sigma"] * scaling.sd
