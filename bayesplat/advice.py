"""What a model's prior implies in the user's units, before any fit: a table, advice in words, and draws to look at."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesplat._checks import expect
from bayesplat._lazy import pd
from bayesplat.diagnostics.active import ACTIVE
from bayesplat.model import data_box
from bayesplat.priors import FreeLengths
from bayesplat.regression import SplatModel
from bayesplat.results import PriorPredictive
from bayesplat.scaling import constant, fit_scaling, spread
from bayesplat.tables import as_data

NEXT = "Look at draws with plots.prior(advice.prior); if none could be your data, change the prior before you fit."

KIND = {True: "sd", False: "root mean square"}
"""What is the unit of y, with a trend and without."""

FAR = 3.0
"""Sds from 0 beyond which the mean of y is most of its size."""


@dataclass(frozen=True)
class Advice:
    """What the prior expects of f, and how to change it."""

    table: "pd.DataFrame"
    """One row per quantity, with its unit: 5%, 50% and 95% quantiles over prior draws."""
    sentences: tuple[str, ...]
    prior: PriorPredictive
    """The draws behind the table: `bs.plots.prior(advice.prior)` shows them."""

    def to_frame(self) -> "pd.DataFrame":
        """The table."""
        return self.table

    def __str__(self) -> str:
        shown = self.table.to_string(float_format="{:.3g}".format)
        return "\n".join(["What the prior expects before any data", shown, *self.sentences])

    __repr__ = __str__


def advise(x: object, y: object, model: SplatModel | None = None, draws: int = 400, seed: int = 0) -> Advice:
    """Say what a model's prior (by default that of `SplatModel()`) implies for these data, in their units.

    Of y only the mean, the sd and which are missing are used, not its shape: looking at the advice does not use the
    data twice. Raises BayesplatError for data that cannot be used.
    """
    data, model = as_data(x, y), SplatModel() if model is None else model
    expect(model, SplatModel, "`model` to be a SplatModel")
    prior = model.prior_predictive(x, draws, seed, y)
    observed, inputs, output = data.y[~np.isnan(data.y)], data.names[:-1], data.names[-1]
    sd, centred = spread(observed, float(observed.mean())), model.trend != "none"
    active = prior.contribution > ACTIVE * sd  # a peak counts by the same measure
    sizes = prior.y.std(1) if centred else np.sqrt(np.square(prior.y).mean(1))
    rows = {
        f"active splats, of {model.n_splats}": active.sum(1),
        f"sd of f over the data, {output}": prior.f.std(1),
        f"sd of the noise over the data, {output}": np.sqrt(np.square(prior.y - prior.f).mean(1)),
        f"{KIND[centred]} of y over the data, {output}": sizes,
    }
    for j, name in enumerate(inputs):
        lengths = prior.lengths[:, :, j]
        rows[f"length of a splat (one sd), {name}"] = lengths.ravel()
        if active.any():
            rows[f"shortest active splat, {name}"] = np.where(active, lengths, np.inf)[active.any(1)].min(1)
    if len(inputs) == 1:
        rows["peaks and dips of f"] = _turns(prior.x[:, 0], prior.f, ACTIVE * sd)
    levels = {"5%": 0.05, "median": 0.5, "95%": 0.95}
    quantiles = {name: [float(np.quantile(values, q)) for q in levels.values()] for name, values in rows.items()}
    table = pd.DataFrame.from_dict(quantiles, orient="index", columns=list(levels))
    dial = not isinstance(model.prior.lengths(model.lengths), FreeLengths)
    return Advice(table, (_size(observed, sizes, centred), *_widths(table, prior.x, inputs, dial), NEXT), prior)


def _turns(x: Float[np.ndarray, " n"], f: Float[np.ndarray, "s n"], least: float) -> Float[np.ndarray, " s"]:
    """Number of maxima and minima of every draw along x that stand out by more than `least`."""
    from scipy.signal import find_peaks

    along = f[:, np.argsort(x)]
    ups, downs = ([find_peaks(sign * draw, prominence=least)[0].size for draw in along] for sign in (1, -1))
    return np.add(ups, downs).astype(float)


def _size(y: Float[np.ndarray, " n"], expected: Float[np.ndarray, " s"], centred: bool) -> str:
    """Whether y is as large as the prior expects, and what to change if it is not."""
    if constant(y[:, None])[0]:
        return "y is constant: it has no spread to compare with what the prior expects."
    mean, (low, high) = float(y.mean()), np.quantile(expected, (0.05, 0.95))
    size = spread(y, mean if centred else 0.0)
    found = f"Your y has {'an' if centred else 'a'} {KIND[centred]} of {size:.3g}, "
    if not centred and abs(mean) > FAR * spread(y, mean):
        return f"{found}most of which is its mean: splats would have to carry that; say trend='constant'."
    within = low <= size <= high
    return (
        f"{found}{'inside' if within else 'OUTSIDE'} the {low:.3g} to {high:.3g} that the prior "
        f"expects{'' if within else ': give the prior on amplitudes, or the noise, another scale'}."
    )


def _widths(table: "pd.DataFrame", x: Float[np.ndarray, "n d"], inputs: tuple[str, ...], dial: bool) -> list[str]:
    """For every input: the shortest features that the prior expects, beside what data so far apart can show."""
    found, extents, gaps = [], np.ptp(x, axis=0), _gaps(x)
    for j in np.flatnonzero(~constant(x)):
        name, extent = inputs[j], extents[j]
        row = table.loc[f"length of a splat (one sd), {name}"]
        expected = (
            f"{name}: splats of length {row['5%']:.3g} to {row['95%']:.3g} are expected, over a range of {extent:.3g} "
            f"with data about {extent * gaps[j]:.2g} apart."
        )
        known = f" If you know that features are about L wide, say lengths=Lengths(typical=L / {2 * extent:.3g})."
        found.append(expected + known * dial)
    return found


def _gaps(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """How far apart neighbouring data are along each input that varies, in its ranges."""
    box = np.asarray(fit_scaling(x, np.zeros(len(x))).to_box(x))
    steps = [np.asarray(np.diff(np.unique(np.round(column, 9))), float) for column in box.T]
    # the spacing that the model goes by, but on a grid of several inputs no closer than the values of each
    spacing = data_box(box, 1.0).spacing
    return np.array([max(spacing, np.median(step)) if step.size else spacing for step in steps])
