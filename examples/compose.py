# %% [markdown]
# # Splats inside a model of your own
# 1. A linear predictor beside splats: the effect of a treatment, with a nuisance of unknown shape in time.
# 2. A splat field inside an ordinary differential equation: growth at a rate that nobody wrote down.
#
# Run `uv run python examples/compose.py`; `--quick` for short chains.

# %%
import argparse

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpyro
from numpyro import distributions as dist
from numpyro.infer import MCMC, NUTS, Predictive, init_to_median

import bayesplat as bs

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="short chains: only to see that it runs")
parser.add_argument("--out", default=".", help="folder of the figure")
options = parser.parse_args()
warmup, draws = (20, 20) if options.quick else (500, 500)


def sampled(program):
    """Draws of one chain; double precision is what splats need."""
    mcmc = MCMC(NUTS(program, init_strategy=init_to_median), num_warmup=warmup, num_samples=draws, progress_bar=False)
    mcmc.run(jax.random.key(0))
    return mcmc.get_samples()


# %% [markdown]
# ## Beside a linear predictor
# Days of treatment and a seasonal nuisance; the effect is 1.5.

# %%
rng = np.random.default_rng(0)
time = np.sort(rng.uniform(0, 10, 120))
treated = rng.uniform(size=120) < 0.5
season = 3 * np.exp(-0.5 * ((time - 3) / 0.4) ** 2) + np.sin(time)
y = 1.5 * treated + season + 0.3 * rng.normal(size=120)

term = bs.SplatModel(n_splats=6, prior=bs.Ridge()).numpyro(time, y)


def treatment():
    """An effect of treatment beside splats in time, whose amplitudes are integrated out."""
    effect = numpyro.sample("effect", dist.Normal(0.0, 5.0))
    term(offset=effect * treated)


with jax.enable_x64(True):
    found = sampled(treatment)
    f = np.asarray(Predictive(treatment, found)(jax.random.key(1))["f"])
effect = np.asarray(found["effect"])
print(f"effect {effect.mean():.2f} ± {effect.std():.2f} (true 1.50)")
print(f"error of the season's shape {np.sqrt(np.mean((f.mean(0) - season - np.mean(f.mean(0) - season)) ** 2)):.2f}")

# %% [markdown]
# ## Inside a differential equation
# Cells grow at a rate that depends on how many there are: dN/dt = N r(N), r unknown, counted at 40 times.

# %%
hours = np.linspace(0, 12, 40)
sizes = np.linspace(0.0, 1.2, 30)


def growth(rate, steps=240):
    """N at the hours by Euler steps from N = 0.02."""

    def step(n, _):
        return n + 12 / steps * n * rate(n), n

    return jax.lax.scan(step, jnp.asarray(0.02), length=steps)[1][:: steps // 40]


def true_rate(n):
    """Slow while few, fast in the middle, none at 1."""
    return (0.4 + 2.0 * jnp.exp(-0.5 * ((n - 0.4) / 0.15) ** 2)) * (1 - n)


counted = np.asarray(growth(true_rate)) + 0.02 * rng.normal(size=40)
rate_term = bs.SplatModel(n_splats=4, prior=bs.Ridge(), lengths=bs.Lengths(typical=0.2)).numpyro(sizes)


def cells():
    """A rate made of splats, seen only through the equation's solution."""
    function = rate_term.function()

    def rate(n):
        return function(n[None, None])[0]

    noise = numpyro.sample("noise", dist.HalfNormal(0.1))
    numpyro.deterministic("rate", function(sizes[:, None]))
    numpyro.sample("N", dist.Normal(growth(rate), noise), obs=counted)


with jax.enable_x64(True):
    rates = np.asarray(sampled(cells)["rate"])
truth = np.asarray(true_rate(sizes))
low, high = np.quantile(rates, [0.05, 0.95], axis=0)
seen = (sizes > counted.min()) & (sizes < counted.max())
covered = np.mean((low <= truth)[seen] & (truth <= high)[seen])
print(f"the rate's 90% band covers {covered:.0%} of the sizes that occurred")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(time, y - effect.mean() * treated, ".", color="0.6", label="data without the effect")
left.fill_between(time, *np.quantile(f, [0.05, 0.95], axis=0), color="#0072B2", alpha=0.3, label="90% band of f")
left.plot(time, season, color="#D55E00", label="truth")
left.set(xlabel="time (days)", ylabel="season")
right.fill_between(sizes, low, high, color="#0072B2", alpha=0.3, label="90% band of the rate")
right.plot(sizes, truth, color="#D55E00", label="truth")
right.set(xlabel="size N", ylabel="growth rate (1/h)")
for ax in (left, right):
    ax.legend(frameon=False, fontsize="small")
figure.savefig(f"{options.out}/compose.png", dpi=140)
