"""A table bound to a specification: checked, scaled, and made the problem that flow and samplers work on."""

from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bayesplat._checks import require, warn
from bayesplat._typing import Device
from bayesplat.devices import choose_device, inference, make_room
from bayesplat.likelihoods import NoiseField
from bayesplat.model import Problem, bind
from bayesplat.scaling import Scaling, constant, fit_scaling, rounding
from bayesplat.specification import Specification
from bayesplat.tables import Data, as_data, as_inputs, codes, strays
from bayesplat.threads import cores

LARGE = 1.5
"""Known errors so many times the spread of y are odd: they are a part of it."""

COARSE = 250
"""An input whose range is so few times its rounding (`scaling.rounding`) has lost digits."""

MOST_DECADES = 200
"""Of the product of all ranges, and of it with the sd of y: the masses of splats must be floats."""


class Bound(NamedTuple):
    """Checked data and the problem that they make; rows with missing y are dropped."""

    data: Data
    rows: np.ndarray
    scaling: Scaling
    field: NoiseField
    problem: Problem

    @property
    def device(self) -> Device:
        """Where a problem of this size runs."""
        return choose_device(self.problem.x.shape[0] * self.problem.spec.n_splats)

    @property
    def environment(self) -> dict[str, Any]:
        """What a run depends on besides its settings: versions, precision, device, and cores, which share sums."""
        packages = ("bayesplat", "jax", "jaxlib", "numpyro", "arviz", "numpy", "optax")
        versions = {name: version(name) for name in packages}
        return {"versions": versions, "dtype": "float64", "device": str(self.device), "cores": cores()}


def bind_table(spec: Specification, x: object, y: object, y_err: object = None, quiet: bool = False) -> Bound:
    """Check the table, warn of what is odd in it unless `quiet`, scale it and bind it."""
    make_room()
    data = as_data(x, y, y_err)
    rows = np.flatnonzero(~np.isnan(data.y))
    x_used, y_used, errors = data.rows(rows)
    scaling = fit_scaling(x_used, y_used, spec.trend != "none")
    decades = np.log10(scaling.extent).sum() + np.array([0.0, np.log10(scaling.sd)])
    size = decades[np.argmax(np.abs(decades))]
    require(
        bool(abs(size) < MOST_DECADES),
        f"Expected units in which the ranges of the inputs, and the sd of y, multiply to less than 1e{MOST_DECADES} "
        f"and more than 1e-{MOST_DECADES}, got 1e{size:.0f}; change units.",
    )
    if not quiet:
        _warn(data, rows, scaling, spec)
    box, standard = np.asarray(scaling.to_box(x_used)), np.asarray(scaling.to_standard(y_used))
    with inference():
        field = spec.likelihood.field(box)
        error = None if errors is None else errors / scaling.sd
        return Bound(data, rows, scaling, field, bind(spec, box, standard, field, error=error))


def _warn(data: Data, rows: np.ndarray, scaling: Scaling, spec: Specification) -> None:
    """One warning for each odd thing that is allowed."""
    n, missing = rows.size, data.y.size - rows.size
    x = data.x[rows]
    coarse = ~constant(x) & (np.ptp(x, 0) < COARSE * rounding(x))
    same = ~constant(x) & (x == data.y[rows, None]).all(0)
    still, coarse, same = (_named(data.names, found) for found in (constant(x), coarse, same))
    errors = 0.0 if data.y_err is None else float(np.sqrt(np.mean(data.y_err[rows] ** 2)))
    typical = spec.lengths.typical or 0.0
    odd = {
        f"{missing} of {data.y.size} values of y missing: left out of the fit.": missing > 0,
        f"Input{still} constant: nothing can be learnt from it.": bool(still),
        f"Input{coarse} stored with too few digits for the range: subtract an offset first.": bool(coarse),
        f"Input{same} equal to y: y is explained by itself; leave it out of the inputs.": bool(same),
        "y is constant: there is nothing to fit but its level.": bool(np.ptp(data.y[rows]) == 0),
        "The known errors are larger than the spread of y: they should be sds, in the units of y.": errors
        > LARGE * scaling.sd,
        f"Typical lengths of {typical:g} times the range: they are fractions of it, not in units of x.": typical > 1,
        f"{spec.n_splats} splats for {n} data: the prior decides much of the fit; look at prior_predictive.": n
        < spec.n_splats,
    }
    for message in [*_codes(data), *_strays(data), *(message for message, holds in odd.items() if holds)]:
        warn(message)


def _codes(data: Data) -> list[str]:
    """What to say of numbers that may stand for missing ones."""
    remedies = [*["leave its rows out"] * data.x.shape[1], "make it NaN"]
    return [
        f"{name} holds {code:g} {'once' if times == 1 else f'{times} times'}, far from all else in it: if that stands "
        f"for what is missing, {remedy}, or it is fitted as a number."
        for name, column, remedy in zip(data.names, [*data.x.T, data.y], remedies, strict=True)
        for code, times in codes(column).items()
    ]


def _strays(data: Data) -> list[str]:
    """What to say of single values of y far from all else; inputs may lie as they like."""
    name = data.names[-1]
    return [
        f"{name} holds {value:g}, {away:.0f} times the range of all other values away from them: it decides the scale; "
        "make it NaN if it is a slip."
        for value, away in strays(data.y).items()
    ]


def _named(names: tuple[str, ...], found: np.ndarray) -> str:
    """The inputs found, after the word Input: nothing, " a", or "s a, b"."""
    chosen = [name for name, one in zip(names, found, strict=False) if one]
    return f"{'s' if len(chosen) > 1 else ''} {', '.join(chosen)}" if chosen else ""


def unit_outputs(x: object) -> Float[np.ndarray, " n"]:
    """Outputs for those who have none: priors only go by the inputs then."""
    return np.linspace(-1.0, 1.0, len(as_inputs(x)))
