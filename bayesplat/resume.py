"""Going on with a run that was interrupted or killed, from the folder that it kept its work in."""

import os
from inspect import signature
from pathlib import Path

from bayesplat import io
from bayesplat._checks import BayesplatError, require
from bayesplat._lazy import pd
from bayesplat.checkpoint import DATA, LOST, MANIFEST, Folder, read_manifest
from bayesplat.flow.result import PointFit
from bayesplat.regression import SplatModel
from bayesplat.results import Posterior


def resume(checkpoint: str | os.PathLike[str], progress: bool | None = None) -> Posterior | PointFit:
    """Go on with a run begun with `checkpoint=`, to the result that it would have had if never killed.

    Bit for bit on the same machine with the same versions; a finished run is only put together again. Returns a
    Posterior for `sample`, a PointFit for `fit`. Raises BayesplatError, naming the file, if the folder holds no run, is
    damaged, or is in use by another process.
    """
    folder = Path(checkpoint)
    settings = read_manifest(folder).get("settings", {})
    known = isinstance(settings, dict) and settings.pop("y_err", False)
    data = Folder(folder).recall(DATA, (0, 0, 0 if known else None))
    require(data is not None, f"{folder / 'data.npz'} is missing: {LOST}.")
    try:
        task, names = settings.pop("task"), settings.pop("names")
        model = io.spec_from_json(settings.pop("model"), SplatModel)
        x, y = pd.DataFrame(data[0], columns=names[:-1]), pd.Series(data[1], name=names[-1])
        run = {"sample": model.sample, "fit": model.fit}[task]
        settings["y_err"] = data[2]
        signature(run).bind(x, y, **settings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BayesplatError(f"{folder / MANIFEST} is damaged: its settings cannot be read; restore it.") from error
    return run(x, y, **settings, progress=progress, checkpoint=folder)
