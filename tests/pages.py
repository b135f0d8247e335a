"""The pages of the documentation, and what stands in them between fences."""

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.M | re.S)
COMMENT = re.compile(r"(^|\s{2,})#.*$", re.M)


@dataclass(frozen=True)
class Block:
    """A block of shell commands; line: of its first command in the page."""

    page: str
    line: int
    commands: tuple[str, ...]


def fenced(path: Path, *languages: str) -> list[tuple[int, str]]:
    """The blocks of a page in one of the languages: line of their first line, and text."""
    text = path.read_text()
    return [
        (text.count("\n", 0, match.start(3)) + 1, textwrap.dedent(match[3]))
        for match in FENCED.finditer(text)
        if match[2] in languages
    ]


def blocks() -> list[Block]:
    """Every block of commands of every page, without comments, one command a line."""
    return [
        Block(str(path.relative_to(ROOT)), line, commands_of(text))
        for path in PAGES
        for line, text in fenced(path, "sh", "bash")
    ]


def commands_of(text: str) -> tuple[str, ...]:
    """The commands of a block; one that goes on over several lines is one."""
    joined = re.sub(r"\\\n\s*", "", COMMENT.sub("", text))
    commands: list[str] = []
    begun = ""
    for line in filter(None, map(str.strip, joined.splitlines())):
        begun = f"{begun}\n{line}".strip()
        if is_whole(begun):
            commands.append(begun)
            begun = ""
    assert not begun, f"no shell can read this: {begun}"
    return tuple(commands)


def is_whole(command: str) -> bool:
    """Whether the shell takes it as it is, rather than wait for the rest of a loop or function."""
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0


def shell(command: str, folder: Path, programs: Path = Path(sys.executable).parent) -> str:
    """Run a command in `folder` with the package of this repository; it must succeed.

    programs: a folder that is looked into before PATH.
    """
    own = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": own}
    environment["TMPDIR"] = str(folder)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout
