"""Files written whole or not at all: beside the target, flushed to disk, then renamed onto it."""

import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bayesplat._checks import BayesplatError


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `target`, then put it in its place: readers see the old file or the new.

    A link is followed, and a file that is replaced leaves its permissions to the new one. Raises BayesplatError, naming
    the target, when its folder is missing or cannot be written, or the disk is full.
    """
    place = Path(os.path.realpath(target))
    # not by the number of the process, which a process after a killed one may have again, as in a container
    beside = place.parent / f".{place.name}.{secrets.token_hex(8)}.tmp"
    try:
        beside.open("xb").close()
    except OSError as error:
        raise BayesplatError(
            f"Cannot write {target}: {error.strerror}; choose a folder that can be written."
        ) from error
    try:
        with suppress(FileNotFoundError):
            shutil.copymode(place, beside)  # first, so that what is private is so all the time
        write(beside)
        with beside.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(beside, place)
    except OSError as error:
        raise BayesplatError(f"Cannot write {target}: {error.strerror or error}; nothing was changed there.") from error
    finally:
        beside.unlink(missing_ok=True)


def unfinished(file: Path) -> bool:
    """Whether a process that was killed in `write_whole` left this file behind."""
    return re.fullmatch(r"\..+\.[0-9a-f]{16}\.tmp", file.name) is not None
