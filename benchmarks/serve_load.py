"""Load test of maskkit serve over loopback, beside `predict_photos` in one process: throughput and latency.

    python -m benchmarks.serve_load [PHOTOS]

sends a portrait, or the photos of a folder, to a server with the bundled model. First `predict_photos` and the server
take turns on the same photos, `--rounds` times; each of `--clients` sends its next photo after the response to the one
before. The rate that the server reaches is what it can bear. Then photos arrive at random times at a half, at nine
tenths and at ten times that rate, for `--seconds` each, regardless of the responses. The results are printed as a
table in Markdown. Server and clients share the cores of the machine.
"""

import argparse
import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from skimage.data import astronaut

from benchmarks.peers.timing import divide, seconds_of, take_turns
from maskkit import MaskClassifier
from maskkit.datasets import find_images_below

LOADS = {"a half of that": 0.5, "nine tenths": 0.9, "ten times": 10.0}
FUNCTION, SERVER = "predict_photos", "serve"
COLUMNS = ("Load", "Sent per second", "Answered per second", "Refused with a 503", "p50", "p95", "p99", "Memory after")


@dataclass(frozen=True, slots=True)
class Response:
    """Status of a response, 0 if the connection failed, and the time since its photo was due."""

    status: int
    latency_ms: float


def encode_portrait() -> bytes:
    """Return the photo that is sent without a folder: 512 x 512 px, one face."""
    file = io.BytesIO()
    Image.fromarray(astronaut()).save(file, "JPEG", quality=90)
    return file.getvalue()


def read_photos(folder: Path | None, n_photos: int) -> list[bytes]:
    """Return so many photos: the portrait or those of a folder, repeated."""
    found = [encode_portrait()] if folder is None else [path.read_bytes() for path in find_images_below(folder)]
    if not found:
        raise SystemExit(f"{folder}: holds no images; name a folder of photos, or none for a portrait.")
    return list(islice(cycle(found), n_photos))


def resident_mb(process_id: int) -> float:
    """Return the resident memory of a process; Linux only."""
    with open(f"/proc/{process_id}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def send_photo(port: int, photo: bytes, due_s: float) -> Response:
    """Send a photo that is due at a time of `time.perf_counter`, on a connection of its own."""
    # An HTTP library would take more time of the cores that it shares with the server.
    head = f"POST /v1/faces HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: {len(photo)}\r\n"
    status = 0
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + photo)
        answer = await reader.read()
        writer.close()
        status = int(answer.split(maxsplit=2)[1])
    except (OSError, IndexError):
        pass  # The table counts it as failed.
    return Response(status, (time.perf_counter() - due_s) * 1000)


async def send_in_turn(port: int, photos: Sequence[bytes], n_clients: int) -> list[Response]:
    """Send each photo once, from clients that each wait for the response to the one before."""
    waiting = iter(photos)

    async def send_next() -> list[Response]:
        return [await send_photo(port, photo, time.perf_counter()) for photo in waiting]

    return list(chain(*await asyncio.gather(*(send_next() for _ in range(n_clients)))))


async def send_at_rate(port: int, photos: Sequence[bytes], per_second: float, seconds: float) -> list[Response]:
    """Send photos at random times with a mean rate, as many independent clients would, regardless of the responses."""
    n_photos = max(1, round(per_second * seconds))
    due_s = time.perf_counter() + np.random.default_rng(0).exponential(1 / per_second, n_photos).cumsum()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for photo, due in zip(cycle(photos), due_s.tolist(), strict=False):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(group.create_task(send_photo(port, photo, due)))
    return [task.result() for task in tasks]


def describe(responses: Sequence[Response], seconds: float, sent_per_second: float, memory_mb: float) -> list[str]:
    """Return the cells of a row; latencies are those of successful requests."""
    statuses = [response.status for response in responses]
    latencies_ms = [response.latency_ms for response in responses if response.status == 200]
    failed = len(statuses) - statuses.count(200) - statuses.count(503)
    return [
        f"{sent_per_second:.1f}",
        f"{statuses.count(200) / seconds:.1f}",
        f"{statuses.count(503):,} of {len(statuses):,}{f' ({failed:,} failed)' if failed else ''}",
        *(f"{ms:,.0f} ms" for ms in np.percentile(latencies_ms or [np.nan], [50, 95, 99])),
        f"{memory_mb:,.0f} MB",
    ]


def measure(port: int, process_id: int, photos: Sequence[bytes], options: argparse.Namespace) -> list[list[str]]:
    """Print the ratio, and return the rows of the table."""
    model = MaskClassifier.from_pretrained()
    works = {
        FUNCTION: lambda _: list(model.predict_photos(photos)),
        SERVER: lambda _: asyncio.run(send_in_turn(port, photos, options.clients)),
    }
    # The first photos of a size compile networks, which is not timed.
    list(model.predict_photos(photos[:16]))
    asyncio.run(send_in_turn(port, photos[:16], options.clients))
    report = lambda text: print(text, file=sys.stderr)  # noqa: E731
    turns = take_turns(works, options.rounds, report=report, title="throughput")
    alone_s, served_s = (seconds_of(turns[name]) for name in (FUNCTION, SERVER))
    ratio = divide(alone_s, served_s)
    print(
        f"serve, {options.clients} clients, beside predict_photos: {ratio.value:.2f} ({ratio.low:.2f} to "
        f"{ratio.high:.2f}), {options.rounds} rounds of {len(photos):,} photos on {os.cpu_count()} cores\n"
    )
    bearable = len(photos) / float(np.median(served_s))
    responses = [response for turn in turns[SERVER] for response in turn.value]
    rows = [
        ["`predict_photos` in one process", "", f"{len(photos) / float(np.median(alone_s)):.1f}", *[""] * 5],
        [f"{options.clients} clients", *describe(responses, sum(served_s), bearable, resident_mb(process_id))],
    ]
    for name, factor in LOADS.items():
        report(f"latency: {name}")
        start = time.perf_counter()
        responses = asyncio.run(send_at_rate(port, photos, factor * bearable, options.seconds))
        seconds = time.perf_counter() - start
        rows.append([name, *describe(responses, seconds, len(responses) / options.seconds, resident_mb(process_id))])
    return rows


def main() -> None:
    """Start a server, run the load test and stop the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=Path, help="folder of photos (default: a portrait)")
    parser.add_argument("--n-photos", type=int, default=400, help="photos per turn (default: 400)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison (default: 3)")
    parser.add_argument("--clients", type=int, default=8, help="clients that send in turn (default: 8)")
    parser.add_argument("--seconds", type=float, default=60, help="duration of each other load (default: 60)")
    options = parser.parse_args()
    photos = read_photos(options.photos, options.n_photos)
    serve = [sys.executable, "-m", "maskkit", "serve", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = urlsplit(server.stdout.readline().split()[2]).port  # type: ignore[union-attr]  # it is a pipe
            rows = measure(port, server.pid, photos, options)
        finally:
            server.terminate()
    for row in (COLUMNS, ["---"] * len(COLUMNS), *rows):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
