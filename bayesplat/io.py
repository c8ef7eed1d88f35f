"""One netCDF file per posterior: arrays, and the settings as JSON; written atomically, loaded fully, never pickled.

The file ends with a seal, the SHA-256 of all before it, which HDF5 does not read. It is checked before anything else:
HDF5 itself may not come back from a file of which a few bytes were changed.
"""

import hashlib
import json
import os
from dataclasses import fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bayesplat import likelihoods, mothers, priors
from bayesplat._checks import BayesplatError, require
from bayesplat._lazy import xr
from bayesplat.atomic import write_whole
from bayesplat.specification import Specification

FORMAT = "bayesplat-posterior"
VERSION = 7
"""Version of the file format; raised whenever an older reader would misread a file.

2: chains may have weights by stacking. 3: or by evidence, and leave-one-out scores may be those of refits. 4: sealed.
5: mothers may be mixed. 6: the horseshoe may leave its dial to the number of splats.
7: data may have known errors, and refits the probability of a smaller datum.
"""

SEAL = b"\nbayesplat sha256 "
SEALED = len(SEAL) + 2 * hashlib.sha256().digest_size
"""Mark of the seal, and the bytes that it takes with its digest in hexadecimal."""

_KINDS: dict[str, type] = {
    kind.__name__ if module == "" else f"{module}.{kind.__name__}": kind
    for module, kinds in {
        "priors": (
            priors.Ridge,
            priors.RegularizedHorseshoe,
            priors.R2D2,
            priors.StickBreaking,
            priors.Flat,
            priors.Repulsive,
            priors.Lengths,
            priors.FreeLengths,
            priors.Centres,
        ),
        "likelihoods": (likelihoods.Normal, likelihoods.StudentT),
        "mothers": (
            mothers.Gaussian,
            mothers.Logistic,
            mothers.Laplace,
            mothers.StudentT,
            mothers.Wendland,
            mothers.Box,
            mothers.Mixed,
        ),
    }.items()
    for kind in kinds
}
"""Everything that a file may name: nothing else is ever constructed from one."""


def spec_to_json(spec: Specification) -> dict[str, Any]:
    """A specification as plain JSON values."""
    return {f.name: _to_json(getattr(spec, f.name)) for f in fields(Specification)}


def spec_from_json[S: Specification](values: dict[str, Any], kind: type[S]) -> S:
    """The specification that `spec_to_json` wrote, checked again on the way in."""
    return kind(**{name: _from_json(value) for name, value in values.items()})


def _to_json(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        name = next((name for name, kind in _KINDS.items() if type(value) is kind), None)
        require(
            name is not None,
            f"Expected bayesplat's own priors, likelihoods and mothers, which alone files can name, got {value!r}; "
            "keep what you need of `post.data` instead.",
        )
        return {"is": name, **{f.name: _to_json(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, np.generic):
        return value.item()
    return [_to_json(item) for item in value] if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        content = {name: _from_json(item) for name, item in value.items() if name != "is"}
        return _KINDS[value["is"]](**content)
    return tuple(_from_json(item) for item in value) if isinstance(value, list) else value


def write(tree: "xr.DataTree", settings: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a tree and settings to a file, whole or not at all.

    Raises BayesplatError, naming the path, when it cannot be written.
    """
    marked = tree.copy()
    marked.attrs = {"format": FORMAT, "format_version": VERSION, "settings": json.dumps(settings)}

    # HDF5 may end the process where the disk is full: it writes to memory, and Python to the disk
    content = BytesIO()
    marked.to_netcdf(content, engine="h5netcdf")

    def put(beside: Path) -> None:
        beside.write_bytes(content.getbuffer())
        seal(beside)

    write_whole(Path(path), put)


def read(path: str | os.PathLike[str]) -> "tuple[xr.DataTree, dict[str, Any]]":
    """The tree and settings of a file, loaded fully; the file is closed.

    Raises BayesplatError, naming the file, when it is missing, damaged, foreign or of a newer format.
    """
    source = Path(path)
    if not source.is_file():
        raise BayesplatError(f"Expected a result file at {source}, got {'a folder' if source.is_dir() else 'nothing'}.")
    try:
        unbroken = _unbroken(source)
    except OSError as error:
        raise BayesplatError(f"Cannot read {source}: {error.strerror}.") from error
    if unbroken is False:
        raise _damaged(source)
    settings = _settings(source, sealed=unbroken is True)
    try:
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            return opened.load(), settings
    except Exception as error:
        raise _damaged(source) from error


def seal(path: Path) -> None:
    """Put the seal at the end of a file that has none."""
    with path.open("ab") as file:
        file.write(SEAL + _digest(path, path.stat().st_size))


def _unbroken(path: Path) -> bool | None:
    """Whether the file is as it was sealed; None if it has no seal."""
    content = path.stat().st_size - SEALED
    if content < 0:
        return None
    with path.open("rb") as file:
        file.seek(content)
        mark, digest = file.read(len(SEAL)), file.read()
    return digest == _digest(path, content) if mark == SEAL else None


def _digest(path: Path, size: int) -> bytes:
    """SHA-256 of the first bytes of a file, in hexadecimal, block by block."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, 1 << 20))):
            total.update(block)
            size -= len(block)
    return total.hexdigest().encode()


def _settings(source: Path, sealed: bool) -> dict[str, Any]:
    try:
        with h5py.File(source, "r") as file:
            attrs = {name: file.attrs[name] for name in ("format", "format_version", "settings") if name in file.attrs}
    except Exception as error:
        raise _damaged(source) from error
    if attrs.get("format") != FORMAT:
        raise BayesplatError(f"{source} is not a bayesplat result file; pass a file written by Posterior.save.")
    try:
        version, settings = int(np.asarray(attrs["format_version"]).item()), json.loads(str(attrs["settings"]))
    except Exception as error:
        raise _damaged(source) from error
    if version > VERSION:
        raise BayesplatError(
            f"{source} has format version {version}, this bayesplat reads up to {VERSION}; upgrade bayesplat."
        )
    if version >= 4 and not sealed:
        raise _damaged(source)
    return settings


def _damaged(source: Path) -> BayesplatError:
    return BayesplatError(f"{source} is damaged, changed since, or not a result file; restore it or fit again.")
