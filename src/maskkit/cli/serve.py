"""maskkit serve."""

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from maskkit.cli import _options as shared
from maskkit.cli._inputs import load_model
from maskkit.cli._options import option

if TYPE_CHECKING:
    from maskkit.web import Limits

NETWORK_GROUP, LIMITS_GROUP = "Network", "Limits"


HostOption = Annotated[str, option("ADDRESS", "Address to listen on; 0.0.0.0 for all interfaces.", NETWORK_GROUP)]
PortOption = Annotated[int, option("N", "Port to listen on; 0 for any free port.", NETWORK_GROUP, min=0, max=65535)]
TokenOption = Annotated[
    str | None,
    option(
        "SECRET",
        "Bearer token that clients must send. Safer as an environment variable.",
        NETWORK_GROUP,
        envvar="MASKKIT_TOKEN",
    ),
]
AllowHostOption = Annotated[
    list[str] | None, option("NAME", "Additional allowed Host header. Repeatable.", NETWORK_GROUP)
]
MaxBytesOption = Annotated[int, option("N", "Maximum bytes per image file.", LIMITS_GROUP, min=1)]
MaxImagesOption = Annotated[int, option("N", "Maximum images per request.", LIMITS_GROUP, min=1)]
MaxPixelsOption = Annotated[int, option("N", "Maximum pixels per image: width times height.", LIMITS_GROUP, min=1)]
QueueOption = Annotated[int, option("N", "Maximum images waiting; further requests get a 503.", LIMITS_GROUP, min=1)]
TimeoutOption = Annotated[
    float, option("SECONDS", "Time limit for receiving a request, and again for answering it.", LIMITS_GROUP, min=0.1)
]


def serve(
    model: shared.ModelOption = shared.DEFAULT_MODEL,
    detector: shared.DetectorOption = None,
    detector_size: shared.DetectorSizeOption = None,
    threshold: shared.ThresholdOption = None,
    min_size: shared.MinSizeOption = None,
    device: shared.DeviceOption = "auto",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    token: TokenOption = None,
    allow_host: AllowHostOption = None,
    max_bytes: MaxBytesOption = 20_000_000,
    max_images: MaxImagesOption = 16,
    max_pixels: MaxPixelsOption = 50_000_000,
    queue: QueueOption = 64,
    timeout: TimeoutOption = 30.0,
) -> None:
    r"""Serve a web page and an HTTP API.

    Uploaded images are not stored. By default only this machine can connect;
    set --token before you listen on another address.
    Requires pip install 'maskkit\[serve]'.

    Example: maskkit serve --port 8000
    """
    from maskkit.web import create_app
    from maskkit.web._guard import check_token, parse_host
    from maskkit.web._server import bind, is_loopback, make_server, url_of

    # The parser of options takes an environment variable that is set but empty for one that is not set.
    if token is None and "MASKKIT_TOKEN" in os.environ:
        raise typer.BadParameter("is set but empty; set a secret, or unset it", param_hint="MASKKIT_TOKEN")
    # What create_app checks, too, but after the model is loaded.
    if token is not None:
        check_token(token)
    hosts = [parse_host(name) for name in allow_host or ()]
    if queue < max_images:
        raise typer.BadParameter(
            f"must hold the {max_images} images of one request; pass at least {max_images}", param_hint="--queue"
        )
    limits = _make_limits(max_bytes, max_images, max_pixels, queue, timeout)
    # The port is bound before the model is loaded, so that an address in use is reported at once.
    with bind(host, port) as listening:
        classifier = load_model(
            model,
            detector=detector,
            detector_size=detector_size,
            device=device,
            threshold=threshold,
            min_size_px=min_size,
        )
        app = create_app(classifier, token=token, limits=limits, hosts=hosts)
        if token is None and not is_loopback(listening):
            typer.echo(
                "maskkit: warning: anyone who can reach this address can use the server; set a --token.", err=True
            )
        server = make_server(
            app,
            seconds=2 * timeout,
            wait_seconds=timeout,
            on_start=lambda: typer.echo(f"listening on {url_of(listening)} (press Ctrl-C to stop)"),
        )
        # uvicorn finishes the open requests, then raises the interruption again.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
        typer.echo("stopped", err=True)


def _make_limits(max_bytes: int, max_images: int, max_pixels: int, queue: int, timeout: float) -> "Limits":
    """Return the limits of requests, which grow with those of images."""
    from maskkit.web import Limits

    # 100 kB are for the form around an image.
    request_bytes = max(Limits().request_bytes, max_bytes + 100_000)
    return Limits(
        image_bytes=max_bytes,
        images=max_images,
        request_bytes=request_bytes,
        image_px=max_pixels,
        request_px=max(Limits().request_px, max_pixels),
        waiting_images=queue,
        waiting_bytes=max(Limits().waiting_bytes, request_bytes),
        seconds=timeout,
    )
