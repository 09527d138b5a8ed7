"""The command line: thin commands over the library.

Modules of this package import only what ``--help`` needs; a command imports the rest when it
runs, so that ``hpbench --help`` responds at once.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer

from hpbench import __version__
from hpbench.cli.check import check
from hpbench.cli.compare import compare
from hpbench.cli.explain import explain
from hpbench.cli.faces import faces
from hpbench.cli.label import label
from hpbench.cli.listing import list_plugins
from hpbench.cli.new import new
from hpbench.cli.options import add_command
from hpbench.cli.predict import predict
from hpbench.cli.render import render
from hpbench.cli.report import report
from hpbench.cli.run import run
from hpbench.cli.train import train
from hpbench.cli.weights import weights
from hpbench.errors import HpbenchError, system_failure
from hpbench.storage.text import visible

__all__ = ["app", "main"]

app = typer.Typer(
    name="hpbench",
    help="Benchmark and compare head-pose methods: hpbench run --methods hopenet,pnp",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would swallow the brackets of name[key=value]
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

_state = {"debug": False}

_LEAST_ADDRESS_SPACE = 4 * 2**30

# what typer raises for a command line that cannot be parsed; it does not export the class itself
_ParseError: Any = next(cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "UsageError")


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show version and exit.")] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="With --version: libraries and machine, for bug reports."),
    ] = False,
) -> None:
    _state["debug"] = debug
    if version:
        typer.echo(f"hpbench {__version__}")
        if verbose:
            from hpbench.storage.environment import describe

            typer.echo("\n".join(describe()))
        raise typer.Exit
    if context.invoked_subcommand is None:
        context.fail("Missing command.")


for _name, _command in (
    ("run", run),
    ("report", report),
    ("explain", explain),
    ("compare", compare),
    ("faces", faces),
    ("predict", predict),
    ("list", list_plugins),
    ("check", check),
    ("label", label),
    ("train", train),
    ("render", render),
):
    add_command(app, _name, _command)
app.add_typer(weights, name="weights")
app.add_typer(new, name="new")


def main() -> None:
    """Run the command line; user errors become one line and an exit code."""
    signal.signal(signal.SIGINT, _interrupt)
    # Pillow's name no image; what matters of it is a reason of ours
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        _refuse_little_address_space()
        for word in sys.argv:
            word.encode()  # tables and JSON files hold no other names
        code = app(prog_name="hpbench", standalone_mode=False)
    except HpbenchError as error:
        if _state["debug"]:
            raise
        _end(visible(str(error)), error.exit_code)
    except _ParseError as error:
        if error.format_message().startswith("Usage:"):  # no command at all: its help
            error.show()
            sys.exit(error.exit_code)
        command = error.ctx.command_path if error.ctx is not None else "hpbench"
        message = error.format_message().rstrip(".")
        _end(f"{message[:1].lower()}{message[1:]} (see '{command} --help')", error.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        if _state["debug"]:
            raise
        if failure := system_failure(error):
            _end(visible(failure), 1)
        _end(
            f"a bug, please report it: {type(error).__name__}: {error} "
            "(hpbench --debug ... shows where)",
            70,
        )
    sys.exit(code)  # 130 after Ctrl-C


def _refuse_little_address_space() -> None:
    """OpenBLAS crashes, and pyarrow waits for ever, where a thread's stack cannot be mapped."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _hard = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise HpbenchError(
            f"the address space is limited to {limit / 2**30:.1f} GiB ('ulimit -v'), in which "
            "libraries crash or hang; allow 4 GiB, or limit the memory of a container"
        )


def _interrupt(*_: object) -> NoReturn:
    """Stop in order; if that takes long, a second Ctrl-C ends the process whatever it waits for."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _end(message: str, code: int) -> NoReturn:
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        sys.exit(130)  # after Ctrl-C; in the middle of an import, it becomes an ImportError
    typer.echo(f"hpbench: {message}", err=True)
    sys.exit(code)
