"""A run as a TOML file: the model and how to sample it, with the same fields as the Python objects."""

import tomllib
from dataclasses import fields, is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import tomli_w

from bayesplat._checks import BayesplatError, require
from bayesplat.io import spec_from_json, spec_to_json
from bayesplat.regression import SplatModel

SAMPLE: dict[str, Any] = {
    name: parameter.default
    for name, parameter in signature(SplatModel.sample).parameters.items()
    if type(parameter.default) in (str, int, float)
}
"""The settings of `SplatModel.sample` that are numbers or words, as they are unless told otherwise."""

KINDS = {name: type(value) for name, value in SAMPLE.items()} | {"max_tree_depth": int}
"""Types of the fields of the table [sample]: these settings, and the one whose default depends on the data."""


def to_toml(model: SplatModel, sample: dict[str, Any]) -> str:
    """Every field of a run, those with defaults too."""
    return tomli_w.dumps({"model": _without_none(spec_to_json(model)), "sample": sample})


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """TOML has no word for None, which is the default wherever it may stand."""
    tables = {name: _without_none(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in tables.items() if value is not None}


def read_toml(path: Path) -> tuple[SplatModel, dict[str, Any]]:
    """The model and the sampler's settings; what the file leaves out is at its default.

    Raises BayesplatError, naming the file, for anything that it should not hold.
    """
    require(path.is_file(), f"Expected a TOML file at {path}, got {'a folder' if path.is_dir() else 'nothing'}.")
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BayesplatError(f"{path} cannot be read as TOML ({' '.join(str(error).split())}).") from error
    _known("", content, ("model", "sample"), path)
    model, sample = content.get("model", {}), content.get("sample", {})
    require(isinstance(model, dict) and isinstance(sample, dict), f"Expected tables [model] and [sample] in {path}.")
    _known("sample", sample, tuple(KINDS), path)
    for name, value in sample.items():
        kind = KINDS[name]
        message = f"Expected {name} in [sample] of {path} to be of type {kind.__name__}, got {value!r}."
        require(type(value) is kind, message)
    return _model(model, path), sample


def _model(given: dict[str, Any], path: Path) -> SplatModel:
    default = SplatModel()
    _known("model", given, tuple(field.name for field in fields(default)), path)
    try:
        return spec_from_json({**spec_to_json(default), **given}, SplatModel)
    except BayesplatError as error:
        raise BayesplatError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        nested = [field.name for field in fields(default) if is_dataclass(getattr(default, field.name))]
        raise BayesplatError(
            f"{path}: a table of [model] ({', '.join(nested)}) names something that bayesplat does not have, or lacks "
            "the line `is` that says which class it is; see bayesplat fit --show-config."
        ) from error


def _known(table: str, given: dict[str, Any], names: tuple[str, ...], path: Path) -> None:
    unknown = [name for name in given if name not in names]
    where = f"[{table}] of {path}" if table else str(path)
    require(not unknown, f"{where} has {', '.join(map(repr, unknown))}; expected {', '.join(names)}.")
