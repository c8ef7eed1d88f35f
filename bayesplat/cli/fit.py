"""`bayesplat fit`: a table of data to a posterior in a file, with its reports."""

import shutil
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bayesplat._checks import require
from bayesplat.cli.config import SAMPLE, read_toml, to_toml
from bayesplat.cli.console import note, say
from bayesplat.cli.device import Device, use
from bayesplat.cli.files import input_names, listed, numbers, read_table, require_columns, require_writable
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.mothers import Box, Gaussian, Mixed
from bayesplat.priors import R2D2, AmplitudePrior, Flat, RegularizedHorseshoe, Ridge, StickBreaking
from bayesplat.regression import SplatModel
from bayesplat.results import Posterior

JUMPS = Mixed((Gaussian(), Box(1024)))
"""Mothers of data that jump: edges fall within a six-hundredth of a box's radius."""

EXAMPLE = "bayesplat fit data.csv --target y --out run.nc"


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
    data: Annotated[
        Path, typer.Argument(metavar="DATA.csv", help="CSV (with a header) or Parquet file.", show_default=False)
    ],
    target: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column to explain; empty cells are missing.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(metavar="RUN.nc", help="File for the posterior, ending in .nc.", show_default=False)
    ],
    inputs: Annotated[str | None, typer.Option(metavar="A,B,C", help="Input columns; all others by default.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="RUN.toml", help="Settings of model and sampler; options given here go first."),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print all settings as such a file, and fit nothing.")
    ] = False,
    prior: Annotated[
        Prior | None,
        typer.Option(metavar="NAME", help=f"Prior on the amplitudes: {', '.join(Prior)}.", show_default="horseshoe"),
    ] = None,
    n_active: Annotated[
        float | None,
        typer.Option(help="Splats that the horseshoe expects to matter.", show_default="5, or half of all splats"),
    ] = None,
    splats: Annotated[
        int | None,
        typer.Option(min=1, help="Number of splats; the prior switches off what is not needed.", show_default="20"),
    ] = None,
    noise: Annotated[
        Noise | None,
        typer.Option(help="Noise of one size, or of a size that varies with x.", show_default="constant"),
    ] = None,
    student_t: Annotated[bool, typer.Option("--student-t", help="Heavy-tailed noise, for outliers.")] = False,
    jumps: Annotated[
        bool, typer.Option("--jumps", help="Sharp-edged splats beside smooth ones, for data that jump.")
    ] = False,
    covariance: Annotated[
        Covariance | None,
        typer.Option(help="Shape of a splat in several inputs: round, along the axes, or tilted.", show_default="full"),
    ] = None,
    method: Annotated[
        Method | None,
        typer.Option(
            help="NUTS or SMC (exact; SMC also gives the evidence), SVI or Laplace (sketches), or by size.",
            show_default="nuts",
        ),
    ] = None,
    chains: Annotated[
        int | None, typer.Option(min=1, help="Chains, each from its own start.", show_default="4")
    ] = None,
    warmup: Annotated[
        int | None, typer.Option(min=1, help="Steps of each chain thrown away first.", show_default="500")
    ] = None,
    draws: Annotated[int | None, typer.Option(min=4, help="Draws kept of each chain.", show_default="500")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same result.", show_default="0")] = None,
    device: Annotated[Device, typer.Option(help="Where to compute; by the size of the problem if auto.")] = Device.auto,
) -> None:
    """Fit a table of data: sample the posterior, report on it, and write it to a file.

    Work in progress is kept in RUN.checkpoint until RUN.nc is written: after a crash the same command goes on from
    there, and so does `bayesplat resume`.
    """
    model, sample = read_toml(config) if config is not None else (SplatModel(), {})
    model = _changed(model, config is None, splats, prior, n_active, noise, student_t, jumps, covariance)
    run = {"method": method, "chains": chains, "warmup": warmup, "draws": draws, "seed": seed}
    sample = SAMPLE | sample | {name: value for name, value in run.items() if value is not None}
    if show_config:
        say(to_toml(model, sample).rstrip())
        return
    use(device)
    require_writable(out, ".nc")
    frame = read_table(data)
    require_columns(frame, [target], data)
    names = input_names(frame, target, inputs, data)
    x = numbers(frame, names, data, hint="; leave that column out with --inputs, or code it as numbers")
    y = numbers(frame, [target], data, missing=True, hint="; leave the cell empty if it is missing")[target]
    note(f"Fitting {target!r} to {listed(names)}: {len(frame)} rows of {data}.")
    folder = out.with_suffix(".checkpoint")
    if folder.exists():
        note(f"Going on with the work kept in {folder}.")
    finish(model.sample(x, y, **sample, checkpoint=folder), folder, out)


def finish(post: Posterior, folder: Path, out: Path) -> None:
    """Write a posterior, drop the checkpoint it came from if it is whole, and report."""
    post.save(out)
    if post.info["interrupted"]:
        note(f"Warning: interrupted: only the draws made so far are kept; bayesplat resume {folder} makes the others.")
    else:
        shutil.rmtree(folder)
    say(f"{post}\n\n{post.convergence()}\n\n{post.overfitting()}\n")
    say(f"The posterior is in {out}. Next: bayesplat predict {out} NEW.csv, bayesplat report {out}")


def _changed(
    model: SplatModel,
    new: bool,
    splats: int | None,
    prior: Prior | None,
    n_active: float | None,
    noise: Noise | None,
    student_t: bool,
    jumps: bool,
    covariance: Covariance | None,
) -> SplatModel:
    """The model with what was given on the command line; a new one's horseshoe fits its number of splats."""
    k = model.n_splats if splats is None else splats
    changes: dict[str, Any] = {"n_splats": k}
    if new or prior is not None or n_active is not None:
        changes["prior"] = _prior(prior or Prior.horseshoe, n_active, k)
    if noise is not None or student_t:
        changes["likelihood"] = (StudentT if student_t else Normal)(noise=(noise or Noise.constant).value)
    if jumps:
        changes["mother"] = JUMPS
    if covariance is not None:
        changes["covariance"] = covariance.value
    return replace(model, **changes)


def _prior(prior: Prior, n_active: float | None, splats: int) -> AmplitudePrior:
    require(n_active is None or prior == Prior.horseshoe, f"--n-active is for --prior horseshoe, not {prior.value}.")
    if prior == Prior.horseshoe:
        return RegularizedHorseshoe.among(splats) if n_active is None else RegularizedHorseshoe(n_active)
    others = {Prior.ridge: Ridge, Prior.r2d2: R2D2, Prior.stick_breaking: StickBreaking, Prior.flat: Flat}
    return others[prior]()
