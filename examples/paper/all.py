"""Every experiment of the paper, and one page with all their tables.

Run `uv run python examples/paper/all.py`; `--quick` for small versions. What is not an option here goes to every
experiment. Each runs in a process of its own, so that the seconds of a first fit are those of a fresh start.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

EXPERIMENTS = ("e1", "e2", "e3", "robustness", "signals", "genz", "cost")
"""Scripts beside this one, each of which writes a page of tables under its own name, in the order of the pages."""

PAGE = "paper_tables.md"


def collect(out: Path) -> None:
    """Join the pages that there are, those of earlier runs too."""
    pages = [out / f"{name}.md" for name in EXPERIMENTS]
    sections = [page.read_text(encoding="utf-8") for page in pages if page.exists()]
    (out / PAGE).write_text("\n".join(sections), encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """Run, collect, and fail at the end if any experiment did: one that fails does not stop the others."""
    parser = argparse.ArgumentParser(description="Every experiment of the paper")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), help="run a few")
    parser.add_argument("--out", type=Path, default=Path("docs/paper"), help="folder of tables and figures")
    options, rest = parser.parse_known_args(argv)
    failed = []
    for name in options.only:
        began = time.perf_counter()
        script = Path(__file__).with_name(f"{name}.py")
        answer = subprocess.run([sys.executable, str(script), "--out", str(options.out), *rest], check=False)
        failed += [name] * (answer.returncode != 0)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
        collect(options.out)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
