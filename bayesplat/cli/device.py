"""Where a command computes, and where it keeps what it compiled. The process is the command's own: it may set both."""

import os
import platform
from enum import StrEnum
from pathlib import Path

import jax

from bayesplat._checks import BayesplatError, warn

AGAIN = "and are compiled again every time"
ELSEWHERE = "set JAX_COMPILATION_CACHE_DIR to a folder that can be written"


class Device(StrEnum):
    """Kinds of devices."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


def use(device: Device) -> None:
    """Compute on the first device of a kind. Raises BayesplatError if there is none."""
    if device == Device.auto:
        return
    try:
        jax.config.update("jax_default_device", jax.devices(device.value)[0])
    except RuntimeError as error:
        raise BayesplatError(
            f"There is no {device.value.upper()} that JAX can use here; leave out --device, or install the extra `gpu`."
        ) from error


def told(warning: str) -> str:
    """A warning as the command says it: of entries that JAX cannot read or write, one sentence with what to do."""
    folder = jax.config.jax_compilation_cache_dir
    if warning.startswith("Error reading persistent compilation cache entry"):
        return f"Compiled programs in {folder} cannot be read, {AGAIN}; delete that folder."
    if warning.startswith("Error writing persistent compilation cache entry"):
        return f"Compiled programs cannot be kept in {folder}, {AGAIN}; make room there, or {ELSEWHERE}."
    return warning


def keep_compiled() -> None:
    """Keep all compiled programs between commands, in the folder that JAX was given, if any."""
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", _cache())
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # most of ours compile in less than the second from which JAX would keep them
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _cache() -> str | None:
    """A folder for programs of this machine alone: another one may lack an instruction that they use."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bayesplat" / platform.node()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return str(folder)
        reason = f"{folder} cannot be written"
    except (OSError, RuntimeError) as error:  # the latter where there is no home
        reason = str(error).rstrip(".")
    warn(f"Compiled programs cannot be kept ({reason}), {AGAIN}; {ELSEWHERE}.")
    return None
