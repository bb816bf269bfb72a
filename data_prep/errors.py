"""What a user's mistake looks like: one line on stderr and exit code 1, never a traceback."""

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from data_prep.printing import printable


class InputError(Exception):
    """The input, not the program, is at fault. Its text is one line naming the file and the reason."""


class CommandError(InputError):
    """The command line is at fault, in a way that argparse cannot see: exit code 2."""


class Interrupted(BaseException):
    """SIGTERM arrived; unwinds the stack as Ctrl-C does, so that every `finally` runs."""


@contextmanager
def signals_held():
    """Ctrl-C and SIGTERM wait until this block is left: for what must not be cut in two, or would swallow them."""
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_main(main, argv=None):
    """Run `main(argv)` for a script and leave the process with the contract's exit codes.

    Args:
      main: a function of the command line (list of str, or None for sys.argv[1:]) that returns None or an exit code.
      argv: the command line, or None.

    Exits 0 when the work is done, 1 when it failed (one line on stderr; also where the system refused a file or the
    memory, or Ctrl-C or SIGTERM ended it), 2 when the command line is wrong.
    """

    if sys.platform == "win32":
        sys.exit(_failed("Windows is not supported: run this in WSL 2, or on Linux or macOS"))

    def terminate(signum, frame):
        raise Interrupted

    signal.signal(signal.SIGTERM, terminate)
    if hasattr(sys.stdout, "reconfigure"):  # a file name need not be Unicode, nor the terminal know all of it
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main(argv)
        if sys.stdout:  # None where it was closed
            sys.stdout.flush()
    except CommandError as error:
        code = _refused(error)
    except InputError as error:
        code = _failed(error)
    except BrokenPipeError:  # the reader, `head` say, has gone
        code = 1
    except OSError as error:  # a name too long, a folder that may not be entered, a full disk
        code = _failed(f"{error.filename}: {error.strerror}" if error.filename is not None else error)
    except MemoryError:
        code = _failed("not enough memory")
    except KeyboardInterrupt:
        code = _failed("interrupted")
    except Interrupted:
        code = _failed("terminated")
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # told already; Python's own last flush shall not tell it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code or 0)


def _refused(reason) -> int:
    """Say what is wrong with the command line, as argparse does; the exit code."""
    script = Path(sys.argv[0])
    program = f"python -m {script.parent.name}" if script.name == "__main__.py" else script.name
    told = printable(" ".join(str(reason).split()))
    print(f"usage: {program} --help shows the options\n{program}: error: {told}", file=sys.stderr)
    return 2


def _failed(reason) -> int:
    """Say in one line why the work failed; the exit code."""
    print("error:", printable(" ".join(str(reason).split())), file=sys.stderr)
    return 1
