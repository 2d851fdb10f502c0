"""How Sphinx builds these pages: `tox -e tests`, or `sphinx-build -W docs docs/_build/html`."""

import re
from collections.abc import Iterator

from docutils import nodes
from docutils.statemachine import StringList
from numpy.typing import ArrayLike
from pydantic import BaseModel
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

from napari_ctlns import __version__
from napari_ctlns.recipe import Recipe

project = "napari-ctlns"
author = "The napari-ctlns developers"
copyright = author
release = __version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_member_order = "bysource"
add_module_names = False
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# how autodoc would spell them
_ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")
_ARRAY = re.compile(r"~numpy\.ndarray\[~?(?:typing\.)?[^\]]*\], ~numpy\.dtype\[([^\]]*)\]\]")

html_theme = "furo"
html_title = "napari-ctlns"
exclude_patterns = ["_build", "recipes_on_phantoms.md"]  # included by another page


class RecipeFields(SphinxDirective):
    """Describe every key of a recipe, read from the code that checks recipes."""

    def run(self) -> list[nodes.Node]:
        """Return one heading and table for each section."""
        lines = StringList(list(recipe_lines()), source="recipe.py")
        return self.parse_text_to_nodes(lines, allow_section_headings=True)


def recipe_lines() -> Iterator[str]:
    """Yield Markdown: for each section of a recipe its keys, defaults and meanings."""
    for name, field in Recipe.model_fields.items():
        section = field.annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            continue
        yield from (f"### {name}", "", (section.__doc__ or "").strip(), "")
        yield from ("| key | default | what it is |", "|---|---|---|")
        for key, value in section.model_fields.items():
            default = value.get_default(call_default_factory=True)
            text = "left out" if default is None else f"`{_toml(default)}`"
            meaning = " ".join((value.description or "").split())
            yield f"| `{key}` | {text} | {meaning} |"
        yield ""


def _toml(value: object) -> str:
    """Return a default as one would write it in a recipe."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def shorten_types(
    _app: Sphinx,
    _what: str,
    _name: str,
    _object: object,
    _options: object,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Write numpy's types as the code does, not as the unions they stand for."""
    return _short(signature), _short(returned)


def _short(text: str | None) -> str | None:
    if text is None:
        return None
    text = text.replace(_ARRAY_LIKE, "ArrayLike").replace("<factory>", "...")
    return _ARRAY.sub(r"NDArray[\1]", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive and the short names."""
    app.add_directive("recipe-fields", RecipeFields)
    app.connect("autodoc-process-signature", shorten_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
