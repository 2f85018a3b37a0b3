"""Removal of passwords from everything that is shown or written."""

import re

# Parts of the names of secret values. Names of the second kind also name folders of data sets, as in ".../key=3/...",
# so that they count in queries only.
_ANYWHERE = r"(?:pass|pwd|psw|token|secret)"
_IN_QUERIES = rf"(?:{_ANYWHERE}|key|auth|sig|cred|cookie|session|sas)"

# Names are bounded, so that the time does not grow with the square of a text. A value ends before the next "&name=",
# because a password may contain any other letter by mistake.
_PARAMETER = (
    rf"(?:[\w.%-]{{0,60}}{_ANYWHERE}[\w.%-]{{0,60}}|(?<=[?&;#])[\w.%-]{{0,60}}{_IN_QUERIES}[\w.%-]{{0,60}})="
    r"(?P<secret>(?:(?![&;][\w.%-]{1,60}=).)*)"
)
_HEADER = rf"[\w-]{{0,60}}{_IN_QUERIES}[\w-]{{0,60}}['\"]?\s*:\s+(?P<secret>.*)"

# A password may contain "/" or "@" by mistake. Therefore, what follows a colon and is not a port is removed up to the
# last "@". What looks like a port may be the beginning of a password: it is one in the URL of a stream, or if a host
# and a path follow the "@". Without a colon, only a user before the first "/" is removed.
_IPV6_HOST = r"\[[0-9A-Fa-f:.%]*\](?::\d*)?(?:[/?#\s]|$)"
_PORT = r"\d*(?:[/?#\s]|$)"
_CHAINED = r":[a-z0-9+.-]+://"  # as in "zip://inside::https://host/a.zip"
_LOGIN = (
    rf"://(?!{_IPV6_HOST})(?P<secret>[^/?#:\s]*:(?!{_PORT}|{_CHAINED}).*@|[^/?#@:\s]*:(?!{_CHAINED}).*@(?=[^\s/@]+/)"
    r"|[^/?#\s]*@)"
)
_STREAM_LOGIN = r"rtsps?://(?P<secret>[^/?#:@\[\s]*:.*@)"

_LOGINS = [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in (_LOGIN, _STREAM_LOGIN)]
_VALUES = [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in (_PARAMETER, _HEADER)]


def hide_secrets(text: str) -> str:
    """Remove users and passwords of URLs from a text, and mask the values of parameters named like secrets.

    Rather too much is removed than a part of a password shown.
    """
    # Logins and values may overlap, if a password looks like the other. Then both are removed.
    logins = [match.span("secret") for pattern in _LOGINS for match in pattern.finditer(text)]
    values = [match.span("secret") for pattern in _VALUES for match in pattern.finditer(text)]
    for start, end in _merge(logins + values):
        is_value = any(start <= first <= end for first, _ in values)
        text = text[:start] + "***" * is_value + text[end:]
    return text


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the union of spans, the last one first."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            first, last = merged.pop()
            start, end = first, max(last, end)
        merged.append((start, end))
    return merged[::-1]
