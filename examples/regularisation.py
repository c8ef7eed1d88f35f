# %% [markdown]
# # Which prior prevents overfitting, and does LOO know?
# The same data under six priors, with few and many splats: held-out log density of new data, the gap between the score
# on the data and on new data, the number of active splats. And the question that users face: does the prior that
# leave-one-out picks predict best? Run `uv run python examples/regularisation.py`; `--quick` for a small version.

# %%
import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

import bayesplat as bs
from bayesplat.compare import UNTRUSTED

NOISE, NEW = 0.15, 400
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7")

TRUTHS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "two scales": lambda t: np.exp(-0.5 * ((t - 0.4) / 0.2) ** 2) + 1.5 * np.exp(-0.5 * ((t - 0.7) / 0.015) ** 2),
    "slowing wave": lambda t: np.sin(10 * np.pi * t * (2 - t)),
}
PRIORS: dict[str, Callable[[int], object]] = {
    "flat": lambda k: bs.Flat(),
    "ridge": lambda k: bs.Ridge(),
    "horseshoe": lambda k: bs.RegularizedHorseshoe(n_active=min(5.0, 0.5 * k)),
    "r2d2": lambda k: bs.R2D2(),
    "stick-breaking": lambda k: bs.StickBreaking(),
    "repulsive": lambda k: bs.Repulsive(bs.Ridge()),
}


# %% [markdown]
# ## Data: old to fit, new to score


# %%
def simulated(truth: str, n: int, seed: int) -> tuple[np.ndarray, ...]:
    """x, y, and new x, y from the same law."""
    rng, f = np.random.default_rng(seed), TRUTHS[truth]
    x, x_new = np.sort(rng.uniform(size=n)), rng.uniform(size=NEW)
    return x, f(x) + NOISE * rng.normal(size=n), x_new, f(x_new) + NOISE * rng.normal(size=NEW)


