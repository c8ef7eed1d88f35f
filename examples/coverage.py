# %% [markdown]
# # Do bands cover the truth? A study with known functions, beside a Gaussian process
# Many data sets from three functions: one scale, two scales, and a wave that slows down. Both methods see the same data
# and are asked for bands of f at 50, 80, 90 and 95%. Run `uv run python examples/coverage.py`; `--quick` for a small
# version.

# %%
import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

import bayesplat as bs

LEVELS, NOISE = (0.5, 0.8, 0.9, 0.95), 0.15
GRID = (np.arange(200) + 0.5) / 200
COLOURS = {"splats": "#0072B2", "GP (Matern 5/2)": "#E69F00"}

TRUTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "one scale": lambda t: np.sin(2 * np.pi * t) + 0.5 * np.cos(5 * t),
    "two scales": lambda t: np.exp(-0.5 * ((t - 0.4) / 0.2) ** 2) + 1.5 * np.exp(-0.5 * ((t - 0.7) / 0.015) ** 2),
    "slowing wave": lambda t: np.sin(10 * np.pi * t * (2 - t)),
}


# %% [markdown]
# ## The methods: mean and quantiles of f on the grid, log density of new observations there


# %%
def splats(x: np.ndarray, y: np.ndarray, y_new: np.ndarray, budget: dict, seed: int) -> tuple:
    """Twelve splats, everything else by default."""
    post = bs.SplatModel(12).sample(x, y, seed=seed, **budget)
    bands = [post.predict(GRID, prob=level) for level in LEVELS]
    r_hat = float(post.convergence().to_frame().r_hat.iloc[0])
    score = post.log_predictive_density(GRID, y_new)
    return bands[0].mean, [(band.lower, band.upper) for band in bands], score, r_hat


def process(x: np.ndarray, y: np.ndarray, y_new: np.ndarray, budget: dict, seed: int) -> tuple:
    """A scikit-learn GP with white noise, hyperparameters by marginal likelihood."""
    del budget
    centre, scale = y.mean(), y.std()
    kernel = ConstantKernel(1.0) * Matern(0.2, (1e-3, 10.0), nu=2.5) + WhiteKernel(0.1, (1e-5, 2.0))
    gp = GaussianProcessRegressor(kernel, n_restarts_optimizer=5, random_state=seed)
    gp.fit(x[:, None], (y - centre) / scale)
    mean, total = gp.predict(GRID[:, None], return_std=True)
    noise = gp.kernel_.k2.noise_level
    mean, sd, total = centre + scale * mean, scale * np.sqrt(np.maximum(total**2 - noise, 1e-12)), scale * total
    bands = [(mean - norm.ppf((1 + level) / 2) * sd, mean + norm.ppf((1 + level) / 2) * sd) for level in LEVELS]
    return mean, bands, norm.logpdf(y_new, mean, total), np.nan


METHODS = {"splats": splats, "GP (Matern 5/2)": process}


# %% [markdown]
# ## One row for every data set and method


# %%
def study(replicates: int, n: int, budget: dict, path: Path) -> pd.DataFrame:
    """Coverage of every level, width of the 90% band, MSE, and negative log density of new data."""
    rows = []
    for truth, f in TRUTHS.items():
        for seed in range(replicates):
            rng = np.random.default_rng(seed)
            x = np.sort(rng.uniform(size=n))
            y, y_new = f(x) + NOISE * rng.normal(size=n), f(GRID) + NOISE * rng.normal(size=GRID.size)
            for name, method in METHODS.items():
                began = time.perf_counter()
                mean, bands, score, r_hat = method(x, y, y_new, budget, seed)
                covered = {
                    f"cover_{level:g}": np.mean((low <= f(GRID)) & (f(GRID) <= high))
                    for level, (low, high) in zip(LEVELS, bands, strict=True)
                }
                errors = {"width_0.9": np.mean(bands[2][1] - bands[2][0]), "mse": np.mean((mean - f(GRID)) ** 2)}
                seconds = time.perf_counter() - began
                own = {"nlpd": -score.mean(), "r_hat": r_hat, "seconds": seconds}
                rows.append({"truth": truth, "method": name, "seed": seed, **covered, **errors, **own})
                # on disk as soon as it is known: a long run that is cut short keeps what it has
                pd.DataFrame(rows).to_csv(path, index=False, float_format="%.5g")
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Means over data sets as markdown; coverage with its standard error."""
    names = {"truth": "truth", "method": "method", **{f"cover_{level:g}": f"{level:.0%}" for level in LEVELS}}
    names |= {"width_0.9": "width, 90%", "mse": "MSE", "nlpd": "NLPD", "r_hat": "R-hat of f", "seconds": "s"}
    lines = [f"| {' | '.join(names.values())} |", "|" + "---|" * len(names)]
    for (truth, method), group in rows.groupby(["truth", "method"], sort=False):
        cells = [str(truth), str(method)]
        for level in LEVELS:
            share = group[f"cover_{level:g}"]
            cells.append(f"{share.mean():.3f} ± {share.std() / np.sqrt(len(share)):.3f}")
        cells += [f"{group['width_0.9'].mean():.3f}", f"{group.mse.mean():.2e}", f"{group.nlpd.mean():.3f}"]
        cells += ["–" if group.r_hat.isna().all() else f"{group.r_hat.median():.3f}", f"{group.seconds.median():.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Coverage over the level that was promised, one panel for each truth."""
    figure, panels = plt.subplots(1, len(TRUTHS), figsize=(9, 3.2), sharey=True, layout="constrained")
    for panel, (truth, group) in zip(panels, rows.groupby("truth", sort=False), strict=True):
        panel.plot([0.4, 1], [0.4, 1], color="#B8B8B8", lw=0.8)
        for shift, (method, own) in zip((-0.004, 0.004), group.groupby("method", sort=False), strict=True):
            shares = own[[f"cover_{level:g}" for level in LEVELS]]
            error = 2 * shares.std() / np.sqrt(len(shares))
            at = np.array(LEVELS) + shift
            panel.errorbar(at, shares.mean(), error, fmt="o", ms=4, color=COLOURS[str(method)], label=method)
        panel.set(title=truth, xlabel="promised", xlim=(0.45, 1), ylim=(0.4, 1.02))
    panels[0].set_ylabel("share of the grid covered")
    panels[0].legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Coverage of bands")
    parser.add_argument("--quick", action="store_true", help="one data set of each, tiny budgets")
    parser.add_argument("--replicates", type=int, default=100, help="data sets of each function")
    parser.add_argument("--n", type=int, default=100, help="data in each")
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of table and picture")
    options = parser.parse_args()
    budget = {"chains": 2, "warmup": 25, "draws": 25} if options.quick else {"chains": 4, "warmup": 300, "draws": 300}
    options.out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = study(1 if options.quick else options.replicates, options.n, budget, options.out / "coverage.csv")
    print(table(rows))
    draw(rows, options.out / "coverage.png")
