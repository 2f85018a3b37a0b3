"""The ``maskkit`` command. Each file holds one subcommand, which imports the libraries it needs when it runs."""

import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from maskkit._text import escape_text
from maskkit.cli import (
    calibrate,
    checks,
    data,
    demo,
    evaluate,
    explain,
    export,
    predict,
    predict_batch,
    push,
    review,
    serve,
    train,
    version,
    watch,
)
from maskkit.cli._option_names import use_option_names
from maskkit.cli._options import flag

INTERRUPTED = 130  # the exit code that shells use for Ctrl-C

# Number of rounds that an idle OpenMP thread of torch spins before it sleeps. libgomp reads it when torch is imported;
# its default, 300,000, takes CPU time from the threads that decode images. Measured in docs/guides/speed.md.
GOMP_SPIN_COUNT = "2000"

# Typer exports no name for the base class of its usage errors.
UsageError: type[Any] = typer.BadParameter.__mro__[1]

USE, TRAIN, SYSTEM = "Use a model", "Train and evaluate", "System"


class MainGroup(TyperGroup):
    """The command group of ``maskkit``, which prints what is kept after a KeyboardInterrupt."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; typer itself would replace a KeyboardInterrupt with a bare exit code."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as exc:
            notes = " ".join(getattr(exc, "__notes__", ["interrupted"]))
            print(escape_text(f"maskkit: {use_option_names(notes, self, ctx.obj or ())}"), file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from exc


app = typer.Typer(
    cls=MainGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    USE: (demo.demo, predict.predict, predict_batch.predict_batch, watch.watch, serve.serve, explain.explain),
    TRAIN: (train.train, evaluate.evaluate, review.review, calibrate.calibrate, export.export, push.push),
    SYSTEM: (checks.checks, version.version),
}
for panel, commands in _COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(data.app, name="data", rich_help_panel=TRAIN)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"maskkit {version('maskkit')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, flag("--debug", "Show the traceback of an error.")] = False,
) -> None:
    """Detect faces in photos and videos, and classify whether each wears a mask.

    Run a command with --help to see its options and examples.

    Example: maskkit demo
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit code 1 and a one-line message for an error, 2 for bad usage."""
    run_command(app, arguments, prog_name="maskkit")


def run_command(app: typer.Typer, arguments: list[str] | None, *, prog_name: str) -> None:
    """Run a typer app with the messages and exit codes of `main`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    os.environ.setdefault("GOMP_SPINCOUNT", GOMP_SPIN_COUNT)
    command = typer.main.get_command(app)

    def show_warning(message: Warning | str, *_: object) -> None:
        text = use_option_names(str(message), command, arguments)
        print(escape_text(f"maskkit: warning: {text}"), file=sys.stderr)

    warnings.showwarning = show_warning  # type: ignore[assignment]  # Users need only the message.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the encoding of the stream lacks is written as an escape.
            stream.reconfigure(errors="backslashreplace")
    try:
        _check_arguments(arguments)
        # In standalone mode typer would draw a box around usage errors; in this mode it returns the exit code.
        words = [word for word in arguments if word != "--debug"]
        code = command.main(words, prog_name=prog_name, standalone_mode=False, obj=words)
        sys.exit(code or 0)
    except UsageError as exc:
        exc.message = escape_text(exc.message, keep="\n")
        exc.show()
        sys.exit(exc.exit_code)
    except BrokenPipeError as exc:
        # The reader has closed the pipe, as `| head` does. What is still buffered goes to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        for note in getattr(exc, "__notes__", ()):
            print(f"maskkit: error: {note}", file=sys.stderr)
        sys.exit(1)
    except Exception as exc:  # any other error is shown as one line, or with its traceback under --debug
        if debug:
            raise
        print(f"maskkit: error: {escape_text(use_option_names(_describe(exc), command, arguments))}", file=sys.stderr)
        sys.exit(1)


def _check_arguments(arguments: list[str]) -> None:
    """Raise ValueError for an empty argument, which as a path would mean the current folder."""
    for before, argument in zip(["maskkit", *arguments], arguments, strict=False):
        if not argument or re.fullmatch(r"--[\w-]+=", argument):
            place = argument.rstrip("=") or f"after {before!r}"
            raise ValueError(f"{place}: an empty path or value; is a variable of the shell unset?")


def _describe(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}; check the path, your permissions and the free disk space."
    if isinstance(exc, OSError) and exc.strerror:  # Errors of streams have no file name.
        return f"{exc.strerror}; check where the output goes and the free disk space."
    return " ".join(str(exc).split()) or type(exc).__name__
