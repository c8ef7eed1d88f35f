# %% [markdown]
# # A surface over two inputs: bands in the plane, and its splats as ellipses
# f(x) = sin(3 pi sqrt(x1)) cos(3 pi x2), whose left edge is steep. Run `uv run python examples/surface_2d.py`;
# `--quick` for a small version.

# %%
import argparse
from pathlib import Path

import numpy as np

import bayesplat as bs

# %% [markdown]
# ## Fit: a point fit first, then the posterior from its starts


# %%
def fit_surface(quick: bool) -> tuple[bs.PointFit, bs.Posterior, bs.datasets.Simulated]:
    """Point fit and posterior of the simulated surface."""
    data = bs.datasets.simulate("surface", n=60 if quick else 300, noise=0.05)
    model = bs.SplatModel(4 if quick else 16, prior=bs.Ridge(), covariance="full")
    budget = {"chains": 2, "warmup": 25, "draws": 25} if quick else {"chains": 4, "warmup": 400, "draws": 400}
    fit = model.fit(data.x, data.y)
    return fit, model.sample(data.x, data.y, start=fit, **budget), data


# %% [markdown]
# ## Look: error against the truth, coverage of the band, pictures


# %%
def main(out: Path, quick: bool) -> None:
    """Fit, print how far from the truth, and draw."""
    fit, post, data = fit_surface(quick)
    rng = np.random.default_rng(1)
    x_new = rng.uniform(size=(2000, 2))
    truth, pred = data.f(x_new), post.predict(x_new, prob=0.9)
    covered = np.mean((pred.lower <= truth) & (truth <= pred.upper))
    print(fit)
    print(f"MSE to the truth: point fit {np.mean((fit.predict(x_new) - truth) ** 2):.2e}, ", end="")
    print(f"posterior mean {np.mean((pred.mean - truth) ** 2):.2e}; 90% band covers {covered:.3f} of the surface")
    print(post.convergence())
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in {"bands": bs.plots.bands(post), "splats": bs.plots.splats(fit)}.items():
        figure.savefig(out / f"surface_{name}.png", dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A surface over two inputs")
    parser.add_argument("--quick", action="store_true", help="tiny budgets")
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of the pictures")
    options = parser.parse_args()
    main(options.out, options.quick)
