"""Fill in the templates of a page: every value is escaped, and one script alone may run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from redepth.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def render_template(name: str, values: Mapping[str, object]) -> str:
    """Return one HTML document that asks for nothing: script, style and pictures lie within."""
    environment = _environment()
    style, script = (_source(environment, part) for part in ("page.css", "page.js"))
    # The page may run this script and none that came in with a file name or a caption.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template(name)
    return template.render(**values, style=style, script=script, script_digest=digest)


def _printable(value: object) -> object:
    """Make every value of a template printable, whatever it came from; templates' own text is."""
    from markupsafe import Markup

    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable(value)


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    text, _, _ = environment.loader.get_source(environment, name)
    return text


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("redepth.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
