"""Every plot of ArviZ that serves regression runs on the DataTree as it is, with names a person understands."""

import arviz as az
import made_up
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesplat as bs
from bayesplat.diagnostics import convert
from bayesplat.diagnostics.convert import to_datatree
from bayesplat.likelihoods import NoiseField
from bayesplat.scaling import fit_scaling

SHARED = {"var_names": ["sigma", "tau"]}


@pytest.fixture(scope="module")
def tree():
    """A short run of the shapes of another test's, so that nothing is compiled for it."""
    x, y = made_up.bump()
    model = bs.SplatModel(3, prior=bs.Ridge())
    return model.sample(pd.Series(x, name="depth"), y, chains=2, warmup=60, draws=60).data


PLOTS = {
    "lm": lambda tree: az.plot_lm(tree, x="depth", y="y", y_obs="y"),
    "ppc_dist": az.plot_ppc_dist,
    "loo_pit": az.plot_loo_pit,
    "khat": lambda tree: az.plot_khat(az.loo(tree, pointwise=True)),
    "compare": lambda tree: az.plot_compare(az.compare({"a": tree, "b": tree})),
    "forest": lambda tree: az.plot_forest(tree, var_names=["sigma", "trend", "b"]),
    "psense_dist": lambda tree: az.plot_psense_dist(tree, **SHARED),
    "prior_posterior": lambda tree: az.plot_prior_posterior(tree, **SHARED),
    "trace_dist": lambda tree: az.plot_trace_dist(tree, **SHARED),
    "rank_dist": lambda tree: az.plot_rank_dist(tree, **SHARED),
    "energy": az.plot_energy,
}


@pytest.mark.parametrize("name", PLOTS)
def test_plots_of_arviz_run(tree, name, tmp_path):
    mpl.use("Agg")
    PLOTS[name](tree).savefig(tmp_path / "plot.png")
    plt.close("all")
    assert (tmp_path / "plot.png").stat().st_size > 3000


def test_coordinates_have_names(tree):
    posterior = tree["posterior"]
    assert posterior["b"].coords["input"].values.tolist() == ["depth"]
    assert posterior["trend"].coords["trend_term"].values.tolist() == ["constant"]
    assert posterior["location"].coords["length"].values.tolist() == ["depth"]
    np.testing.assert_array_equal(tree["constant_data"]["depth"], tree["constant_data"]["x"].sel(input="depth"))


@pytest.mark.parametrize("names", [("x", "x1"), ("x2", "x"), ("a/b", "a_b"), ("x1", "x1"), ("x1", "energy")])
def test_no_input_takes_the_place_of_another(names):
    x = np.arange(6.0).reshape(3, 2)
    found = convert._by_input(x, (*names, "out"), {"x", "energy", "x2"})
    assert len(found) == 2
    assert not set(found) & {"x", "energy", "x2"}
    for column, values in zip(x.T, found.values(), strict=True):
        np.testing.assert_array_equal(values, column)


def named(name):
    """The tree of made-up draws whose first input has that name, with all statistics that a sampler gives."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(made_up.N, 2)), rng.normal(size=made_up.N)
    scaling, field = fit_scaling(x, y), NoiseField(np.zeros((0, 2)), 1.0, np.zeros(0))
    drawn, prior = (made_up.made_up_draws(rng, scaling.to_standard(y), 2, chains, 5) for chains in (2, 1))
    spec, rows = bs.SplatModel(made_up.K, prior=bs.Ridge()), np.arange(made_up.N)
    sites = {site: np.ones((2, 5)) for site in ("tau", "slab", "r2", "spread")}
    drawn = drawn._replace(values=drawn.values | sites)
    stats = convert.nuts_stats(dict.fromkeys(STATS, np.ones((2, 5))), 6)
    tree = to_datatree(spec, scaling, drawn, prior, stats, x, y, rows, (name, "speed (km/h)", "out"), field)
    np.testing.assert_array_equal(tree["constant_data"]["x"], x)
    np.testing.assert_array_equal(tree["constant_data"]["speed (km_h)"], x[:, 1])
    assert tree["posterior"]["b"].coords["input"].values.tolist() == [name, "speed (km/h)"]
    return tree, x


STATS = ("num_steps", "potential_energy", "energy", "accept_prob", "diverging", "teleported")


def test_an_input_may_have_any_name():
    """Also that of any variable or dimension of any group, or a slash, at which trees part their groups."""
    tree, _ = named("depth")
    own = {"depth", "speed (km_h)"}
    taken = {name for part in tree.children.values() for name in (*part.variables, *part.dims)} - own
    assert {"energy", "lp", "tau", "sigma", "obs", "noise_width", "noise_bump", "b", "spikes"} <= taken
    for name in [*taken, *convert.RESERVED, "noise/width", "y/err"]:
        tree, x = named(name)
        np.testing.assert_array_equal(tree["constant_data"]["x1"], x[:, 0])
        assert "y_err" not in tree["constant_data"]


@pytest.mark.parametrize("name", ["", ".", "..", " ", "a:b", "énergie", "energy"])
def test_a_file_may_have_inputs_of_any_name(name, tmp_path):
    tree, x = named(name)
    tree.to_netcdf(tmp_path / "tree.nc", engine="h5netcdf")
    back = xr.open_datatree(tmp_path / "tree.nc", engine="h5netcdf")
    np.testing.assert_array_equal(back["constant_data"]["x"], x)
