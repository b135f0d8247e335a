"""Links that leave docs/ become plain text on the site, which has only what is in docs/.

On a code forge they lead to the file; the site has no address of the repository.
"""

import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Called by MkDocs for every page."""
    return without_outside_links(markdown, page.file.src_uri.count("/"))


def without_outside_links(markdown: str, depth: int) -> str:
    """The text of a page; depth: number of folders between docs/ and the page."""
    outside = r"\.\./" * (depth + 1)
    return re.sub(rf"\[([^]]+)\]\({outside}[^)]*\)", r"\1", markdown)
