"""Work in a process of its own: nothing is warm, and its peak of memory is its own."""

import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_fresh(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a module's function in a new interpreter.

    Raises
    ------
    RuntimeError
        If it ends without an answer; what it raised stands on standard error.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    # No pool: its workers would wait for work for ever if this process were killed.
    child = context.Process(target=_answer, args=(sender, function, arguments), daemon=True)
    child.start()
    sender.close()
    try:
        answer: Result = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} failed in a process of its own; see above.") from None
    finally:
        child.join()
        receiver.close()
    return answer


def _answer(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))
    sender.close()


def peak_bytes() -> int:
    """Tell the most memory that this process has held at once.

    Linux hands `ru_maxrss` of the process that started this one down to it; what the kernel says of
    this program alone stands in /proc.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
