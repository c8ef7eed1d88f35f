"""From draws to one ArviZ DataTree of NumPy arrays, in the user's units, with named dimensions."""

import numpy as np
from jaxtyping import Float

from bayesplat._lazy import pd, xr
from bayesplat._typing import Sites
from bayesplat.likelihoods import NoiseField
from bayesplat.posterior.draws import Draw
from bayesplat.scaling import Scaling
from bayesplat.specification import Specification

PER_SPLAT = ("lam", "part", "stick")
"""Sites of amplitude priors with one value per splat."""

GEOMETRY = ("deviation", "excess", "shear", "centre", "mixing")
"""Sites that the posterior holds in another form (A, b) or not at all."""

DIMS = {
    "v": ["splat"],
    "amplitude": ["splat"],
    "A": ["splat", "input", "axis"],
    "b": ["splat", "input"],
    "contribution": ["splat"],
    "trend": ["trend_term"],
    "noise_weight": ["noise_bump"],
    "location": ["length"],
    "f": ["obs"],
    "y": ["obs"],
    "y_err": ["obs"],
    "pit": ["obs"],
    "x": ["obs", "input"],
    "noise_centre": ["noise_bump", "input"],
    "noise_offset": ["noise_bump"],
    **{name: ["splat"] for name in PER_SPLAT},
}

RESERVED = {*DIMS, *(dim for dims in DIMS.values() for dim in dims), "chain", "draw", "", "."}
"""Names of dimensions, and those that a file cannot hold: an input's own variable must take none."""


def variables(spec: Specification, scaling: Scaling, draw: Draw) -> Sites:
    """The posterior (or prior) variables of draws, in the user's units."""
    d = scaling.low.size
    amplitude = np.asarray(draw.amplitude) * scaling.sd
    A = scaling.extent[:, None] * np.asarray(draw.A)
    log_det = np.log(np.abs(np.diagonal(A, axis1=-2, axis2=-1))).sum(-1)
    kept = {name: np.asarray(value) for name, value in draw.values.items() if name not in GEOMETRY}
    return {
        **kept,
        "sigma": kept["sigma"] * scaling.sd,
        "v": amplitude * np.exp(log_det - spec.mother.log_peaks(amplitude.shape[-1], d)),
        "amplitude": amplitude,
        "A": A,
        "b": scaling.low + scaling.extent * np.asarray(draw.b),
        "trend": np.asarray(draw.trend) * scaling.sd,
        "f": scaling.mean + scaling.sd * np.asarray(draw.f),
        "contribution": np.asarray(draw.contribution) * scaling.sd,
        **{name: np.asarray(getattr(draw, name)) for name in ("cancelling", "spikes", "drifting")},
    }


def to_datatree(
    spec: Specification,
    scaling: Scaling,
    posterior: Draw,
    prior: Draw,
    sample_stats: Sites,
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    names: tuple[str, ...],
    field: NoiseField,
    y_err: np.ndarray | None = None,
) -> "xr.DataTree":
    """All groups of a fit: `rows` are the positions of the observed data in what the user passed.

    `log_likelihood` is log p(y_i | f_i, noise); the group `loo_predictive` holds log p(y_i | y_-i, theta) with the
    amplitudes integrated out, whose importance weights are far better behaved, and the probability of a smaller y_i.
    """
    import arviz_base

    log_sd = np.log(scaling.sd)
    groups = {
        "posterior": variables(spec, scaling, posterior),
        "posterior_predictive": {"y": scaling.mean + scaling.sd * posterior.replicate},
        "log_likelihood": {"y": posterior.log_likelihood - log_sd},
        "loo_predictive": {"y": posterior.loo_log_density - log_sd, "pit": posterior.loo_cdf},
        "sample_stats": sample_stats,
        "prior": variables(spec, scaling, prior),
        "prior_predictive": {"y": scaling.mean + scaling.sd * prior.replicate},
        "observed_data": {"y": y},
        "constant_data": {
            "x": x,
            **({} if y_err is None else {"y_err": y_err}),
            "noise_centre": field.centres,
            "noise_offset": field.offset,
            "noise_width": np.asarray(field.width),
        },
    }
    by_input = _by_input(x, names, RESERVED.union(*groups.values()))
    groups["constant_data"] |= by_input
    inputs = list(names[:-1])
    dims = DIMS | {name: ["obs"] for name in by_input}
    coords = {"obs": rows, "input": inputs, "axis": inputs}
    coords["trend_term"] = ["constant", *inputs][: posterior.trend.shape[-1]]
    coords["length"] = inputs if spec.covariance != "spherical" else ["all inputs"]
    tree = arviz_base.from_dict({group: _host(content) for group, content in groups.items()}, dims=dims, coords=coords)
    # one density per site, whatever the site's own dimensions
    tree["log_prior"] = arviz_base.from_dict({"log_prior": _host(posterior.log_prior)})["log_prior"]
    return tree


def load_reports() -> None:
    """Import what trees and reports need: two seconds, which another thread can spend."""
    import arviz_stats  # noqa: F401


def _by_input(x: np.ndarray, names: tuple[str, ...], taken: set[str]) -> Sites:
    """Each input by its name, as plots want it; by "x1" and so on where that is taken or another input's too.

    A slash, which parts the groups of a tree, becomes an underscore.
    """
    own: Sites = {}
    plain = [name.replace("/", "_") for name in names[:-1]]
    for j, (name, column) in enumerate(zip(plain, x.T, strict=True)):
        variable = name
        if name in taken or plain.count(name) > 1:
            variable = f"x{j + 1}"
            while variable in taken.union(plain):
                variable += "_"
        own[variable] = column
    return own


def _host(content: Sites) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in content.items()}


def group(tree: "xr.DataTree", name: str) -> "xr.Dataset":
    """One group of a tree as a plain dataset."""
    return tree[name].to_dataset()  # pyright: ignore[reportAttributeAccessIssue]


def outputs(tree: "xr.DataTree") -> Float[np.ndarray, " n"]:
    """The data y."""
    return group(tree, "observed_data")["y"].values


def draws_table(tree: "xr.DataTree") -> "pd.DataFrame":
    """Draws of the posterior as rows (chain, draw), one column a number, all chains alike."""
    import arviz_base

    return arviz_base.dataset_to_dataframe(group(tree, "posterior"), multiindex="row").droplevel("sample")


def nuts_stats(stats: Sites, max_tree_depth: int) -> Sites:
    """Sampler statistics under ArviZ's names."""
    steps = np.asarray(stats["num_steps"])
    depth = np.ceil(np.log2(steps + 1)).astype(int)
    return {
        "lp": -np.asarray(stats["potential_energy"]),
        "energy": np.asarray(stats["energy"]),
        "n_steps": steps,
        "tree_depth": depth,
        "reached_max_tree_depth": depth >= max_tree_depth,
        "acceptance_rate": np.asarray(stats["accept_prob"]),
        "diverging": np.asarray(stats["diverging"]),
        "teleported": np.asarray(stats["teleported"]),
    }
