"""The command line: what `napari-fastsam` understands, and how it says that something is wrong.

Arguments are parsed here and nothing else is decided. A wrong argument or file is one line on
stderr and exit status 2; a bad image among others that are done is exit status 1.
"""

from __future__ import annotations

import signal
import sys
import warnings
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_fastsam.cli import demo, doctor, models, segment, train
from napari_fastsam.cli.console import one_line, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAULTY = 2
"""Exit status after a wrong argument, or a file that cannot be used."""

# Typer carries its own copy of click or uses the real one, depending on its version; its public
# names reach click's UsageError only through a subclass.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="napari-fastsam",
    help="Segment anything in images and stacks with one pass of the network: every object is "
    "found once, and points and boxes only choose.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(segment.segment)
app.command()(demo.demo)
app.add_typer(models.app, name="models")
app.command()(train.train)
app.command()(doctor.doctor)


def _print_version(asked: bool) -> None:
    """Print the version and leave."""
    if asked:
        print(f"napari-fastsam {version('napari-fastsam')}")
        raise typer.Exit


@app.callback()
def _common(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole traceback of an error.")
    ] = False,
) -> None:
    """Take what all commands share; the program's own help is the application's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments
        Without the program's name; ``None`` is what it was called with.
    """
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in words  # wherever it stands
    try:
        with _leaving_tidily(), _warnings_told():
            status = app(
                [word for word in words if word != "--debug"],
                prog_name="napari-fastsam",
                standalone_mode=False,
            )
        return int(status or 0)
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "napari-fastsam"
        tell("error", f"{error.format_message().rstrip('.')}. See '{command} --help'.")
    except (ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
        if debug:
            raise
        tell("error", one_line(error))
    return FAULTY


@contextmanager
def _leaving_tidily() -> Iterator[None]:
    """Let a request to terminate, as of a cluster's scheduler, clean up what is half written."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Show each warning as one line."""

    def show(message: Warning | str, *details: Any, **more: Any) -> None:
        tell("warning", one_line(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
