"""The command line.

``dexar demo | explain | compare | check | evaluate | report | reproduce | lab | workshop | plugin | models | doctor``

Every verb is a file of this folder; torch, transformers and pandas load inside the verbs, so that
``dexar --help`` answers at once.
"""

import errno
import io
import logging
import os
import sys
import traceback
from collections.abc import Sequence

import typer

from dexar_widgets.cli import (
    check,
    compare,
    demo,
    doctor,
    evaluate,
    explain,
    lab,
    models,
    plugin,
    reproduce,
    results,
    workshop,
)

__all__ = ["app", "main"]

# click's ClickException, wherever this version of typer keeps it
_Refusal: type[Exception] = typer.BadParameter.__mro__[2]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_INTERRUPTED = 130  # as shells say it: 128 and the number of SIGINT

app = typer.Typer(
    name="dexar",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"dexar_widgets {version('dexar-widgets')}")
        raise typer.Exit


@app.callback()
def _dexar(
    *,
    version: bool = typer.Option(
        False, "--version", callback=lambda value: _version(value=value), is_eager=True, help="Print the version."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error (may stand anywhere)."),
) -> None:
    """Why did this vision-language model say that? Word by word, which image regions drove the answer.

    Exit status: 0 done, 1 done in part or failed, 2 the input or an option is wrong.
    """


demo.add(app)
explain.add(app)
compare.add(app)
check.add(app)
evaluate.add(app)
results.add(app)
reproduce.add(app)
lab.add(app)
workshop.add(app)
plugin.add(app)
models.add(app)
doctor.add(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``dexar`` and return its exit status: 0 done, 1 failed, 2 bad input (one line on stderr)."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    _quiet(debug=debug)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without × or █ gets a question mark
            stream.reconfigure(errors="replace")
    try:
        status = app(given, prog_name="dexar", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted.", _INTERRUPTED, debug=debug)
    except _Refusal as error:
        text: str = error.format_message()  # type: ignore[attr-defined]
        return _fail(f"{text.rstrip('.')} (see dexar {_verb(given)}--help).", 2, debug=debug)
    except MemoryError as error:
        default = "out of memory; a smaller model, --dtype bfloat16 or --keep summary needs less."
        return _fail(str(error) or default, 1, debug=debug)
    except BrokenPipeError:  # the reader of our output went away: nothing to report, nobody to report to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        if getattr(error, "errno", None) in _FULL:
            return _fail(
                f"{_sentence(error)} What was written stays; once there is room, the same again goes on.",
                1,
                debug=debug,
            )
        return _fail(_sentence(error), 2, debug=debug)
    except Exception as error:  # noqa: BLE001 (the last line of defence: one line, the traceback on request)
        if type(error).__name__ == "OutOfMemoryError":
            return _fail("the accelerator is out of memory; try --device cpu or --dtype bfloat16.", 1, debug=debug)
        return _fail(f"unexpected {type(error).__name__}: {_sentence(error)} (--debug shows where).", 1, debug=debug)
    if status == _INTERRUPTED:  # newer versions of typer catch Ctrl-C themselves
        return _fail("interrupted.", _INTERRUPTED, debug=debug)
    return status if isinstance(status, int) else 0


def _verb(given: Sequence[str]) -> str:
    verbs = {*(one.name for one in app.registered_commands), *(one.name for one in app.registered_groups)}
    return next((f"{word} " for word in given if word in verbs), "")


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return " ".join(str(error).split()) or type(error).__name__


def _fail(message: str, status: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"dexar: {message}\n")
    return status


def _quiet(*, debug: bool) -> None:
    """Third-party chatter is for --debug; what matters is in the notices that the verbs print."""
    if debug:
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    for name in ("dexar_widgets", "torch.utils._pytree", "torchao"):
        logging.getLogger(name).setLevel(logging.ERROR)
    import warnings

    warnings.filterwarnings("ignore", module=r"(PIL|transformers|torch|huggingface_hub)\b")
