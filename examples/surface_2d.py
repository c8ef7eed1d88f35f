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
# ## How many splats: more than the surface needs
# Sixteen are all at work. Chains that began with different explanations keep to them, since a splat that is needed
# where it stands cannot go elsewhere. With 48 there are splats to spare, and chains trade explanations through these.


# %%
def main(out: Path, quick: bool) -> None:
    """Fit with few and with many splats, print how far from the truth, and draw."""
    data = bs.datasets.simulate("surface", n=60 if quick else 300, noise=0.05)
    budget = {"chains": 2, "warmup": 25, "draws": 25} if quick else {"warmup": 400, "draws": 400}
    rng = np.random.default_rng(1)
    x_new = rng.uniform(size=(2000, 2))
    truth = data.f(x_new)
    for k in (3,) if quick else (16, 48):
        model = bs.SplatModel(k, prior=bs.Ridge(), covariance="full")
        fit = model.fit(data.x, data.y)
        print(f"{fit}\nMSE to the truth of the point fit {np.mean((fit.predict(x_new) - truth) ** 2):.2e}")
        post = model.sample(data.x, data.y, start=fit, **budget)
        pred = post.predict(x_new, prob=0.9)
        covered = np.mean((pred.lower <= truth) & (truth <= pred.upper))
        print(f"{k} splats: MSE of the posterior mean {np.mean((pred.mean - truth) ** 2):.2e}; ", end="")
        print(f"the 90% band covers {covered:.3f} of the surface; {post.info['seconds']:.0f} s")
        print(post.convergence())
    out.mkdir(parents=True, exist_ok=True)
    bs.plots.splats(fit).savefig(out / "surface_splats.png", dpi=150)
    bs.plots.bands(post).savefig(out / "surface_bands.png", dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A surface over two inputs")
    parser.add_argument("--quick", action="store_true", help="tiny budgets")
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of the pictures")
    options = parser.parse_args()
    main(options.out, options.quick)
