"""Files written whole or not at all: beside the target, flushed to disk, then renamed onto it."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from bayesplat._checks import BayesplatError


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `target`, then put it in its place: readers see the old file or the new.

    Raises BayesplatError, naming the target, when its folder is missing or cannot be written, or the disk is full.
    """
    # not by the number of the process, which a process after a killed one may have again, as in a container
    beside = target.parent / f".{target.name}.{secrets.token_hex(8)}.tmp"
    try:
        beside.open("xb").close()
    except OSError as error:
        raise BayesplatError(
            f"Cannot write {target}: {error.strerror}; choose a folder that can be written."
        ) from error
    try:
        write(beside)
        with beside.open("rb+") as written:
            os.fsync(written.fileno())
        os.replace(beside, target)
    except OSError as error:
        raise BayesplatError(f"Cannot write {target}: {error.strerror or error}; nothing was changed there.") from error
    finally:
        beside.unlink(missing_ok=True)
