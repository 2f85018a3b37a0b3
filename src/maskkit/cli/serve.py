"""maskkit serve."""

from contextlib import suppress
from typing import Annotated

import typer

from maskkit.cli._options import DEFAULT_MODEL, DetectorOption, DeviceOption, ModelOption, load_model

_WHO, _LIMITS = "Who reaches it", "Limits"


def serve(
    model: ModelOption = DEFAULT_MODEL,
    detector: DetectorOption = None,
    device: DeviceOption = "auto",
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where to listen; 0.0.0.0 is all of this machine's.", rich_help_panel=_WHO
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=65535, help="Port to listen on; 0 takes a free one.", rich_help_panel=_WHO
        ),
    ] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET",
            envvar="MASKKIT_TOKEN",
            help="What requests must bear; better in the environment.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Name under which the server may be asked. Repeatable.", rich_help_panel=_WHO
        ),
    ] = None,
    max_bytes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Bytes of one image file.", rich_help_panel=_LIMITS)
    ] = 20_000_000,
    max_images: Annotated[
        int, typer.Option(metavar="N", min=1, help="Images of one request.", rich_help_panel=_LIMITS)
    ] = 16,
    max_pixels: Annotated[
        int, typer.Option(metavar="N", min=1, help="Width times height of one image.", rich_help_panel=_LIMITS)
    ] = 50_000_000,
    queue: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Images that may wait; above it requests get a 503.", rich_help_panel=_LIMITS
        ),
    ] = 64,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="For a request to arrive, and again for its answer.",
            rich_help_panel=_LIMITS,
        ),
    ] = 30.0,
) -> None:
    """Put a page and an API on this machine; nothing is stored.

    Example: maskkit serve --port 8000
    """
    from maskkit.web import Limits, create_app
    from maskkit.web._server import bind, is_loopback, make_server, url_of

    if queue < max_images:
        raise typer.BadParameter(f"want room for the {max_images} images of one request", param_hint="--queue")
    limits = Limits(
        image_bytes=max_bytes,
        images=max_images,
        request_bytes=max(Limits().request_bytes, max_bytes + 100_000),
        image_px=max_pixels,
        waiting_images=queue,
        seconds=timeout,
    )
    with bind(host, port) as listening:
        classifier = load_model(model, detector=detector, device=device)
        app = create_app(classifier, token=token, limits=limits, hosts=allow_host or ())
        if token is None and not is_loopback(listening):
            typer.echo("maskkit: warning: whoever reaches this address may ask; a --token would stop them.", err=True)
        server = make_server(
            app,
            seconds=2 * timeout,
            on_start=lambda: typer.echo(f"listening on {url_of(listening)} (Ctrl-C ends it)"),
        )
        with suppress(KeyboardInterrupt):  # which uvicorn passes on when all is answered, unless it is ignored
            server.run(sockets=[listening])
        typer.echo("ended", err=True)
