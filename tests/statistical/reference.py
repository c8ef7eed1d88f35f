"""Long chains on two small cases, kept as moments with their Monte Carlo errors: what every method must reproduce.

Run as a program to make the file anew: `PYTHONPATH=tests uv run python -m statistical.reference`, ten minutes.
"""

import json
from pathlib import Path

import arviz as az
import numpy as np
import xarray as xr

import bayesplat as bs

FILE = Path(__file__).with_name("reference.json")
LONG = {"chains": 8, "warmup": 1000, "draws": 10_000, "seed": 1}


def curve():
    """A broad and a narrow bump, sixty data."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=60))
    f = np.exp(-0.5 * ((x - 0.3) / 0.1) ** 2) + np.exp(-0.5 * ((x - 0.75) / 0.03) ** 2)
    return bs.SplatModel(3, prior=bs.Ridge()), x, f + 0.1 * rng.normal(size=60)


def surface():
    """A hill on a slope over two inputs, eighty data, varying noise."""
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(80, 2))
    f = x[:, 0] + np.exp(-20 * ((x[:, 0] - 0.3) ** 2 + 2 * (x[:, 1] - 0.6) ** 2))
    noise = bs.Normal(noise="varying", n_bumps=4)
    return bs.SplatModel(3, likelihood=noise, prior=bs.R2D2(), trend="linear"), x, f + 0.1 * rng.normal(size=80)


CASES = {"curve": curve, "surface": surface}


def quantities(post):
    """What is compared, as one dataset of named scalars: moments of f at eight data, and of log sigma."""
    draws = post.data["posterior"].to_dataset()
    rows = np.linspace(0, draws.sizes["obs"] - 1, 8).astype(int)
    f, sigma = draws["f"].isel(obs=rows).rename(obs="at"), np.log(draws["sigma"])
    return xr.Dataset({"f": f.drop_vars("at"), "f2": f.drop_vars("at") ** 2, "sigma": sigma, "sigma2": sigma**2})


def means(dataset):
    """Means over all draws, in one vector."""
    return np.concatenate([np.ravel(dataset[name].mean(("chain", "draw")).values) for name in dataset.data_vars])


def errors(dataset):
    """Standard errors of the means, from effective sample sizes."""
    found = az.mcse(dataset, method="mean")
    return np.concatenate([np.ravel(found[name].values) for name in dataset.data_vars])


def main():
    """Write the file."""
    kept = {}
    for name, case in CASES.items():
        model, x, y = case()
        post = model.sample(x, y, **LONG)
        print(name, post.convergence(), sep="\n", flush=True)
        found = quantities(post)
        kept[name] = {"mean": means(found).tolist(), "error": errors(found).tolist()}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
