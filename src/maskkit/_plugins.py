"""Plugins, loaded by name from entry points.

Built-in plugins are declared like any other: by entry points of the groups
``maskkit.backbones``, ``maskkit.detectors``, ``maskkit.reporters`` and ``maskkit.sinks``.
"""

import inspect
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, Literal, TypeAlias

from maskkit._optional import install_hint
from maskkit.exceptions import MaskkitError, PluginError

Group: TypeAlias = Literal["backbones", "detectors", "reporters", "sinks"]

_METHODS: dict[Group, str] = {"backbones": "build", "detectors": "detect", "reporters": "report", "sinks": "send"}

# Arguments of sinks are addresses, any part of which may be secret.
_SECRET_ARGUMENTS = ("sinks",)

# Libraries of built-in plugins, and the extras that install them.
_EXTRAS = {"cv2": "opencv", "mlflow": "mlflow", "paho": "mqtt", "tensorboard": "tensorboard"}


def names(group: Group) -> list[str]:
    """Return the sorted names of the installed plugins of a group, without importing them."""
    return sorted(_entries(group))


def load(group: Group, spec: str, **params: Any) -> Any:
    """Return an instance of a plugin.

    Raises PluginError if the name is unknown or declared twice, the argument is empty, or the plugin fails to load or
    cannot be made so.

    `spec` is ``"name"`` or ``"name:argument"``; the argument, always text, goes to the plugin's first parameter, as in
    ``"timm:mobilenetv3_small_100"`` or ``"json:report.json"``. `params` are further constructor parameters.
    """
    name, colon, argument = spec.partition(":")
    factory = load_class(group, name)
    arguments = (argument,) if argument else ()
    if params:  # those of a saved model
        return factory(*arguments, **params)
    _check_signature(group, name, factory, arguments)
    if colon and not argument:
        raise PluginError(
            f"{group[:-1]} {spec!r} has no argument after the colon; want {name!r} or '{name}:ARGUMENT'. Is a variable "
            f"of the shell unset?"
        )
    with plugin_errors(group, repr(_shown(group, spec)), "making it"):
        plugin = factory(*arguments)
    if argument and group == "detectors":
        _check_argument(spec, plugin)
    return plugin


def load_class(group: Group, name: str) -> Any:
    """Load the class of a plugin; raises PluginError as `load` does."""
    entry = _find_entry(group, name)
    if replaces_ours(group, name):
        warnings.warn(
            f"{group[:-1]} {name!r} is the one of {provider(group, name)}, which takes precedence over maskkit's own; "
            f"uninstall that package to use maskkit's.",
            stacklevel=3,
        )
    return _import(group, entry)


def replaces_ours(group: Group, name: str) -> bool:
    """Return whether a plugin of another package is loaded in place of a built-in one."""
    origins = {_is_ours(entry) for entry in entry_points(group=f"maskkit.{group}") if entry.name == name}
    return origins == {True, False}


def provider(group: Group, name: str) -> str:
    """Return the package that provides a plugin, with its version; raises PluginError as `load` does."""
    return _package(_find_entry(group, name))


def _check_signature(group: Group, name: str, factory: Any, arguments: tuple[str, ...]) -> None:
    """Raise PluginError if a plugin cannot be called with these arguments."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # Some classes written in C have none.
        return
    try:
        signature.bind(*arguments)
    except TypeError as exc:
        kind = group[:-1]
        if arguments:
            got = "one" if group in _SECRET_ARGUMENTS else repr(arguments[0])
            raise PluginError(f"{kind} {name!r} takes no argument, and got {got}; want {name!r}.") from exc
        wanted = next(iter(signature.parameters)).upper()
        raise PluginError(f"{kind} {name!r} needs an argument ({exc}); want '{name}:{wanted}'.") from exc


def _check_argument(spec: str, detector: Any) -> None:
    """Raise PluginError if a detector fails on a gray image, which shows an argument that it cannot use.

    An argument is always text. A detector that wants a number would otherwise fail at the first photo, or at each one.
    """
    import numpy as np

    try:
        detector.detect(np.full((64, 64, 3), 127, dtype=np.uint8))
    except (MaskkitError, MemoryError):
        raise
    except (Exception, SystemExit) as exc:  # code of others may raise any type; it is named, not hidden
        name, _, argument = spec.partition(":")
        raise PluginError(
            f"detector {spec!r} does not work with the argument {argument!r}, which is always text "
            f"({type(exc).__name__}: {' '.join(str(exc).split())}); pass {name!r}, or in Python an instance with "
            f"its parameters."
        ) from exc


def resolve(group: Group, plugin: Any) -> Any:
    """Return a plugin given as a name or an instance; raise PluginError if the instance lacks its method."""
    given, plugin = plugin, load(group, plugin) if isinstance(plugin, str) else plugin
    method = _METHODS[group]
    if isinstance(plugin, type) or not callable(getattr(plugin, method, None)):
        shown = f"the class {plugin.__name__}" if isinstance(plugin, type) else f"{plugin!r}"
        shown = f"{_shown(group, given)!r}, which makes {shown}" if isinstance(given, str) else shown
        raise PluginError(
            f"{group[:-1]} is {shown}; want a name ({', '.join(names(group))}) or an instance with {method}()."
        )
    return plugin


def _shown(group: Group, spec: str) -> str:
    """Return what messages show of the text by which a plugin is asked for."""
    return spec.partition(":")[0] if group in _SECRET_ARGUMENTS else spec


def display_name(plugin: Any) -> str:
    """Return the name under which messages and results show a plugin given as a name or an instance."""
    return plugin if isinstance(plugin, str) else type(plugin).__name__


def name_of(group: Group, plugin: Any) -> str:
    """Return the name under which a plugin's class is installed; raise PluginError if it has none."""
    kind = type(plugin)
    entries = {name: rivals[0] for name, rivals in _entries(group).items() if len(rivals) == 1}
    path = f"{kind.__module__}:{kind.__qualname__}"
    for name, entry in entries.items():
        if entry.value == path or (_root(entry.module) == _root(kind.__module__) and _loads(entry, kind)):
            return name
    for name in (entry.name for entry in entry_points(group=f"maskkit.{group}") if entry.value == path):
        raise PluginError(
            f"{group[:-1]} {kind.__name__} is installed as {name!r}, but that name leads to {provider(group, name)}, "
            f"so save() could not name it in a model; uninstall that package."
        )
    raise PluginError(
        f"{group[:-1]} {kind.__name__} is not installed as a plugin, so save() could not name it in a model; declare "
        f"the entry point maskkit.{group} = '{path}' in its package and install that."
    )


