"""Self-contained HTML pages: one template and plain values to one file, pictures inside it."""

import base64
import hashlib
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from numpy.typing import NDArray

OWN = "nodulenet.pages"


def render(package: str, name: str, **content: Any) -> str:
    """The page from the template `{name}.html` of a package and `content`.

    Every string of the content is escaped; the page's own style and script are `{name}.css` and
    `{name}.js` beside the template. Its content security policy allows only that script and no
    requests. Raises `jinja2.UndefinedError` for a value that `content` lacks.
    """
    environment = Environment(
        loader=PrefixLoader({"own": PackageLoader(package, "."), "pages": PackageLoader(OWN, ".")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (files(package) / f"{name}.js").read_text(encoding="utf-8")
    styles = [files(OWN) / "pages.css", files(package) / f"{name}.css"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(f"own/{name}.html").render(
        style="\n".join(path.read_text(encoding="utf-8") for path in styles),
        script=script,
        script_digest=f"sha256-{digest}",
        **content,
    )


def data_uri(content: bytes, kind: str) -> str:
    """A picture as a data URI; kind: `png` or `svg+xml`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def png(image: NDArray[np.uint8]) -> str:
    """An image (rows, columns) or (rows, columns, blue green red alpha) as a PNG's data URI."""
    _, data = cv2.imencode(".png", image)
    return data_uri(data.tobytes(), "png")
