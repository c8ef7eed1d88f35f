# %% [markdown]
# # Motorcycle data: uncertainty bands and ten-fold scores beside a Gaussian process
# Head acceleration in simulated crashes (Silverman 1985): flat, then a violent swing, with noise that changes along the
# way. Run `uv run python examples/motorcycle.py`; `--quick` for a small version.

# %%
import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

import bayesplat as bs

FOLDS = 10


# %% [markdown]
# ## The models: the same splats with constant and with varying noise


# %%
def splat_model(noise: str) -> bs.SplatModel:
    """Ten splats with the regularized horseshoe: about four are expected to matter."""
    return bs.SplatModel(10, prior=bs.RegularizedHorseshoe(n_active=4), likelihood=bs.Normal(noise))


def gp_scores(x: np.ndarray, y: np.ndarray, hold: np.ndarray) -> tuple:
    """Held-out log densities, and whether the 90% interval of an observation covers, of a scikit-learn GP.

    Matern-5/2 with white noise, hyperparameters by marginal likelihood.
    """
    mean, sd = y[~hold].mean(), y[~hold].std()
    kernel = ConstantKernel(1.0) * Matern(5.0, (0.1, 100.0), nu=2.5) + WhiteKernel(0.1, (1e-4, 1.0))
    gp = GaussianProcessRegressor(kernel, n_restarts_optimizer=5, random_state=0)
    gp.fit(x[~hold, None], (y[~hold] - mean) / sd)
    at, spread = gp.predict(x[hold, None], return_std=True)
    at, spread = mean + sd * at, sd * spread
    return norm.logpdf(y[hold], at, spread), np.abs(y[hold] - at) <= norm.ppf(0.95) * spread


# %% [markdown]
# ## Ten folds, the same for everyone


# %%
def data_and_folds(quick: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, accelerations, and the fold of every datum (quick: every fifth datum, two folds of equal size)."""
    data = bs.datasets.motorcycle()
    if quick:
        rows = slice(0, 130, 5)
        return data.x[rows], data.y[rows], np.arange(26) % 2
    return data.x, data.y, np.random.default_rng(0).permutation(len(data.x)) % FOLDS


def gp_cross_validated(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `bs.kfold` does for splats."""
    parts = [gp_scores(x, y, fold == f) for f in np.unique(fold)]
    density, covered = (np.concatenate(part) for part in zip(*parts, strict=True))
    return density, covered


def cross_validate(quick: bool) -> str:
    """A table of held-out negative log density per datum and coverage."""
    x, y, fold = data_and_folds(quick)
    budget = {"chains": 2, "warmup": 25, "draws": 25} if quick else {"chains": 4, "warmup": 300, "draws": 300}

    def splats(noise: str) -> tuple[np.ndarray, np.ndarray]:
        found = bs.kfold(splat_model(noise), x, y, folds=fold, **budget)
        return found.log_density, found.covered

    methods = {
        "splats, varying noise": lambda: splats("varying"),
        "Gaussian process": lambda: gp_cross_validated(x, y, fold),
        "splats, constant noise": lambda: splats("constant"),
    }
    lines = ["| model | NLPD | 90% coverage | seconds |", "|---|---|---|---|"]
    for name, scores in list(methods.items())[: 2 if quick else None]:
        began = time.perf_counter()
        density, covered = scores()
        seconds = time.perf_counter() - began
        lines.append(f"| {name} | {-density.mean():.3f} | {covered.mean():.3f} | {seconds:.0f} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


# %% [markdown]
# ## Bands, splats and checks on all the data


# %%
def figures(out: Path, quick: bool) -> None:
    """Fit once, to all data (quick: without the first fold), and draw the bands and the splats."""
    x, y, fold = data_and_folds(quick)
    used = fold > 0 if quick else slice(None)
    data = bs.datasets.motorcycle()
    named_x, named_y = pd.Series(x[used], name=data.x_name), pd.Series(y[used], name=data.y_name)
    budget = {"chains": 2, "warmup": 25, "draws": 25} if quick else {"chains": 4, "warmup": 500, "draws": 1000}
    post = splat_model("varying").sample(named_x, named_y, **budget)
    print(post.convergence(), post.overfitting(), sep="\n")
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in {"bands": bs.plots.bands(post), "splats": bs.plots.splats(post)}.items():
        figure.savefig(out / f"motorcycle_{name}.png", dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Motorcycle data: bands and ten-fold scores")
    parser.add_argument("--quick", action="store_true", help="tiny budgets, few data, two folds")
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of the pictures")
    options = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        print(cross_validate(options.quick))
        figures(options.out, options.quick)
