"""Load test of maskkit serve over loopback: throughput, latency, and behavior under overload.

    python benchmarks/serve_load.py

starts a server with the bundled model and sends it a portrait repeatedly in three phases of `--seconds`: one request
at a time; then at half of that rate, regardless of the responses; then at ten times the second rate. It prints the
results as JSON. Server and clients share the cores of the machine.
"""

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter

import httpx2
import numpy as np
from PIL import Image
from skimage.data import astronaut


def encode_portrait() -> bytes:
    """Return the photo that is sent: 512 x 512 px, one face."""
    file = io.BytesIO()
    Image.fromarray(astronaut()).save(file, "JPEG", quality=90)
    return file.getvalue()


def resident_mb(process_id: int) -> float:
    """Return the resident memory of a process; Linux only."""
    with open(f"/proc/{process_id}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def describe(statuses: list[int], latencies_ms: list[float], sending_s: float, seconds: float) -> dict[str, object]:
    """Summarize a phase; latencies are those of successful requests."""
    counts = Counter(statuses)
    p50, p99 = np.percentile(latencies_ms, [50, 99]) if latencies_ms else (float("nan"), float("nan"))
    return {
        "requests": len(statuses),
        "sent_per_second": round(len(statuses) / sending_s, 1),
        "answered_per_second": round(counts[200] / seconds, 1),
        "statuses": {str(status): count for status, count in sorted(counts.items())},
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
    }


async def send_request(
    client: httpx2.AsyncClient, photo: bytes, statuses: list[int], latencies_ms: list[float]
) -> None:
    """Send one request and record its status (0 if the connection fails) and latency."""
    start = time.perf_counter()
    try:
        response = await client.post("v1/faces", content=photo, headers={"Content-Type": "image/jpeg"})
    except httpx2.TransportError:
        statuses.append(0)
        return
    statuses.append(response.status_code)
    if response.status_code == 200:
        latencies_ms.append((time.perf_counter() - start) * 1000)


async def send_one_at_a_time(client: httpx2.AsyncClient, photo: bytes, seconds: float) -> dict[str, object]:
    """Send each request after the response to the one before."""
    statuses: list[int] = []
    latencies_ms: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        await send_request(client, photo, statuses, latencies_ms)
    seconds = time.perf_counter() - start
    return describe(statuses, latencies_ms, seconds, seconds)


async def send_at_rate(
    client: httpx2.AsyncClient, photo: bytes, per_second: float, seconds: float
) -> dict[str, object]:
    """Send requests at a constant rate, regardless of the responses."""
    statuses: list[int] = []
    latencies_ms: list[float] = []
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for index in range(max(1, round(per_second * seconds))):
            await asyncio.sleep(max(0.0, start + index / per_second - time.perf_counter()))
            group.create_task(send_request(client, photo, statuses, latencies_ms))
        sending_s = time.perf_counter() - start
    return describe(statuses, latencies_ms, sending_s, time.perf_counter() - start)


async def load(url: str, process_id: int, seconds: float) -> dict[str, object]:
    """Run the three phases; return the results."""
    photo = encode_portrait()
    limits = httpx2.Limits(max_connections=400, max_keepalive_connections=400)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
        results: dict[str, object] = {
            "photo_bytes": len(photo),
            "cores": os.cpu_count(),
            "load_before": os.getloadavg(),
        }
        memory = {"start": resident_mb(process_id)}
        sequential = await send_one_at_a_time(client, photo, seconds)
        per_second = float(str(sequential["answered_per_second"])) / 2
        results["one_at_a_time"] = sequential
        results["half_rate"] = await send_at_rate(client, photo, per_second, seconds)
        memory["after_half_rate"] = resident_mb(process_id)
        results["ten_times_half_rate"] = await send_at_rate(client, photo, 10 * per_second, seconds)
        memory["after_ten_times_half_rate"] = resident_mb(process_id)
        results["resident_mb"] = {phase: round(amount_mb) for phase, amount_mb in memory.items()}
        metrics = (await client.get("metrics")).text.splitlines()
        sums = {name: float(value) for name, _, value in (line.rpartition(" ") for line in metrics if line[0] != "#")}
        results["photos_per_batch"] = round(sums["maskkit_batch_photos_sum"] / sums["maskkit_batch_photos_count"], 2)
        results["load_after"] = os.getloadavg()
    return results


def main() -> None:
    """Start a server, run the load test and stop the server."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="duration of each phase (default: 20)")
    seconds = parser.parse_args().seconds
    serve = [sys.executable, "-c", "from maskkit.cli import main; main()", "serve", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split()[2]  # type: ignore[union-attr]  # it is a pipe
            print(json.dumps(asyncio.run(load(url, server.pid, seconds)), indent=2))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