def motorcycle(seed: int) -> tuple[np.ndarray, ...]:
    """Two thirds of the motorcycle data, and the last third as new ones."""
    data = bs.datasets.motorcycle()
    order = np.random.default_rng(seed).permutation(len(data.x))
    old, new = np.sort(order[: 2 * len(order) // 3]), order[2 * len(order) // 3 :]
    return data.x[old], data.y[old], data.x[new], data.y[new]


def cases(options: argparse.Namespace) -> list[tuple[str, Callable[[int], tuple[np.ndarray, ...]]]]:
    """Name and data, as a function of the seed."""
    named = [
        (f"{truth}, n = {n}", lambda seed, truth=truth, n=n: simulated(truth, n, seed))
        for truth in TRUTHS
        for n in options.n
    ]
    return named if options.quick else [*named, ("motorcycle", motorcycle)]


# %% [markdown]
# ## One row for every data set, number of splats and prior


# %%
def scored(post: bs.Posterior, new: np.ndarray) -> dict:
    """Scores of one posterior, beside the mean log density of new data."""
    report = post.overfitting().to_frame()["value"]
    return {
        "n": post.data["observed_data"].sizes["obs"],
        "held_out": new,
        "loo": report["LOO score per datum"],
        "gap": report["in-sample score per datum"] - new,
        "active": report["active splats"],
        "p_loo": report["effective parameters p_loo"],
        "bad_k": report["untrusted LOO terms"],
        "r_hat": float(post.convergence().to_frame().r_hat.iloc[0]),
        "seconds": post.info["seconds"],
    }


def mixed(posts: dict[str, bs.Posterior], rows: list[dict], x_new: np.ndarray, y_new: np.ndarray) -> float:
    """Held-out score of all trusted posteriors together, mixed by stacking; `rows` hold their scores."""
    trusted = {row["prior"]: posts[row["prior"]] for row in rows if row["bad_k"] <= UNTRUSTED * row["n"]}
    if not trusted:
        return np.nan
    model = bs.compare(trusted) if len(trusted) > 1 else next(iter(trusted.values()))
    return model.log_predictive_density(x_new, y_new).mean()


def write(rows: list[dict], out: Path) -> None:
    """The rows that there are, as a table."""
    pd.DataFrame(rows).to_csv(out / "regularisation.csv", index=False, float_format="%.5g")


def study(options: argparse.Namespace) -> pd.DataFrame:
    """All rows, on disk as soon as they are known."""
    budget = {"warmup": 25, "draws": 25, "chains": 2} if options.quick else {"warmup": 300, "draws": 300}
    rows = []
    for name, drawn in cases(options):
        for seed in range(options.seeds):
            data = drawn(seed)
            for k in options.k:
                # all priors start from the same point fit, which does not depend on their dials
                start = bs.SplatModel(k, prior=bs.Ridge()).fit(*data[:2], seed=seed)
                posts, own = {}, []
                for prior in options.priors:
                    model = bs.SplatModel(k, prior=PRIORS[prior](k))
                    posts[prior] = model.sample(*data[:2], seed=seed, start=start, **budget)
                    new = posts[prior].log_predictive_density(*data[2:]).mean()
                    own.append({"data": name, "seed": seed, "k": k, "prior": prior, **scored(posts[prior], new)})
                    write(rows + own, options.out)
                together = mixed(posts, own, *data[2:])
                rows += [{**row, "mixture": together} for row in own]
                write(rows, options.out)
    return pd.DataFrame(rows)


# %% [markdown]
# ## Tables and a picture


# %%
def by_prior(rows: pd.DataFrame) -> str:
    """Means over all data sets for every prior and k: how much is lost to the best prior of the same data and k."""
    best = rows.groupby(["data", "seed", "k"]).held_out.transform("max")
    lost = rows.assign(lost=best - rows.held_out)
    lines = ["| prior | k | nats per datum behind the best prior | worst | overfit gap | active splats | seconds |"]
    lines.append("|---|---|---|---|---|---|---|")
    for (prior, k), group in lost.groupby(["prior", "k"], sort=False):
        lines.append(
            f"| {prior} | {k} | {group.lost.mean():.3f} | {group.lost.max():.3f} | {group.gap.mean():.3f} "
            f"| {group.active.mean():.1f} | {group.seconds.median():.0f} |"
        )
    return "\n".join(lines)


def does_loo_know(rows: pd.DataFrame) -> str:
    """What the choice by LOO costs, with and without the scores that LOO itself does not trust."""
    trusted = rows[rows.bad_k <= UNTRUSTED * rows.n]
    said = []
    for name, scored in (("of all priors", rows), (f"of those with at most {UNTRUSTED:.0%} untrusted terms", trusted)):
        if scored.empty:
            continue
        cost, picked = choices(rows, scored)
        said.append(
            f"LOO picks the prior that predicts new data best, {name}, in {picked} of {len(cost)} cases; its choice "
            f"loses {np.mean(cost):.3f} nats per datum on average ({np.max(cost):.3f} at worst); always the same prior "
            f"there: {always(rows, scored)}."
        )
    best = rows.groupby(["data", "seed", "k"]).held_out.max()
    together = (best - rows.groupby(["data", "seed", "k"]).mixture.first()).dropna()
    if len(together):
        said.append(
            f"Not choosing, but mixing those by stacking, loses {together.mean():.3f} ({together.max():.3f} at worst, "
            f"{together.min():.3f} at best) in {len(together)} cases."
        )
    return " ".join(said)


def always(rows: pd.DataFrame, scored: pd.DataFrame) -> str:
    """Mean and worst loss of every prior in the cases that have any scored one."""
    case = ["data", "seed", "k"]
    same = rows.merge(scored[case].drop_duplicates(), on=case)
    lost = same.groupby(case).held_out.transform("max") - same.held_out
    fixed = lost.groupby(same.prior, sort=False).agg(["mean", "max"])
    return ", ".join(f"{prior} {mean:.3f} ({worst:.3f})" for prior, (mean, worst) in fixed.iterrows())


def choices(rows: pd.DataFrame, scored: pd.DataFrame) -> tuple[list[float], int]:
    """Loss of LOO's choice among the scored priors in every case with any, and how often it is the best of all."""
    best = rows.groupby(["data", "seed", "k"]).held_out.max()
    chosen = scored.loc[scored.groupby(["data", "seed", "k"]).loo.idxmax()].set_index(["data", "seed", "k"]).held_out
    cost = (best - chosen).dropna()
    return list(cost), int((cost == 0).sum())


def draw(rows: pd.DataFrame, path: Path) -> None:
    """Held-out score over k for every prior, one panel for each kind of data."""
    names = rows.data.unique()
    columns = min(len(names), 3)
    lines = -(-len(names) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(9, 0.7 + 2.3 * lines), squeeze=False)
    for panel, name in zip(panels.ravel(), names, strict=False):
        for colour, (prior, group) in zip(COLOURS, rows[rows.data == name].groupby("prior", sort=False), strict=False):
            mean = group.groupby("k").held_out.mean()
            panel.plot(mean.index, mean, "o-", ms=4, lw=1.2, color=colour, label=prior)
        panel.set(title=name, xscale="log", xlabel="splats k")
        panel.set_xticks(sorted(rows.k.unique()), labels=[str(k) for k in sorted(rows.k.unique())])
        panel.set_xticks([], minor=True)
    for panel in panels.ravel()[len(names) :]:
        panel.set_visible(False)
    figure.supylabel("held-out log density per datum")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=150)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Priors against overfitting")
    parser.add_argument("--quick", action="store_true", help="two priors, tiny budgets")
    parser.add_argument("--k", type=int, nargs="+", default=[5, 10, 20, 40, 80], help="numbers of splats")
    parser.add_argument("--n", type=int, nargs="+", default=[50, 200, 1000], help="numbers of data")
    parser.add_argument("--seeds", type=int, default=1, help="data sets of each kind")
    parser.add_argument("--priors", nargs="+", choices=PRIORS, default=list(PRIORS))
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of table and picture")
    if parser.parse_args().quick:
        parser.set_defaults(k=[3], n=[40], priors=["flat", "ridge"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = study(options)
    print(by_prior(rows), does_loo_know(rows), sep="\n\n")
    draw(rows, options.out / "regularisation.png")
