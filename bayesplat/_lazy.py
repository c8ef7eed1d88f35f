"""Libraries of tables, imported when first used: they would be most of what `import bayesplat` takes.

Annotations that name them are quoted, as these would use them at once.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Library:
    """A module that imports itself when an attribute is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)


def is_a(value: object, library: str, *kinds: str) -> bool:
    """Whether a value is of one of these classes of a library: not if the library is not even imported."""
    module = sys.modules.get(library)
    return isinstance(value, tuple(getattr(module, kind, ()) for kind in kinds))


if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
else:
    pd, xr = _Library("pandas"), _Library("xarray")
