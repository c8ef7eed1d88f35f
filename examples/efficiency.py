# %% [markdown]
# # Effective draws per second: bayesplat beside the plain NumPyro model
# The plain model is what one writes first: amplitudes as parameters, default starts, NumPyro's own driver, four chains
# one after the other on its vectorised path. Same data, same number of splats, same prior on lengths and centres.
# Run `uv run python examples/efficiency.py`; `--quick` for a small version.

# %%
import argparse
import time

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist
from numpyro.infer import MCMC, NUTS

import bayesplat as bs


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


def run_plain(x: np.ndarray, y: np.ndarray, k: int, warmup: int, draws: int) -> tuple[np.ndarray, float]:
    """Draws of f (chains, draws, n) and seconds, compilation included."""
    box, standard = (x - x.min()) / np.ptp(x), (y - y.mean()) / y.std()
    began = time.perf_counter()
    with jax.enable_x64(True):
        mcmc = MCMC(
            NUTS(plain, target_accept_prob=0.9),
            num_warmup=warmup,
            num_samples=draws,
            num_chains=4,
            chain_method="vectorized",
            progress_bar=False,
        )
        mcmc.run(jax.random.key(0), jnp.asarray(box), jnp.asarray(standard), k)
        f = np.asarray(mcmc.get_samples(group_by_chain=True)["f"])
    return f, time.perf_counter() - began


def run_splats(x: np.ndarray, y: np.ndarray, k: int, warmup: int, draws: int) -> tuple[np.ndarray, float]:
    """The same from bayesplat: flow, four chains, compilation included."""
    began = time.perf_counter()
    post = bs.SplatModel(k, prior=bs.Ridge()).sample(x, y, warmup=warmup, draws=draws)
    return post.data["posterior"]["f"].values, time.perf_counter() - began


def main(quick: bool) -> None:
    """Print worst and median effective sample size of f per second for both."""
    data = bs.datasets.motorcycle()
    k, warmup, draws = (3, 50, 50) if quick else (10, 500, 500)
    print("| sampler | seconds | max R-hat f | min ESS f | median ESS f | min ESS/s | median ESS/s |")
    print("|---|---|---|---|---|---|---|")
    for name, run in {"plain NumPyro, default starts": run_plain, "bayesplat": run_splats}.items():
        f, seconds = run(data.x, data.y, k, warmup, draws)
        tree = az.from_dict({"posterior": {"f": f}})
        ess, rhat = az.ess(tree)["f"].values, float(az.rhat(tree)["f"].max())
        print(
            f"| {name} | {seconds:.0f} | {rhat:.3f} | {ess.min():.0f} | {np.median(ess):.0f} "
            f"| {ess.min() / seconds:.2f} | {np.median(ess) / seconds:.1f} |",
            flush=True,
        )


# %%
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Effective draws per second")
    parser.add_argument("--quick", action="store_true", help="tiny budgets")
    main(parser.parse_args().quick)
