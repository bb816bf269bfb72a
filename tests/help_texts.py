"""What a program's --help says, without starting Python and importing torch anew for each."""

import os
import runpy
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def help_of(program):
    """(exit code, what was written) of `python PROGRAM --help`, run in a fork of this process.

    Args:
      program: the words after `python`: a path from the root, or -m and a package, and what follows.
    """
    import torch  # noqa: F401 - here, so that forks have it

    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _run(program, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def _run(program, writing):
    """Be the program, with both outputs into a pipe; does not return."""
    code = 1
    try:
        os.chdir(ROOT)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        sys.stdout = sys.stderr = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        module = program[1] if program[0] == "-m" else None
        sys.argv = [*(program[1:] if module else program), "--help"]
        if module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str((ROOT / program[0]).parent)
            runpy.run_path(str(ROOT / program[0]), run_name="__main__")
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    except BaseException:  # so that no test goes on in the child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
