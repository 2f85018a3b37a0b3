"""Progress of a watched video on the terminal."""

import sys
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from maskkit._text import escape_text

if TYPE_CHECKING:
    from maskkit import WatchStep

# Fast enough to look live, slow enough to cost no measurable time.
REFRESH_PER_S = 4


class WatchDisplay:
    """Live counts on standard error; if it is no terminal, only alarms, breaks, lost and restored streams."""

    def __init__(self, source: str, *, is_live: bool, quiet: bool):
        self.source = source
        self.is_live = is_live
        self._console = Console(stderr=True, quiet=quiet)
        # Rich moves output to the terminal above the counts. Output to a file must not be redirected to the terminal.
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty() and not quiet,
            redirect_stderr=not quiet,
        )
        self._shown_s = 0.0
        self._state = ""
        self._persons: Counter[str] = Counter()
        self._decisions: dict[int, str] = {}
        # Times of the last frames, from which the current rate is computed.
        self._processed_at: deque[float] = deque(maxlen=50)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, step: "WatchStep") -> None:
        self._count_events(step)
        if step.photo is not None:
            self._processed_at.append(time.monotonic())
        if time.monotonic() - self._shown_s > 1 / REFRESH_PER_S:
            self._shown_s = time.monotonic()
            self._live.update(self._render(step), refresh=True)

    def _count_events(self, step: "WatchStep") -> None:
        for event in step.events:
            if event.event in ("appeared", "decided", "changed"):
                self._decisions[event.details["person"]] = str(event.details["decision"])
            elif event.event == "left":
                # A person who has left keeps the last decision in the totals.
                self._decisions.pop(event.details["person"], None)
                self._persons[str(event.details["decision"])] += 1
            elif event.event == "alarm":
                person = event.details
                self._print(f"alarm: person {person['person']} {person['decision']} for {person['duration_s']:.1f} s")
            elif event.event == "stream_lost":
                self._state = f"the stream stopped ({event.details['reason']}); waiting for it to return"
                self._print(self._state)
            elif event.event == "stream_restored":
                self._state = ""
                self._print(f"the stream is back after {event.details['outage_s']:.1f} s")
            elif event.event == "time_jump":
                self._print(f"the timestamps jumped by {event.details['jump_s']:,.1f} s; all persons have left")

    def _print(self, text: str) -> None:
        self._console.print(escape_text(f"maskkit: {text}"), highlight=False, markup=False, soft_wrap=True)

    def _render(self, step: "WatchStep") -> Table:
        frames = step.frames
        here = Counter(str(person.decision) for person in step.persons)
        rate = 0.0
        if len(self._processed_at) > 1:
            rate = (len(self._processed_at) - 1) / max(1e-9, self._processed_at[-1] - self._processed_at[0])
        table = Table.grid(padding=(0, 2))
        table.add_row(
            "watching",
            Text(escape_text(f"{self.source}  {format_time(step.time_s)}"), overflow="ellipsis", no_wrap=True),
        )
        table.add_row("in sight", Text(_list(here) or "nobody"))
        table.add_row("persons", Text(_list(self._persons + Counter(self._decisions.values())) or "none so far"))
        skipped = f", {frames.n_skipped:,} skipped" if frames.n_skipped else ""
        lag = f", lag {step.lag_s:.2f} s" if self.is_live else ""
        counts = f"{frames.n_processed:,} processed{skipped}, {frames.n_dropped:,} dropped; {rate:.1f} per second{lag}"
        table.add_row("frames", counts)
        table.add_row("", Text(self._state or "press Ctrl-C to stop", style="dim"))
        return table


def _list(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def format_time(seconds: float) -> str:
    """Format a time of the stream, as in 1:02:03."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
