"""Users' errors: one line on stderr and exit code 1, never a traceback. Signals that end a program likewise, from a
script's first lines on."""

import contextlib
import os
import signal
import sys
import time

# What ends a program: Ctrl-C, `kill`, a terminal that closes, a scheduler's warning. (The latter two: POSIX only.)
ENDING = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, n))
# Seconds within which further signals count as the same one: after Ctrl-C a launcher sends its processes SIGTERM, too.
ONE_SIGNAL = 1.0

_outcome: int | None = None  # the exit code, once the work is over and told
_ends_the_process = False  # whether this is a script, which ends with run_main


class InputError(Exception):
    """The input is at fault, not the program. The message is one line with the file and the reason."""


class CommandError(InputError):
    """The command line is wrong in a way that argparse cannot see: exit code 2."""


class Interrupted(BaseException):
    """A signal of ENDING other than Ctrl-C; unwinds the stack like Ctrl-C, so that every `finally` runs."""


@contextlib.contextmanager
def signals_held():
    """Hold the signals of ENDING until the block ends: for code that must not be interrupted, or would swallow them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_on_signals():
    """Make a signal of ENDING print one line and exit with code 1 at once: for a script's first lines, before slow
    imports that would turn an exception into a traceback or swallow it."""
    global _ends_the_process
    _ends_the_process = True
    for number in _heard():
        signal.signal(number, _leave)


def _heard():
    """Signals of ENDING, less those ignored when the program started (nohup)."""
    return [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]


def _leave(number, frame):
    if _outcome is None:
        with contextlib.suppress(OSError):
            os.write(2, f"error: {_words(number)}\n".encode())
    os._exit(1 if _outcome is None else _outcome)


def _words(number) -> str:
    return "interrupted" if number == signal.SIGINT else f"terminated by {signal.Signals(number).name}"


def run_main(main, argv=None, program=None):
    """Run `main(argv)` for a script and exit.

    Args:
      main: function of the command line (list of str, or None for sys.argv[1:]); returns None or an exit code.
      argv: the command line, or None.
      program: what is typed before it; None for the script that runs.

    Exit codes: 0 for success; 1 for failure (one line on stderr), including refusals by the system, too little memory
    and signals of ENDING; 2 for a wrong command line.
    """
    global _outcome
    last = -ONE_SIGNAL

    def end(number, frame):
        nonlocal last
        since, last = time.monotonic() - last, time.monotonic()
        if since >= ONE_SIGNAL:
            raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(_words(number))

    if sys.platform == "win32":
        sys.exit(failed("Windows is not supported: run this in WSL 2, or on Linux or macOS"))

    if hasattr(sys.stdout, "reconfigure"):  # a file name need not be Unicode, nor the terminal know all of it
        sys.stdout.reconfigure(errors="backslashreplace")
    before = {number: signal.getsignal(number) for number in _heard()}
    try:
        try:
            for number in before:
                signal.signal(number, end)
            code = _code_of(main, argv, program)
        except KeyboardInterrupt:
            code = failed("interrupted")
        except Interrupted as reason:
            code = failed(reason)
        _outcome = code or 0
    except (KeyboardInterrupt, Interrupted):  # a second one, while the first was told
        _outcome = 1
    finally:
        for number, handler in before.items():  # Python's own end resets handlers, so that a late signal would kill
            signal.signal(number, signal.SIG_IGN if _ends_the_process else handler)
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # told already; Python's own last flush shall not tell it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_outcome)


def _code_of(main, argv, program):
    """Run `main(argv)`, report its failure, and return the exit code."""
    try:
        code = main(argv)
        if sys.stdout:  # None where it was closed
            sys.stdout.flush()
        return code
    except CommandError as error:
        return _refused(error, program)
    except InputError as error:
        return failed(error)
    except BrokenPipeError:  # the reader, `head` say, has gone
        return 1
    except OSError as error:  # a name too long, a folder that may not be entered, a full disk
        return failed(f"{error.filename}: {error.strerror}" if error.filename is not None else error)
    except MemoryError:
        return failed("not enough memory")


def _refused(reason, program) -> int:
    """Report a wrong command line as argparse does; returns the exit code."""
    from data_prep.printing import printable

    program = program or os.path.basename(sys.argv[0])
    told = printable(" ".join(str(reason).split()))
    print(f"usage: {program} --help shows the options\n{program}: error: {told}", file=sys.stderr)
    return 2


def failed(reason) -> int:
    """Report a failure in one line; returns the exit code."""
    from data_prep.printing import printable  # here, so that a script's first lines are soon done

    print("error:", printable(" ".join(str(reason).split())), file=sys.stderr)
    return 1