def _root(module: str) -> str:
    return module.partition(".")[0]


def _loads(entry: EntryPoint, kind: type) -> bool:
    """Return whether an entry point leads to a class, which it may name by another module than defines it."""
    try:
        return entry.load() is kind
    except (Exception, SystemExit):  # A broken plugin is not this one; `load` names it if it is asked for.
        return False


@contextmanager
def plugin_errors(group: Group | Literal["callbacks"], plugin: Any, action: str, target: str = "") -> Iterator[None]:
    """Raise exceptions of a plugin as PluginError naming it; MaskkitError and MemoryError pass unchanged.

    `action` is the call that may fail, such as ``"detect()"``, and `target` its input, such as a photo's name.
    """
    try:
        yield
    except (MaskkitError, MemoryError):
        raise
    except (Exception, SystemExit) as exc:  # code of others may raise any type; it is named, not hidden
        name = display_name(plugin)
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())}".removesuffix(": ")
        place = f" on {target}" if target else ""
        raise PluginError(f"{group[:-1]} {name}: {action} failed{place} ({reason}).") from exc


def entry_points(group: str) -> EntryPoints:
    """Return the entry points of a group.

    Reading those of all packages takes long, so it is done again only if a folder of ``sys.path`` changes, as it does
    when a package is installed or removed.
    """
    return _read_entry_points(tuple((folder, _modified(folder)) for folder in sys.path))[group]


@lru_cache(maxsize=1)
def _read_entry_points(folders: tuple[tuple[str, int], ...]) -> dict[str, EntryPoints]:
    found = metadata.entry_points()
    return {group: found.select(group=group) for group in (f"maskkit.{group}" for group in _METHODS)}


def _modified(folder: str) -> int:
    try:
        return os.stat(folder or os.curdir).st_mtime_ns
    except OSError:
        return 0


def _entries(group: Group) -> dict[str, list[EntryPoint]]:
    """Map names to entry points: ours, or in their place those of other packages; several are rivals."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=f"maskkit.{group}"):
        known = found.setdefault(entry.name, [])
        if any(other.value == entry.value for other in known):  # a package that is found twice on sys.path
            continue
        if known and _is_ours(entry):
            continue
        found[entry.name] = [*(other for other in known if not _is_ours(other)), entry]
    return found


def _find_entry(group: Group, name: str) -> EntryPoint:
    entries = _entries(group)
    if name not in entries:
        raise PluginError(
            f"{group[:-1]} {name!r} is unknown; installed: {', '.join(sorted(entries)) or 'none'}. "
            f"Pass one of them or an instance."
        )
    entry, *rivals = entries[name]
    if rivals:
        packages = ", ".join(_package(rival) for rival in [entry, *rivals[:-1]])
        raise PluginError(
            f"{group[:-1]} {name!r} is declared twice, by {packages} and {_package(rivals[-1])}; "
            f"uninstall one of them, or pass an instance."
        )
    return entry


def _is_ours(entry: EntryPoint) -> bool:
    return _root(entry.module) == "maskkit"


def _package(entry: EntryPoint) -> str:
    if entry.dist is None:
        return entry.value
    return f"{entry.dist.name} {entry.dist.version}"


def _import(group: Group, entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ModuleNotFoundError as exc:
        extra = _EXTRAS.get((exc.name or "").partition(".")[0])
        if extra is None:
            raise PluginError(f"{group[:-1]} {entry.name!r} of {_package(entry)} fails to load: {exc}.") from exc
        raise PluginError(f"{group[:-1]} {entry.name!r} needs {exc.name}; {install_hint(extra)}") from exc
    except (Exception, SystemExit) as exc:  # a module of others may raise any type; it is named, not hidden
        raise PluginError(
            f"{group[:-1]} {entry.name!r} of {_package(entry)} fails to load: {type(exc).__name__}: {exc}."
        ) from exc
