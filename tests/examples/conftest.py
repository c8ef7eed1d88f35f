"""The folder of the paper's experiments comes first on the path, as it does when one of its scripts runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))
