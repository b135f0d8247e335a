"""Links that leave docs/ become plain text on the site, which has only what is in docs/.

On a forge they lead to the file; the site knows no address of the repository to lead to.
"""

import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Called by MkDocs for every page."""
    return without_outside_links(markdown, page.file.src_uri.count("/"))


def without_outside_links(markdown: str, depth: int) -> str:
    """The page's text; depth: how many folders below docs/ it lies."""
    outside = r"\.\./" * (depth + 1)
    return re.sub(rf"\[([^]]+)\]\({outside}[^)]*\)", r"\1", markdown)
