"""`bayesplat fit`: a CSV file to a posterior in a file, with its reports."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bayesplat._checks import require
from bayesplat.cli.console import note, say
from bayesplat.cli.csvfiles import input_names, listed, numbers, read_csv, require_columns, require_writable
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.priors import R2D2, AmplitudePrior, Flat, RegularizedHorseshoe, Ridge, StickBreaking
from bayesplat.regression import SplatModel

EXAMPLE = "bayesplat fit data.csv --target y --out run.nc"

N_ACTIVE = 5.0
"""Splats that the horseshoe expects to matter, as long as they are at most half of all."""


class Prior(StrEnum):
    """Priors on amplitudes."""

    horseshoe = "horseshoe"
    ridge = "ridge"
    r2d2 = "r2d2"
    stick_breaking = "stick-breaking"
    flat = "flat"


class Noise(StrEnum):
    """Noise heads."""

    constant = "constant"
    varying = "varying"


class Covariance(StrEnum):
    """Scale families."""

    spherical = "spherical"
    diag = "diag"
    full = "full"


class Method(StrEnum):
    """Ways to the posterior."""

    nuts = "nuts"
    smc = "smc"
    svi = "svi"
    laplace = "laplace"
    auto = "auto"


def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA.csv", help="CSV file with a header.", show_default=False)],
    target: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column to explain; empty cells are missing.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(metavar="RUN.nc", help="File for the posterior, ending in .nc.", show_default=False)
    ],
    inputs: Annotated[str | None, typer.Option(metavar="A,B,C", help="Input columns; all others by default.")] = None,
    prior: Annotated[
        Prior, typer.Option(metavar="NAME", help=f"Prior on the amplitudes: {', '.join(Prior)}.")
    ] = Prior.horseshoe,
    n_active: Annotated[
        float | None,
        typer.Option(help="Splats that the horseshoe expects to matter.", show_default="5, or half of all splats"),
    ] = None,
    splats: Annotated[
        int, typer.Option(min=1, help="Number of splats; the prior switches off what is not needed.")
    ] = 20,
    noise: Annotated[Noise, typer.Option(help="Noise of one size, or of a size that varies with x.")] = Noise.constant,
    student_t: Annotated[bool, typer.Option("--student-t", help="Heavy-tailed noise, for outliers.")] = False,
    covariance: Annotated[
        Covariance, typer.Option(help="Shape of a splat in several inputs: round, along the axes, or tilted.")
    ] = Covariance.full,
    method: Annotated[
        Method,
        typer.Option(help="NUTS or SMC (exact; SMC also gives the evidence), SVI or Laplace (sketches), or by size."),
    ] = Method.nuts,
    chains: Annotated[int, typer.Option(min=1, help="Chains, each from its own start.")] = 4,
    warmup: Annotated[int, typer.Option(min=1, help="Steps of each chain thrown away first.")] = 500,
    draws: Annotated[int, typer.Option(min=4, help="Draws kept of each chain.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 0,
) -> None:
    """Fit a CSV file: sample the posterior, report on it, and write it to a file."""
    require_writable(out, ".nc")
    frame = read_csv(data)
    require_columns(frame, [target], data)
    names = input_names(frame, target, inputs, data)
    x = numbers(frame, names, data, hint="; leave that column out with --inputs, or code it as numbers")
    y = numbers(frame, [target], data, missing=True, hint="; leave the cell empty if it is missing")[target]
    model = SplatModel(
        n_splats=splats,
        prior=_prior(prior, n_active, splats),
        likelihood=StudentT(noise=noise.value) if student_t else Normal(noise=noise.value),
        covariance=covariance.value,
    )
    note(f"Fitting {target!r} to {listed(names)}: {len(frame)} rows of {data}.")
    post = model.sample(x, y, method.value, chains=chains, warmup=warmup, draws=draws, seed=seed)
    post.save(out)
    if post.info["interrupted"]:
        note("Warning: interrupted: only the draws made so far are kept.")
    say(f"{post}\n\n{post.convergence()}\n\n{post.overfitting()}\n")
    say(f"The posterior is in {out}. Next: bayesplat predict {out} NEW.csv")


def _prior(prior: Prior, n_active: float | None, splats: int) -> AmplitudePrior:
    require(n_active is None or prior == Prior.horseshoe, f"--n-active is for --prior horseshoe, not {prior.value}.")
    if prior == Prior.horseshoe:
        return RegularizedHorseshoe(n_active=min(N_ACTIVE, splats / 2) if n_active is None else n_active)
    others = {Prior.ridge: Ridge, Prior.r2d2: R2D2, Prior.stick_breaking: StickBreaking, Prior.flat: Flat}
    return others[prior]()
