"""Items that are made before they are asked for."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def made_ahead(items: Iterable[Item], number: int) -> Iterator[Item]:
    """The items in order, of which `number` more are made before each is given."""
    made: deque[Item] = deque()
    for item in items:
        made.append(item)
        if len(made) > number:
            yield made.popleft()
    yield from made
