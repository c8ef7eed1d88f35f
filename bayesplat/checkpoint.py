"""What a long run has done so far, in a folder: one file for each piece, written whole or not at all, never pickled.

A killed process loses the piece that it was working on. Pieces are plain NumPy arrays; the structure of a piece is
known to whoever recorded it, so that nothing in a file decides what is built from it.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from filelock import FileLock, Timeout

from bayesplat._checks import BayesplatError, require, warn
from bayesplat.atomic import unfinished, write_whole
from bayesplat.tables import identical

FORMAT = "bayesplat-checkpoint"
VERSION = 5
"""Version of the files in the folder; raised whenever an older reader would misread one.

2: data may have errors. 3: the settings have a digest. 4: starts of the flow have certificates. 5: a start may be
given.
"""

MANIFEST, LOCK = "run.json", "lock"

DATA, START = "data", "start"
"""Pieces that a run begins with."""

SECONDS = "seconds"
"""Piece of how long a run has been worked on: kept beside every other one, since a killed process has no last word."""

ANEW, LOST = "delete this file, and what was in it is made anew", "restore it, or begin again in another folder"
"""What to do about a damaged piece, and about one that the run begins with."""


class Journal:
    """Keeps nothing: what a run writes to that was not asked for a checkpoint."""

    @property
    def folder(self) -> Path | None:
        """Where pieces are kept, if they are."""
        return None

    @property
    def seconds(self) -> float:
        """How long processes before this one worked on the run, as far as they have kept anything."""
        return 0.0

    def record(self, name: str, piece: Any) -> None:
        """Keep a piece, a pytree of arrays and numbers, in place of an earlier one of that name."""

    def recall(self, name: str, like: Any) -> Any:
        """The piece of that name with the structure of `like`, or None."""
        return None

    def begun_with(self, like: Any) -> list[Any]:
        """The parts of the start that was given, each with the structure of `like`; none if none was."""
        piece = self.recall(START, like)
        if piece is None:
            return []
        leaves, structure = jax.tree.flatten(piece)
        return [jax.tree.unflatten(structure, map(np.asarray, part)) for part in zip(*leaves, strict=True)]


NO_JOURNAL = Journal()


class Folder(Journal):
    """Keeps every piece in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds: float = 0.0
        self._began: float | None = None

    @property
    def folder(self) -> Path:
        """Where pieces are kept."""
        return self._folder

    @property
    def seconds(self) -> float:
        """How long processes before this one worked on the run, as far as they have kept anything."""
        return self._seconds

    def count(self) -> None:
        """Count the seconds from now on, beside those that were kept: none in folders from before they were."""
        kept = self.recall(SECONDS, 0.0)
        self._seconds, self._began = 0.0 if kept is None else float(kept), time.perf_counter()

    def record(self, name: str, piece: Any) -> None:
        """Write a piece; raises BayesplatError, naming the file, where the disk is full or closed to writing."""
        if self._began is None:
            self._write(name, piece)  # the run has not begun
            return
        try:
            self._write(name, piece)
            self._write(SECONDS, self._seconds + time.perf_counter() - self._began)
        except BayesplatError as error:
            way_on = f"Once it can be, bayesplat.resume({str(self.folder)!r}) goes on from what was kept before."
            raise BayesplatError(f"{error} {way_on}") from error

    def _write(self, name: str, piece: Any) -> None:
        arrays = {str(i): _plain(leaf) for i, leaf in enumerate(jax.tree.leaves(piece))}

        def write(path: Path) -> None:
            with path.open("wb") as file:  # given a path, the library would add a suffix
                np.savez(file, allow_pickle=False, **arrays)

        write_whole(self._path(name), write)

    def recall(self, name: str, like: Any) -> Any:
        """Read a piece; raises BayesplatError, with the file's name and a remedy, if it cannot be what `like` is."""
        path, (models, structure) = self._path(name), jax.tree.flatten(like)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = [file[str(i)] for i in range(len(file.files))]
            leaves = [_restored(array, model) for array, model in zip(arrays, models, strict=True)]
        except Exception as error:
            remedy = LOST if name in (DATA, START) else ANEW
            raise BayesplatError(f"{path} is damaged: it cannot be read; {remedy}.") from error
        return jax.tree.unflatten(structure, leaves)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


def _plain(leaf: Any) -> np.ndarray:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def _restored(array: np.ndarray, model: Any) -> Any:
    dtype = getattr(model, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(array))
    return array


def read_manifest(folder: Path) -> dict[str, Any]:
    """The settings of the run in a folder. Raises BayesplatError if there is none, or if it is damaged or newer."""
    path = folder / MANIFEST
    got = f"a folder without {MANIFEST}" if folder.is_dir() else "a file" if folder.exists() else "nothing"
    require(path.is_file(), f"Expected the folder of a checkpoint at {folder}, got {got}.")
    try:
        manifest = json.loads(path.read_text("utf-8"))
        known, version = manifest["format"] == FORMAT, int(manifest["format_version"])
    except Exception as error:
        raise BayesplatError(f"{path} is damaged: it cannot be read; restore it, or delete {folder}.") from error
    require(known, f"{path} is not of a bayesplat checkpoint; choose another folder.")
    require(
        version <= VERSION,
        f"{path} has format version {version}, this bayesplat reads up to {VERSION}; upgrade bayesplat.",
    )
    require(
        manifest.get("sha256") == _digest(manifest),
        f"{path} is damaged: it is not as it was written; restore it, or delete {folder}.",
    )
    return manifest


