"""The command ``maskkit``: one file a verb, libraries loaded only by the verb that needs them."""

import io
import os
import sys
import warnings
from typing import Annotated

import typer

from maskkit.cli import (
    checks,
    data,
    demo,
    evaluate,
    explain,
    export,
    predict,
    predict_batch,
    serve,
    train,
    watch,
)
from maskkit.cli._help import GroupHelp, VerbHelp

INTERRUPTED = 130  # a shell's number for Ctrl-C

# Rounds that a thread of torch's spins while it waits for another (libgomp, read when torch is loaded). By default
# 300,000, on cores that other threads need to decode images: docs/guides/speed.md.
SPINS = "2000"

USE, MAKE, MACHINE = "Use a model", "Make a model", "This machine"

app = typer.Typer(
    cls=GroupHelp,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
for group, verbs in {
    USE: (demo.demo, predict.predict, predict_batch.predict_batch, watch.watch, serve.serve, explain.explain),
    MAKE: (train.train, evaluate.evaluate, export.export),
    MACHINE: (checks.checks,),
}.items():
    for verb in verbs:
        app.command(cls=VerbHelp, rich_help_panel=group)(verb)
app.add_typer(data.app, name="data", rich_help_panel=MAKE)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"maskkit {version('maskkit')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Tell, for every face in a picture, whether a mask is worn.

    VERB --help shows the options of each, and an example.

    Example: maskkit demo
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit 1 and one line for a user's mistake, 2 for bad usage."""
    run_command(app, arguments, prog_name="maskkit")


def run_command(app: typer.Typer, arguments: list[str] | None, *, prog_name: str) -> None:
    """Run a command line of typer's as `main` does."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # we need the message alone
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name that is not UTF-8 holds what no encoding has; as \udcXX it is JSON all the same.
            stream.reconfigure(errors="backslashreplace")
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name=prog_name)
    except BrokenPipeError:
        # Whoever read the output has gone, `| head` say. What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except SystemExit as exc:
        if exc.code == INTERRUPTED:
            print(f"maskkit: {_describe_interruption(exc)}", file=sys.stderr)
        raise
    except Exception as exc:  # the last line of defence: shown in one line, or whole with --debug
        if debug:
            raise
        print(f"maskkit: error: {_describe(exc)}", file=sys.stderr)
        sys.exit(1)


def _describe(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}; check the path, what you may do there, and the space left."
    if isinstance(exc, OSError) and exc.strerror:  # of a stream, which has no name
        return f"{exc.strerror}; check where the output goes, and the space left there."
    return " ".join(str(exc).split()) or type(exc).__name__


def _describe_interruption(exc: BaseException) -> str:
    """Find what the work that was interrupted has to say; typer wraps it."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return " ".join(getattr(cause, "__notes__", ["interrupted"]))


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"maskkit: warning: {message}", file=sys.stderr)
