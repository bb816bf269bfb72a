"""What a user's mistake looks like: one line on stderr and exit code 1, never a traceback. So does a signal that ends
a program, from the script's first lines on.
"""

import contextlib
import os
import signal
import sys
import time

# What ends a program: Ctrl-C, `kill`, a terminal that closes, a scheduler's warning. (The latter two: POSIX only.)
ENDING = tuple(getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, n))
ONE_SIGNAL = 1.0  # seconds in which signals are one wish: after Ctrl-C a launcher sends its processes SIGTERM, too

_outcome: int | None = None  # the exit code, once the work is over and told


class InputError(Exception):
    """The input, not the program, is at fault. Its text is one line naming the file and the reason."""


class CommandError(InputError):
    """The command line is at fault, in a way that argparse cannot see: exit code 2."""


class Interrupted(BaseException):
    """A signal of ENDING but Ctrl-C arrived; unwinds the stack as Ctrl-C does, so that every `finally` runs."""


@contextlib.contextmanager
def signals_held():
    """The signals of ENDING wait until this block is left: for what must not be cut in two, or would swallow them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_on_signals():
    """A signal of ENDING is one line on stderr and exit code 1, at once: for a script's first lines, before it imports
    what takes seconds to load and would pass an exception on as a traceback, or swallow it."""
    for number in _heard():
        signal.signal(number, _leave)


def _heard():
    """The signals of ENDING but those that whoever started the program had it ignore, as nohup does."""
    return [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]


def _leave(number, frame):
    if _outcome is None:
        with contextlib.suppress(OSError):
            os.write(2, f"error: {_words(number)}\n".encode())
    os._exit(1 if _outcome is None else _outcome)


def _words(number) -> str:
    return "interrupted" if number == signal.SIGINT else f"terminated by {signal.Signals(number).name}"


def run_main(main, argv=None):
    """Run `main(argv)` for a script and leave the process with the contract's exit codes.

    Args:
      main: a function of the command line (list of str, or None for sys.argv[1:]) that returns None or an exit code.
      argv: the command line, or None.

    Exits 0 when the work is done, 1 when it failed (one line on stderr; also where the system refused a file or the
    memory, or a signal of ENDING ended it), 2 when the command line is wrong.
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
            code = _code_of(main, argv)
        except KeyboardInterrupt:
            code = failed("interrupted")
        except Interrupted as reason:
            code = failed(reason)
        _outcome = code or 0
    except (KeyboardInterrupt, Interrupted):  # a second one, while the first was told
        _outcome = 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # told already; Python's own last flush shall not tell it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_outcome)


def _code_of(main, argv):
    """The exit code of `main(argv)`, what failed in it told."""
    try:
        code = main(argv)
        if sys.stdout:  # None where it was closed
            sys.stdout.flush()
        return code
    except CommandError as error:
        return _refused(error)
    except InputError as error:
        return failed(error)
    except BrokenPipeError:  # the reader, `head` say, has gone
        return 1
    except OSError as error:  # a name too long, a folder that may not be entered, a full disk
        return failed(f"{error.filename}: {error.strerror}" if error.filename is not None else error)
    except MemoryError:
        return failed("not enough memory")


def _refused(reason) -> int:
    """Say what is wrong with the command line, as argparse does; the exit code."""
    from data_prep.printing import printable

    folder, script = os.path.split(sys.argv[0])
    program = f"python -m {os.path.basename(folder)}" if script == "__main__.py" else script
    told = printable(" ".join(str(reason).split()))
    print(f"usage: {program} --help shows the options\n{program}: error: {told}", file=sys.stderr)
    return 2


def failed(reason) -> int:
    """Say in one line why the work failed; the exit code."""
    from data_prep.printing import printable  # here, so that a script's first lines are soon done

    print("error:", printable(" ".join(str(reason).split())), file=sys.stderr)
    return 1
