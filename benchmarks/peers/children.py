"""Functions in new processes: without warm caches, and with a peak memory of their own."""

import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_fresh(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function of a module in a new process.

    Raises
    ------
    RuntimeError
        If it raises; the traceback is on standard error.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    # Not a pool, whose workers would wait for work forever if this process were killed.
    child = context.Process(target=_send_result, args=(sender, function, arguments), daemon=True)
    child.start()
    sender.close()
    try:
        result: Result = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} failed in a new process; see the traceback above.") from None
    finally:
        child.join()
        receiver.close()
    return result


def _send_result(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))
    sender.close()


def peak_bytes() -> int:
    """Return the peak resident memory of this process.

    On Linux it is read from /proc, because `ru_maxrss` is inherited from the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    import resource  # not on Windows

    peak_size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak_size if sys.platform == "darwin" else peak_size * 1024
