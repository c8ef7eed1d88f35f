# %% [markdown]
# # What each method costs, and how far it is from NUTS
# The same model and data by NUTS, sequential Monte Carlo, variational inference and Laplace's approximation, all else
# by default: seconds from the data to the posterior, and the posterior mean and sd of f beside those of NUTS.
# Run `uv run python examples/methods.py`; `--quick` for a small version.

# %%
import argparse

import numpy as np

import bayesplat as bs
from bayesplat.posterior.choice import takes_hours


# %%
def wave(n: int) -> tuple[np.ndarray, np.ndarray]:
    """sin(10 pi t (2 - t)) with noise of sd 0.15."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(size=n))
    return t, np.sin(10 * np.pi * t * (2 - t)) + 0.15 * rng.normal(size=n)


def surface(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A hill on a saddle over two inputs, with noise of sd 0.1."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(n, 2))
    hill = np.exp(-30 * ((x[:, 0] - 0.3) ** 2 + (x[:, 1] - 0.4) ** 2))
    return x, hill + np.sin(6 * x[:, 0] * x[:, 1]) + 0.1 * rng.normal(size=n)


def row(post: bs.Posterior, x: np.ndarray, exact: bs.Prediction) -> str:
    """Columns of the table."""
    report, f = post.convergence(), post.predict(x)
    judged = f"k-hat {report.khat:.2f}" if report.table.empty else f"R-hat {report.table.r_hat.iloc[0]:.3f}"
    off = np.sqrt(np.mean(((f.mean - exact.mean) / exact.sd) ** 2))
    return f"{post.info['seconds']:.0f} | {judged} | {off:.2f} | {np.median(f.sd / exact.sd):.2f}"


def main(quick: bool) -> None:
    """Print the table."""
    budget = {"warmup": 25, "draws": 25, "chains": 2} if quick else {}
    cases = {"wave, n = 40": (*wave(40), 3)} if quick else {
        "wave, n = 100": (*wave(100), 12),
        "wave, n = 1000": (*wave(1000), 30),
        "surface, n = 150": (*surface(150), 12),
    }  # fmt: skip
    print("| data | k | method | s | its own verdict | mean off, in sds (rms) | sd over that of NUTS (median) |")
    print("|---|---|---|---|---|---|---|")
    for name, (x, y, k) in cases.items():
        model = bs.SplatModel(k, prior=bs.Ridge())
        exact = None
        for method in ("nuts", "smc", "svi", "laplace"):
            if takes_hours(method, len(y), k):
                print(f"| {name} | {k} | {method} | hours | | | |")
                continue
            post = model.sample(x, y, method=method, progress=False, **budget)
            exact = post.predict(x) if exact is None else exact
            print(f"| {name} | {k} | {method} | {row(post, x, exact)} |", flush=True)


# %% [markdown]
# ## How many splats? The evidence
# Two bumps, sixty data, one to six splats under one prior: which number do the data favour, and does prediction agree?


# %%
def bumps(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A broad and a narrow bump, with noise of sd 0.1."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=n))
    f = np.exp(-0.5 * ((x - 0.3) / 0.1) ** 2) + np.exp(-0.5 * ((x - 0.75) / 0.03) ** 2)
    return x, f + 0.1 * rng.normal(size=n)


def evidence(quick: bool) -> None:
    """Print log evidence and leave-one-out score over the number of splats."""
    x, y = bumps(60)
    print("\n| k | log evidence | standard error | LOO score | s |\n|---|---|---|---|---|")
    for k in (1,) if quick else (1, 2, 3, 4, 6):
        model = bs.SplatModel(k, prior=bs.Ridge())
        post = model.sample(x, y, method="smc", progress=False, draws=25 if quick else 500)
        loo = post.overfitting().loo.elpd
        found = post.log_evidence
        print(f"| {k} | {found.log:.2f} | {found.error:.2f} | {loo:.1f} | {post.info['seconds']:.0f} |", flush=True)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Cost of each method")
    parser.add_argument("--quick", action="store_true", help="tiny budgets")
    options = parser.parse_args()
    main(options.quick)
    evidence(options.quick)
