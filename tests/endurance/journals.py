"""A journal that dies: what a killed process leaves behind, without the price of a process."""

from bayesplat.checkpoint import Folder


class Killed(BaseException):
    """Stands for the end of the process."""


class Dying(Folder):
    """Keeps so many pieces, then ends the run."""

    def __init__(self, folder, pieces):
        super().__init__(folder)
        self.left = pieces

    def record(self, name, piece):
        if self.left <= 0:
            raise Killed
        super().record(name, piece)
        self.left -= 1


def killed(run, folder, pieces):
    """Call `run(journal)` with a journal that ends it; true if it did."""
    try:
        run(Dying(folder, pieces))
    except Killed:
        return True
    return False
