"""Plugins, loaded by name from entry points.

Built-in plugins are declared like any other: by entry points of the groups
``maskkit.backbones``, ``maskkit.detectors`` and ``maskkit.reporters``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

from maskkit._optional import install_hint
from maskkit.exceptions import MaskkitError, PluginError

Group: TypeAlias = Literal["backbones", "detectors", "reporters"]

_METHODS: dict[Group, str] = {"backbones": "build", "detectors": "detect", "reporters": "report"}

# Libraries of built-in plugins, and the extras that install them.
_EXTRAS = {
    "cv2": "opencv",
    "mlflow": "mlflow",
    "tensorboard": "tensorboard",
}


def names(group: Group) -> list[str]:
    """Return the sorted names of the installed plugins of a group, without importing them."""
    return sorted(_entries(group))


def load(group: Group, spec: str, **params: Any) -> Any:
    """Return an instance of a plugin.

    Raises PluginError if the name is unknown or declared twice, or the plugin fails to load.

    Parameters
    ----------
    group : {"backbones", "detectors", "reporters"}
    spec : str
        ``"name"`` or ``"name:argument"``; the argument goes to the plugin's first parameter, as in
        ``"timm:mobilenetv3_small_100"`` or ``"json:report.json"``.
    **params : object
        Further constructor parameters.
    """
    name, _, argument = spec.partition(":")
    factory = load_class(group, name)
    try:
        return factory(argument, **params) if argument else factory(**params)
    except TypeError as exc:
        if argument or params:
            raise
        raise PluginError(f"{group[:-1]} {spec!r} needs an argument ({exc}); want '{name}:NAME'.") from exc


def load_class(group: Group, name: str) -> Any:
    """Load the class of a plugin; raises PluginError as `load` does."""
    entries = _entries(group)
    if name not in entries:
        raise PluginError(
            f"{group[:-1]} {name!r} is unknown; installed: {', '.join(sorted(entries)) or 'none'}. "
            f"Pass one of them or an instance."
        )
    return _import(group, entries[name])


def resolve(group: Group, plugin: Any) -> Any:
    """Return a plugin given as a name or an instance; raise PluginError if an instance lacks its method."""
    if isinstance(plugin, str):
        return load(group, plugin)
    method = _METHODS[group]
    if isinstance(plugin, type) or not callable(getattr(plugin, method, None)):
        shown = f"the class {plugin.__name__}" if isinstance(plugin, type) else f"{plugin!r}"
        raise PluginError(
            f"{group[:-1]} is {shown}; want a name ({', '.join(names(group))}) or an instance with {method}()."
        )
    return plugin


def name_of(group: Group, plugin: Any) -> str:
    """Return the name under which a plugin's class is installed; raise PluginError if it has none."""
    path = f"{type(plugin).__module__}:{type(plugin).__qualname__}"
    for name, entry in _entries(group).items():
        if entry.value == path:
            return name
    raise PluginError(
        f"{type(plugin).__name__} is not installed as a plugin; declare the entry point "
        f"maskkit.{group} = '{path}' in its package."
    )


@contextmanager
def plugin_errors(group: Group, plugin: Any, action: str, target: str = "") -> Iterator[None]:
    """Raise exceptions of a plugin as PluginError naming it; MaskkitError and MemoryError pass unchanged.

    `action` is the call that may fail, such as ``"detect()"``, and `target` its input, such as a photo's name.
    """
    try:
        yield
    except (MaskkitError, MemoryError):
        raise
    except Exception as exc:  # code of others may raise any type; it is named, not hidden
        name = plugin if isinstance(plugin, str) else type(plugin).__name__
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}".removesuffix(": ")
        place = f" on {target}" if target else ""
        raise PluginError(f"{group[:-1]} {name}: {action} failed{place} ({reason}).") from exc


def _entries(group: Group) -> dict[str, EntryPoint]:
    """Map names to entry points. Those of other packages take precedence over ours; two others are an error."""
    ours: dict[str, EntryPoint] = {}
    theirs: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"maskkit.{group}"):
        group_entries = ours if entry.value.startswith("maskkit.") else theirs
        rival = group_entries.get(entry.name)
        if rival is not None and rival.value != entry.value:
            raise PluginError(
                f"{group[:-1]} {entry.name!r} is declared twice, by {_package(rival)} and {_package(entry)}; "
                f"uninstall one of them."
            )
        group_entries[entry.name] = entry
    return ours | theirs


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value


def _import(group: Group, entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ModuleNotFoundError as exc:
        extra = _EXTRAS.get((exc.name or "").partition(".")[0])
        if extra is None:
            raise PluginError(f"{group[:-1]} {entry.name!r} of {_package(entry)} fails to load: {exc}.") from exc
        raise PluginError(f"{group[:-1]} {entry.name!r} needs {exc.name}; {install_hint(extra)}") from exc
    except Exception as exc:  # a module of others may raise any type; it is named, not hidden
        raise PluginError(
            f"{group[:-1]} {entry.name!r} of {_package(entry)} fails to load: {type(exc).__name__}: {exc}."
        ) from exc
