"""Errors of storages, without the passwords of their URLs."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from maskkit._text import hide_secrets
from maskkit.exceptions import DataError, MaskkitError

Result = TypeVar("Result")


def call_without_secrets(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function that gets URLs; an exception whose chain shows a password is replaced by one that shows none.

    Raises DataError instead of an exception that is not of maskkit. The exceptions that led to it are left out, because
    a traceback shows them.
    """
    try:
        return function(*args)
    except Exception as exc:
        if all(text == hide_secrets(text) for text in _texts_of(exc)):
            raise
        text = hide_secrets(str(exc))
        error = type(exc)(text) if isinstance(exc, MaskkitError) else DataError(f"{type(exc).__name__}: {text}")
    # Raised here, it has neither cause nor context.
    raise error


def _texts_of(exc: BaseException) -> Iterator[str]:
    """Iterate over all texts that a traceback of an exception shows, line by line."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            for text in (str(one), repr(one), *getattr(one, "__notes__", ())):
                yield from text.splitlines()
            waiting += [one.__cause__, one.__context__]