def _digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest, but for the digest that it holds itself."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def remove(folder: Path) -> None:
    """Delete what a run has kept, and its folder unless something else is in it."""
    for entry in folder.iterdir():
        if entry.name in (MANIFEST, LOCK) or unfinished(entry) or _is_piece(entry):
            entry.unlink()
    with suppress(OSError):
        folder.rmdir()


def _is_piece(file: Path) -> bool:
    """Whether a file is one of ours, whose arrays are numbered, and not the user's."""
    if file.suffix != ".npz":
        return False
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return arrays.files == [str(i) for i in range(len(arrays.files))]
    except Exception:
        return False


@contextmanager
def opened(
    folder: str | os.PathLike[str],
    settings: dict[str, Any],
    data: tuple[np.ndarray | None, ...],
    made_by: dict[str, Any],
    start: Sequence[Any] = (),
) -> Iterator[Journal]:
    """The journal of a run in a folder, new or going on; no other process may use the folder meanwhile.

    `settings`, `data` and the parts of a `start`, if one was given, decide the run, `made_by` (versions and device)
    only its last bits. Raises BayesplatError for a folder that cannot be written, is in use, or holds a run with other
    settings, of other data or from another start; who goes on need not have the start.
    """
    pieces = {DATA: data, **({START: jax.tree.map(lambda *parts: np.stack(parts), *start)} if start else {})}
    path = Path(folder)
    with _locked(path):
        journal = Folder(path)
        if (path / MANIFEST).exists():
            _same_run(journal, settings, pieces, made_by)
        else:
            _begin(journal, settings, pieces, made_by)
        journal.count()
        yield journal


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path / LOCK, timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise BayesplatError(
            f"{path} is in use by another process; wait for it to end or choose another folder."
        ) from error
    except OSError as error:
        raise BayesplatError(
            f"Cannot write in {path}: {error.strerror or error}; choose a folder that can be written."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _begin(journal: Folder, settings: dict[str, Any], pieces: dict[str, Any], made_by: dict[str, Any]) -> None:
    others = [entry for entry in journal.folder.iterdir() if entry.name != LOCK]
    kept = sorted(entry.name for entry in others if not unfinished(entry))
    if kept in (["data.npz"], ["data.npz", "start.npz"]) and _holds(journal, pieces[DATA]):
        kept = []  # killed before it had a manifest
    require(not kept, f"Expected an empty or new folder for a checkpoint, got {journal.folder} with {kept[:3]} in it.")
    for name, piece in pieces.items():
        journal.record(name, piece)
    manifest = {"format": FORMAT, "format_version": VERSION, "settings": settings, "made_by": made_by}
    manifest[START] = START in pieces
    manifest["sha256"] = _digest(manifest)
    # last, so that a folder with a manifest is complete
    write_whole(journal.folder / MANIFEST, lambda path: path.write_text(json.dumps(manifest, indent=1), "utf-8"))


def _holds(journal: Folder, data: Any) -> bool:
    """Whether the folder has these data, and not a file of the user's with that name."""
    try:
        return _equal(journal.recall(DATA, data), data)
    except BayesplatError:
        return False


def _equal(*pieces: Any) -> bool:
    return identical(*([np.asarray(leaf) for leaf in jax.tree.leaves(piece)] for piece in pieces))


def _same_run(journal: Folder, settings: dict[str, Any], pieces: dict[str, Any], made_by: dict[str, Any]) -> None:
    manifest = read_manifest(journal.folder)
    stored = manifest.get("settings", {})
    # through JSON and back, as what is stored has gone
    asked = json.loads(json.dumps(settings))
    names = [name for name in {**asked, **stored} if stored.get(name) != asked.get(name)]
    other = [f"{name} {stored.get(name)!r}, not {asked.get(name)!r}" for name in names]
    require(
        not other,
        f"{journal.folder} holds a run with other settings ({'; '.join(other)}): choose another folder (on the command "
        "line, another --out), delete this one, or go on with it by bayesplat.resume (bayesplat resume).",
    )
    for name in (DATA, START) if manifest.get(START) else (DATA,):
        path = journal.folder / f"{name}.npz"
        require(path.is_file(), f"{path} is missing: {LOST}.")
    for name, piece in pieces.items():
        what = "of other data" if name == DATA else "from another `start`"
        kept = journal.recall(name, piece)
        same = kept is not None and _equal(kept, piece)
        require(same, f"{journal.folder} holds a run {what}: choose another folder, or delete this one.")
    if manifest.get("made_by") != json.loads(json.dumps(made_by)):
        warn(
            f"{journal.folder} was begun with other versions, or on another device or number of cores: the draws that "
            "follow are as good, but not those that the first run would have made."
        )
