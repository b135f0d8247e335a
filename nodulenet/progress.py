"""Progress of long loops on stderr: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

SECONDS = 10.0
Item = TypeVar("Item")


def track(
    items: Iterable[Item],
    name: str,
    unit: str,
    total: int | None = None,
    every: float = SECONDS,
) -> Iterator[Item]:
    """Yield the items with a bar on a terminal, else with a line every `every` seconds.

    name: what is done; unit: what the items are, in the plural; total: how many there are, by
    default the length of `items`, if it has one.
    """
    with tqdm(items, name, total, unit=f" {unit}", disable=None) as bar:
        if not bar.disable:
            yield from bar
            return
        of = f" of {bar.total}" if bar.total is not None else ""
        start = last = time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - last >= every:
                last = now
                text = f"{name}: {number}{of} {unit}, {now - start:.0f} s"
                print(text, file=sys.stderr, flush=True)


def track_logged(
    items: Iterable[Item], name: str, unit: str, total: int | None = None, done: int = 0
) -> Iterator[Item]:
    """As `track`, for a loop that logs each item itself: no lines. done: items before the first."""
    with tqdm(items, name, total, unit=f" {unit}", initial=done, disable=None) as bar:
        yield from bar


@contextmanager
def steps(name: str, total: int) -> Iterator[Callable[[str], None]]:
    """Yield a function to call with the name of each step, which it prints without a terminal."""
    with tqdm(total=total, desc=name, unit=" steps", disable=None) as bar:
        last = ""

        def advance(what: str) -> None:
            nonlocal last
            if not bar.disable:
                bar.set_postfix_str(what)
                bar.update()
            elif what != last:
                print(f"{name}: {what}", file=sys.stderr, flush=True)
            last = what

        yield advance


def logging_beside_bars() -> AbstractContextManager[None]:
    """Within it, log lines on a terminal appear above a bar, not across it."""
    return logging_redirect_tqdm()
