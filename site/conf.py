"""Sphinx's settings. build.py lays the sources out, and calls Sphinx with them."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import minivit  # noqa: E402

project = "minivit"
author = "The minivit authors"
copyright = "The minivit authors, under the MIT licence"
version = release = minivit.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx.ext.mathjax", "docstrings"]
root_doc = "index"
exclude_patterns = ["README.md"]                                     # stands on index and start, in two parts
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!minivit).*"),                                     # other libraries' pages are not at hand offline
    ("py:class", r"minivit\.many\.rows\..*"),                       # what embed writes is told on its guide
    ("py:class", r"minivit\.checking\.gradient_checking\..*"),       # viewcode cannot link two names of one module back
]
suppress_warnings = ["myst.header"]                                 # solutions: exercises are ### as in their chapters

# The notebooks are shown with the outputs that are stored in them: nothing is run.
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_inline"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

# Nothing is fetched from elsewhere: build.py puts MathJax beside the pages.
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}}

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 90
add_module_names = False
python_use_unqualified_type_names = True

pygments_dark_style = "github-dark"
html_theme = "furo"
html_title = "minivit"
html_favicon = str(HERE.parent / "minivit" / "explorer" / "page" / "icon.svg")
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
templates_path = [str(HERE / "templates")]
html_sidebars = {"**": ["sidebar/brand.html", "sidebar/search.html", "sidebar/scroll-start.html", "explorer_link.html",
                        "sidebar/navigation.html", "sidebar/scroll-end.html"]}
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#5b3df0", "color-brand-content": "#5b3df0",
                            "color-brand-visited": "#5b3df0"},
    "dark_css_variables": {"color-brand-primary": "#a793ff", "color-brand-content": "#a793ff",
                           "color-brand-visited": "#a793ff"},
}
