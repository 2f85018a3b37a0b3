"""maskkit version."""


def version() -> None:
    """Show version, Python, torch, engine and device.

    These are the lines for a bug report. maskkit checks shows more, also as JSON.

    Example: maskkit version
    """
    import platform

    from maskkit._optional import installed_version
    from maskkit.engines import resolve_engine
    from maskkit.engines._devices import resolve_device, resolve_precision

    device = resolve_device("auto")
    engine = resolve_engine("auto", device)
    precision = str(resolve_precision("auto", device)).removeprefix("torch.")
    print(f"maskkit {installed_version('maskkit')}")
    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    print(f"torch {installed_version('torch')}")
    print(f"engine {engine} {installed_version(engine)}")
    print(f"device {device}, {precision}")
