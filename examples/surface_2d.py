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
# ## Fit: a point fit first, then the posterior in two ways
# NUTS goes on from the flow's fits, and each chain keeps to the explanation that it started from. Sequential Monte
# Carlo comes from the prior and weighs explanations on the way, as many as its populations hold.


# %%
def main(out: Path, quick: bool) -> None:
    """Fit, print how far from the truth, and draw."""
    data = bs.datasets.simulate("surface", n=60 if quick else 300, noise=0.05)
    model = bs.SplatModel(4 if quick else 16, prior=bs.Ridge(), covariance="full")
    fit = model.fit(data.x, data.y)
    print(fit)
    budget = {"chains": 2, "warmup": 25, "draws": 25} if quick else {"warmup": 400, "draws": 400}
    rng = np.random.default_rng(1)
    x_new = rng.uniform(size=(2000, 2))
    truth = data.f(x_new)
    print(f"MSE to the truth of the point fit {np.mean((fit.predict(x_new) - truth) ** 2):.2e}")
    out.mkdir(parents=True, exist_ok=True)
    bs.plots.splats(fit).savefig(out / "surface_splats.png", dpi=150)
    for method in ("nuts", "smc"):
        post = model.sample(data.x, data.y, method=method, start=fit, **budget)
        pred = post.predict(x_new, prob=0.9)
        covered = np.mean((pred.lower <= truth) & (truth <= pred.upper))
        print(f"{method}: MSE of the posterior mean {np.mean((pred.mean - truth) ** 2):.2e}; ", end="")
        print(f"the 90% band covers {covered:.3f} of the surface; {post.info['seconds']:.0f} s")
        print(post.convergence())
        bs.plots.bands(post).savefig(out / f"surface_bands_{method}.png", dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A surface over two inputs")
    parser.add_argument("--quick", action="store_true", help="tiny budgets")
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of the pictures")
    options = parser.parse_args()
    main(options.out, options.quick)
