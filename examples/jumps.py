# %% [markdown]
# # A smooth curve with jumps, and whether LOO sees them
# HeaviSine (donoho1994) is a wave with two jumps. Smooth splats ring at them, boxes make steps of the wave; a model may
# have both. Run `uv run python examples/jumps.py`; `--quick` for a small version.

# %%
import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

import bayesplat as bs
from bayesplat.datasets import Simulated

JUMPS, NEAR = np.array([0.3, 0.72]), 0.02
MOTHERS = {
    "Gaussian": bs.mothers.Gaussian(),
    "Box(1024)": bs.mothers.Box(1024),
    "both": bs.mothers.Mixed((bs.mothers.Gaussian(), bs.mothers.Box(1024))),
}


# %% [markdown]
# ## One row for every data set and mother
# Every other splat of `Mixed` is a box; priors and budgets are those of every other model.


# %%
def scored(post: bs.Posterior, data: Simulated) -> dict[str, float]:
    """Distance from the truth, coverage of the 90% band at all data and beside the jumps, and the LOO score."""
    pred = post.predict(data.x, prob=0.9)
    covered = (pred.lower <= data.truth) & (data.truth <= pred.upper)
    near = np.abs(data.x - JUMPS).min(1) < NEAR
    return {
        "mse": np.mean((pred.mean - data.truth) ** 2),
        "covered": covered.mean(),
        "covered_near": covered[near].mean(),
        "width": np.mean(pred.upper - pred.lower),
        "loo": post.overfitting().to_frame()["value"]["LOO score per datum"],
        "r_hat": float(post.convergence().to_frame().r_hat.iloc[0]),
        "seconds": post.info["seconds"],
    }


def study(options: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, bs.Posterior]]:
    """All rows, and the posteriors of the first data set."""
    budget = {"chains": 2, "warmup": 25, "draws": 25} if options.quick else {}
    rows, first = [], {}
    for seed in range(options.seeds):
        data = bs.datasets.simulate("heavisine", n=options.n, seed=seed)
        for name in options.mothers:
            model = bs.SplatModel(options.k, mother=MOTHERS[name])
            post = model.sample(data.x, data.y, seed=seed, **budget)
            rows.append({"seed": seed, "mother": name, **scored(post, data)})
            first.setdefault(name, post)
            pd.DataFrame(rows).to_csv(options.out / "jumps.csv", index=False, float_format="%.5g")
    return pd.DataFrame(rows), first


# %% [markdown]
# ## A table and a picture


# %%
def table(rows: pd.DataFrame) -> str:
    """Means over the data sets."""
    lines = ["| mother | MSE | 90% band covers | beside the jumps | width | LOO per datum | R-hat of f | seconds |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, group in rows.groupby("mother", sort=False):
        lines.append(
            f"| {name} | {group.mse.mean():.3f} | {group.covered.mean():.2f} | {group.covered_near.mean():.2f} "
            f"| {group.width.mean():.2f} | {group['loo'].mean():.3f} | {group.r_hat.max():.2f} at most "
            f"| {group.seconds.median():.0f} |"
        )
    picked = rows.loc[rows.groupby("seed")["loo"].idxmax()].mother.value_counts()
    said = ", ".join(f"{name} in {count}" for name, count in picked.items())
    return "\n".join([*lines, "", f"LOO picks {said} of {rows.seed.nunique()} data sets."])


def draw(first: dict[str, bs.Posterior], n: int, path: Path) -> None:
    """Bands over the truth, a panel for each mother."""
    truth = bs.datasets.simulate("heavisine", n=n)
    fine = np.linspace(0, 1, 4000)[:, None]
    figure, panels = plt.subplots(len(first), 1, figsize=(8, 2.6 * len(first)), sharex=True, squeeze=False)
    for panel, (name, post) in zip(panels[:, 0], first.items(), strict=True):
        bs.plots.bands(post, prob=0.9, ax=panel)
        panel.get_legend().remove()  # one for all panels stands below
        panel.plot(fine, truth.f(fine), color="black", lw=0.8, label="truth")
        panel.set(title=name, xlabel="", ylabel="y")
    panels[-1, 0].set_xlabel("x")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.12 / len(first), 1, 1))
    figure.savefig(path, dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Jumps in a smooth curve")
    parser.add_argument("--quick", action="store_true", help="one mother, tiny budgets")
    parser.add_argument("--k", type=int, default=20, help="number of splats")
    parser.add_argument("--n", type=int, default=256, help="number of data")
    parser.add_argument("--seeds", type=int, default=5, help="data sets")
    parser.add_argument("--mothers", nargs="+", choices=MOTHERS, default=list(MOTHERS))
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of table and picture")
    if parser.parse_args().quick:
        parser.set_defaults(k=8, n=60, seeds=1, mothers=["both"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows, first = study(options)
    print(table(rows))
    draw(first, options.n, options.out / "jumps.png")
