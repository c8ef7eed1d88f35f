# %% [markdown]
# # Effective draws per second: bayesplat beside the plain NumPyro model
# The plain model is what one writes first: amplitudes as parameters, default starts, NumPyro's own driver, four chains
# on its vectorised path. Same data, same number of splats. Two data sets: the motorcycle data (133 rows), and a wave
# that slows down (1000 rows). Each sampler runs twice, with two seeds: the first time it compiles, the second time it
# starts, warms up and draws. Run `uv run python examples/efficiency.py`; `--quick` for a small version.

# %%
import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist
from numpyro.infer import MCMC, NUTS

import bayesplat as bs


# %%
class Run(NamedTuple):
    """One run of one sampler."""

    f: np.ndarray  # (chains, draws, n)
    gradients: int  # after warm-up
    seconds: float


# %%
def plain(x: jax.Array, y: jax.Array, k: int) -> None:
    """Splats with amplitudes as parameters, on standardised data."""
    b = numpyro.sample("b", dist.Uniform(-0.1, 1.1).expand([k]))
    length = numpyro.sample("length", dist.LogNormal(jnp.log(0.1), 0.7).expand([k]))
    tau = numpyro.sample("tau", dist.HalfNormal(1.0))
    a = numpyro.sample("a", dist.Normal(0.0, 1.0).expand([k]))
    level = numpyro.sample("level", dist.Normal(0.0, 2.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    heights = jnp.exp(-0.5 * ((x[:, None] - b) / length) ** 2)
    f = numpyro.deterministic("f", level + heights @ (tau * a))
    numpyro.sample("y", dist.Normal(f, sigma), obs=y)


def run_plain(x: np.ndarray, y: np.ndarray, k: int, warmup: int, draws: int) -> Iterator[Run]:
    """The plain model, twice."""
    box, standard = (x - x.min()) / np.ptp(x), (y - y.mean()) / y.std()
    with jax.enable_x64(True):
        arguments = jnp.asarray(box), jnp.asarray(standard), k
        mcmc = MCMC(
            NUTS(plain, target_accept_prob=0.9),
            num_warmup=warmup,
            num_samples=draws,
            num_chains=4,
            chain_method="vectorized",
            progress_bar=False,
        )
        for seed in (0, 1):
            began = time.perf_counter()
            mcmc.run(jax.random.key(seed), *arguments, extra_fields=("num_steps",))
            f = np.asarray(mcmc.get_samples(group_by_chain=True)["f"])
            yield Run(f, int(mcmc.get_extra_fields()["num_steps"].sum()), time.perf_counter() - began)


# %%
def run_splats(x: np.ndarray, y: np.ndarray, k: int, warmup: int, draws: int) -> Iterator[Run]:
    """The same from bayesplat, flow included, twice."""
    for seed in (0, 1):
        began = time.perf_counter()
        model = bs.SplatModel(k, prior=bs.Ridge())
        post = model.sample(x, y, warmup=warmup, draws=draws, seed=seed, progress=False)
        f, gradients = post.data["posterior"]["f"].values, int(post.data["sample_stats"]["n_steps"].sum())
        yield Run(f, gradients, time.perf_counter() - began)


# %% [markdown]
# ## One row for every case and sampler


# %%
def wave(n: int) -> tuple[np.ndarray, np.ndarray]:
    """sin(10 pi t (2 - t)) with noise of sd 0.15."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(size=n))
    return t, np.sin(10 * np.pi * t * (2 - t)) + 0.15 * rng.normal(size=n)


def row(first: Run, second: Run) -> str:
    """Columns of the table: seconds of both runs, and of the second R-hat, effective draws and what they cost."""
    f = second.f[:, :, np.unique(np.linspace(0, second.f.shape[2] - 1, 200).astype(int))]
    tree = az.from_dict({"posterior": {"f": f}})
    ess, rhat = az.ess(tree)["f"].values, float(az.rhat(tree)["f"].max())
    return (
        f"{first.seconds:.0f} | {second.seconds:.1f} | {rhat:.3f} | {ess.min():.0f} | {np.median(ess):.0f} "
        f"| {ess.min() / first.seconds:.2f} | {ess.min() / second.seconds:.2f} | {np.median(ess) / second.seconds:.1f} "
        f"| {second.gradients / ess.min():.0f}"
    )


def main(quick: bool, splats: list[int], warmup: int, draws: int) -> None:
    """Print effective draws of f per second, and gradients for each of them, for both samplers and every case."""
    data = bs.datasets.motorcycle()
    cases = {"motorcycle, n = 133": (data.x, data.y)}
    if not quick:
        cases["slowing wave, n = 1000"] = wave(1000)
    columns = ("s, first run", "s, second run", "max R-hat f", "min ESS f", "median ESS f", "min ESS/s, first run")
    columns += ("min ESS/s, second run", "median ESS/s, second run", "gradients/ESS")
    print(f"| data | k | sampler | {' | '.join(columns)} |")
    print("|---" * 12 + "|")
    for name, (x, y) in cases.items():
        for k in splats:
            for sampler, run in {"plain NumPyro": run_plain, "bayesplat": run_splats}.items():
                print(f"| {name} | {k} | {sampler} | {row(*run(x, y, k, warmup, draws))} |", flush=True)


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Effective draws per second")
    parser.add_argument("--quick", action="store_true", help="tiny budgets")
    parser.add_argument("--k", type=int, nargs="+", default=[10, 30, 60], help="numbers of splats")
    parser.add_argument("--warmup", type=int, default=200, help="steps of each chain thrown away first")
    parser.add_argument("--draws", type=int, default=200, help="draws kept of each chain")
    if parser.parse_args().quick:
        parser.set_defaults(k=[3], warmup=50, draws=50)
    options = parser.parse_args()
    main(options.quick, options.k, options.warmup, options.draws)
