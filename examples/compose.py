# %% [markdown]
# # Splats inside a model of your own
# 1. A linear predictor beside splats: the effect of a treatment, with a nuisance of unknown shape in time.
# 2. A splat field inside an ordinary differential equation: growth at a rate that nobody wrote down.
#
# Run `uv run python examples/compose.py`; `--quick` for short chains.

# %%
import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpyro
from matplotlib.axes import Axes
from numpyro import distributions as dist
from numpyro.infer import MCMC, NUTS, Predictive, init_to_median

import bayesplat as bs

TAILS = (0.05, 0.95)
BLUE, RED = "#0072B2", "#D55E00"


def sampled(program, draws: int) -> dict:
    """Draws of one chain, which the caller runs in the double precision that splats need."""
    mcmc = MCMC(NUTS(program, init_strategy=init_to_median), num_warmup=draws, num_samples=draws, progress_bar=False)
    mcmc.run(jax.random.key(0))
    return mcmc.get_samples()


# %% [markdown]
# ## Beside a linear predictor
# Treatment on some days, effect 1.5, and a seasonal nuisance.


# %%
def beside(ax: Axes, rng: np.random.Generator, draws: int) -> None:
    """An effect of treatment beside splats in time, whose amplitudes are integrated out."""
    time = np.sort(rng.uniform(0, 10, 120))
    treated = rng.uniform(size=120) < 0.5
    season = 3 * np.exp(-0.5 * ((time - 3) / 0.4) ** 2) + np.sin(time)
    y = 1.5 * treated + season + 0.3 * rng.normal(size=120)
    term = bs.SplatModel(n_splats=6, prior=bs.Ridge()).numpyro(time, y)

    def treatment() -> None:
        effect = numpyro.sample("effect", dist.Normal(0.0, 5.0))
        term(offset=effect * treated)

    with jax.enable_x64(True):
        found = sampled(treatment, draws)
        f = np.asarray(Predictive(treatment, found)(jax.random.key(1))["f"])
        effect = np.asarray(found["effect"])
    error = f.mean(0) - season
    print(f"effect {effect.mean():.2f} ± {effect.std():.2f} (true 1.50)")
    print(f"error of the season's shape {error.std():.2f}")
    ax.plot(time, y - effect.mean() * treated, ".", color="0.6", label="data without the effect")
    ax.fill_between(time, *np.quantile(f, TAILS, axis=0), color=BLUE, alpha=0.3, label="90% band of f")
    ax.plot(time, season, color=RED, label="truth")
    ax.set(xlabel="time (days)", ylabel="season")


# %% [markdown]
# ## Inside a differential equation
# Cells grow at a rate that depends on how many there are: dN/dt = N r(N), r unknown, counted at 40 times.


# %%
def growth(rate, steps: int = 240) -> jax.Array:
    """N at 40 times of 12 hours, by Euler steps from N = 0.02."""

    def step(n, _):
        return n + 12 / steps * n * rate(n), n

    return jax.lax.scan(step, jnp.asarray(0.02), length=steps)[1][:: steps // 40]


def true_rate(n):
    """Slow while few, fast in the middle, none at 1."""
    return (0.4 + 2.0 * jnp.exp(-0.5 * ((n - 0.4) / 0.15) ** 2)) * (1 - n)


def inside(ax: Axes, rng: np.random.Generator, draws: int) -> None:
    """A rate made of splats, seen only through the equation's solution."""
    sizes = np.linspace(0.0, 1.2, 30)
    counted = np.asarray(growth(true_rate)) + 0.02 * rng.normal(size=40)
    term = bs.SplatModel(n_splats=4, prior=bs.Ridge(), lengths=bs.Lengths(typical=0.2)).numpyro(sizes)

    def cells() -> None:
        rate = term.function()
        noise = numpyro.sample("noise", dist.HalfNormal(0.1))
        numpyro.deterministic("rate", rate(sizes[:, None]))
        numpyro.sample("N", dist.Normal(growth(lambda n: rate(n[None, None])[0]), noise), obs=counted)

    with jax.enable_x64(True):
        rates = np.asarray(sampled(cells, draws)["rate"])
    low, high = np.quantile(rates, TAILS, axis=0)
    truth = np.asarray(true_rate(sizes))
    seen = (sizes > counted.min()) & (sizes < counted.max())
    covered = np.mean((low <= truth)[seen] & (truth <= high)[seen])
    print(f"the rate's 90% band covers {covered:.0%} of the sizes that occurred")
    ax.fill_between(sizes, low, high, color=BLUE, alpha=0.3, label="90% band of the rate")
    ax.plot(sizes, truth, color=RED, label="truth")
    ax.set(xlabel="size N", ylabel="growth rate (1/h)")


# %%
def main(out: Path, quick: bool) -> None:
    """Both models, and what they found beside the truth."""
    rng, draws = np.random.default_rng(0), 20 if quick else 500
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for ax, model in zip(axes, (beside, inside), strict=True):
        model(ax, rng, draws)
        ax.legend(frameon=False, fontsize="small")
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "compose.png", dpi=140)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="short chains: only to see that it runs")
    parser.add_argument("--out", type=Path, default=Path("bayesplat-demo/examples"), help="folder of the figure")
    options = parser.parse_args()
    main(options.out, options.quick)
