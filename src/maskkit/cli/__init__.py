"""The command ``maskkit``: one file a verb, libraries loaded only by the verb that needs them."""

import os
import sys
import warnings
from typing import Annotated

import typer

from maskkit.cli import benchmark, checks, data, demo, evaluate, explain, export, predict, predict_batch, serve, train

INTERRUPTED = 130  # a shell's number for Ctrl-C

app = typer.Typer(
    help="Tell, for every face in a picture, whether a mask is worn.",
    epilog="Try it: maskkit demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    demo.demo,
    train.train,
    evaluate.evaluate,
    predict.predict,
    predict_batch.predict_batch,
    explain.explain,
    export.export,
    serve.serve,
):
    app.command()(verb)
app.add_typer(data.app, name="data")
app.command()(benchmark.benchmark)
app.command()(checks.checks)


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
    """Tell, for every face in a picture, whether a mask is worn."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line: exit 1 and one line for a user's mistake, 2 for bad usage."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # we need the message alone
    try:
        app([argument for argument in arguments if argument != "--debug"])
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
        return f"{exc.filename}: {exc.strerror}"
    return " ".join(str(exc).split()) or type(exc).__name__


def _describe_interruption(exc: BaseException) -> str:
    """Find what the work that was interrupted has to say; typer wraps it."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return " ".join(getattr(cause, "__notes__", ["interrupted"]))


def _show_warning(message: Warning | str, *_: object) -> None:
    print(f"maskkit: warning: {message}", file=sys.stderr)
