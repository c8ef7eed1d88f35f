"""Where and how precisely inference runs: float64, on a device chosen by size, without touching global settings."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from bayesplat._typing import Device

GPU_PAIRS = 10**7
"""Data times splats from which an accelerator, where there is one, is used; below, starting its kernels costs more."""


def choose_device(pairs: int) -> Device:
    """The CPU for small problems, the default accelerator for large ones."""
    default = jax.devices()[0]
    return default if pairs >= GPU_PAIRS else jax.devices("cpu")[0]


@contextmanager
def inference(device: Device | None = None) -> Iterator[None]:
    """Float64 on `device` (default: the CPU) inside this block and on this thread only."""
    with jax.enable_x64(True), jax.default_device(device or jax.devices("cpu")[0]):
        yield
