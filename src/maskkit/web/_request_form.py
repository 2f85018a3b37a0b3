"""Requests in forms that every HTTP server accepts: HEAD, and targets that are whole URLs."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class NormalizeRequest:
    """ASGI middleware that answers HEAD as GET, without the body, and a target that is a URL as its path.

    Health checks and browsers use HEAD, and clients that take the server for a proxy send whole URLs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/") and "://" in scope["path"]:
            # The host of the URL stands for the header Host. Source: RFC 9112, section 3.2.2.
            host, _, path = scope["path"].partition("://")[2].partition("/")
            others = [header for header in scope["headers"] if header[0] != b"host"]
            scope = {**scope, "path": f"/{path}", "headers": [(b"host", host.encode()), *others]}
        if scope.get("method") != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_without_body)
