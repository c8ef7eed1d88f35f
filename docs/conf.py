"""How the pages in this folder become a site: `uv run sphinx-build -W --keep-going -n docs docs/_build/html`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import bayesplat  # noqa: E402

project = "bayesplat"
author = "bayesplat developers"
project_copyright = "bayesplat developers, Apache 2.0"
release = version = bayesplat.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinxcontrib.bibtex",
    # below: in _ext
    "citations",
    "command_line",
    "docstrings",
    "mathml",
]
exclude_patterns = ["_build"]

# pages
myst_enable_extensions = ["dollarmath", "tasklist"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the tables in paper/ are written by scripts, and begin with a third heading
smartquotes = False  # quotes stand around names and values

# pages that run: afresh in every build, and the build fails with them
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_output_stderr = "remove"  # what libraries warn of names files of the machine

# the reference
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
nitpicky = True
nitpick_ignore_regex = [
    # other libraries, Python's own included: links to them need their inventories, and so a network
    (r"py:class", r"(Array|ndarray)|(collections|equinox|jax|jaxtyping|matplotlib|numpy|numpyro|os|pandas|xarray)\..*"),
    # parts of the package that signatures name and that are not public
    (r"py:class", r"bayesplat\.(_typing|model|flow\.energy|flow\.step|operators|predictor|priors\.sites|scales)\..*"),
    (r"py:class", r"bayesplat\.tables\.Data"),
]

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "keys"
bibtex_cite_id = "{key}"

html_theme = "furo"
html_title = f"bayesplat {release}"
html_static_path = ["_static"]
html_css_files = ["bayesplat.css"]
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sourcelink = False
