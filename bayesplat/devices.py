"""Where and how precisely inference runs: float64, on a device chosen by size, without touching global settings."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer

from bayesplat._checks import require
from bayesplat._typing import Device

GPU_PAIRS = 10**7
"""Data times splats from which an accelerator, where there is one, is used; below, starting its kernels costs more."""

MAPS, MAPS_LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
MAPS_SHARE = 0.5
"""Share of the memory maps that Linux grants a process at which compiled programs are dropped."""


def choose_device(pairs: int) -> Device:
    """The device set by `jax.default_device`, or the CPU for small problems and an accelerator for large ones."""
    chosen = jax.config.jax_default_device
    if chosen is not None:
        return jax.devices(chosen)[0] if isinstance(chosen, str) else chosen
    return jax.devices()[0] if pairs >= GPU_PAIRS else _cpu()


def _cpu() -> Device:
    """The CPU, or where JAX was told to do without one, what it has."""
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:
        return jax.devices()[0]


@contextmanager
def inference(device: Device | None = None) -> Iterator[None]:
    """Float64 on `device` (default: the CPU) inside this block and on this thread only."""
    with jax.enable_x64(True), jax.default_device(device or _cpu()):
        yield


def require_eager(what: str) -> None:
    """Raise BayesplatError inside of a function that JAX compiles, where no number is known yet."""
    traced = isinstance(jnp.zeros(()), Tracer)
    require(
        not traced, f"Expected `{what}` to be called outside of jax.jit: it compiles parts of its own; call it before."
    )


def jit_once[F: Callable[..., object]](function: F) -> F:
    """Compile without optimisation what runs a few times whatever the data: compiling takes longer than running it.

    JAX takes such options at the top level only: what is compiled so cannot be a part of another compiled function.
    """
    return eqx.filter_jit(function, compiler_options={"xla_backend_optimization_level": 0})  # pyright: ignore


def make_room() -> None:
    """Drop JAX's compiled programs before the process runs out of memory maps; they are compiled again when needed.

    JAX keeps every program for the life of a process. Fits of one shape take about 3500 maps of Linux's 65530, so that
    a day in a notebook would end, after some twenty shapes, with "LLVM compilation error: Cannot allocate memory".
    """
    if not MAPS_LIMIT.exists():
        return
    with MAPS.open("rb") as maps:
        taken = sum(1 for _ in maps)
    if taken > MAPS_SHARE * int(MAPS_LIMIT.read_text()):
        jax.clear_caches()
        gc.collect()
