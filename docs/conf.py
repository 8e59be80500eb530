"""How Sphinx builds these pages: Markdown by topic, and the reference from the docstrings."""

import os

# The option `automodule_options` of apidoc does not reach the pages of packages; this does.
os.environ["SPHINX_APIDOC_OPTIONS"] = "members,show-inheritance"

project = "ssdsim + ssdreal"
author = "the ssdsim authors"
copyright = "the ssdsim authors, Apache-2.0"  # noqa: A001 - Sphinx's own name

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
source_suffix = [".md", ".rst"]
exclude_patterns = ["_build", "api/*/modules.rst"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

apidoc_modules = [
    {
        "path": f"../{package}",
        "destination": f"api/{package}",
        "module_first": True,
        "max_depth": 1,
    }
    for package in ("ssdsim", "ssdreal")
]

# One style of docstring. Attributes are explained in their class's docstring, several at once too.
napoleon_google_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
python_use_unqualified_type_names = True

# The name of a parameter, such as `tokens`, is also the name of many classes' attributes.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "ssdsim + ssdreal"
html_copy_source = False
html_show_sphinx = False


def setup(app):  # noqa: ANN001, ANN201, D103 - Sphinx's own
    app.connect("autodoc-process-docstring", _keep_colons, priority=400)


def _keep_colons(_app, what, _name, _object, _options, lines):  # noqa: ANN001, ANN202
    # Napoleon takes what stands before a colon in the first line for a type.
    if what in {"attribute", "data", "property"}:
        lines.insert(0, "")
