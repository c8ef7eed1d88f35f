"""Tests mirror the package. `check` types them at run time: shapes by jaxtyping, types by beartype."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Takes an int where a float is asked for, as Python does."""
