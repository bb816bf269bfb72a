"""A signal ends every command cleanly from its first lines on: one line on stderr and exit code 1, no traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from training_commands import command, hears_ctrl_c, run, started, wait_until

from data_prep import errors
from data_prep.errors import ENDING, run_main

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "train": [ROOT / "train_inpaint.py", "--data", "missing.h5"],
    "evaluate": [ROOT / "evaluate.py", "missing.pt"],
    "build": [ROOT / "data_prep" / "build_h5.py", "--demo", "--out", "demo.h5"],
    "inpaint": ["-m", "inpaint", "fill", "photo.jpg", "--checkpoint", "missing.pt", "--out", "out"],
}
HALF_WAY = """
import sys
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r} and "inpaint_waits" not in sys.modules:
            import time, types
            sys.modules["inpaint_waits"] = types.ModuleType("inpaint_waits")
            print("half way", flush=True)
            for _ in range(1000):
                time.sleep(0.02)
sys.meta_path.insert(0, Slow())
"""  # an import that takes long, of the module `name`


def test_these_signals_end_a_program():
    assert [number.name for number in ENDING] == ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"]


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_during_the_imports_is_one_line(program, number, tmp_path):
    """Half-way through the imports, each of which may swallow an exception or pass it on."""
    late = "data_prep.build" if program == "build" else "torch"
    (tmp_path / "sitecustomize.py").write_text(HALF_WAY.format(name=late))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    process = started([sys.executable, *PROGRAMS[program]], cwd=tmp_path, env=environment)
    assert process.stdout.readline() == "half way\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    word = "interrupted" if number == signal.SIGINT else f"terminated by {number.name}"
    assert (process.returncode, said) == (1, f"error: {word}\n")
    assert {path.name for path in tmp_path.iterdir()} <= {"sitecustomize.py", "__pycache__"}


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_signals_at_many_moments_are_one_line(program, tmp_path):
    """Every 40 ms from the script's first lines on, whatever it does then."""
    for number in range(60):
        which = ENDING[number % len(ENDING)]
        process = started([sys.executable, *PROGRAMS[program]], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ROOT})
        time.sleep(0.3 + 0.04 * number)
        process.send_signal(which)
        _, said = process.communicate(timeout=60)
        assert process.returncode in (0, 1), (number, said)
        assert "Traceback" not in said and said.count("error:") <= 1, (number, said)
        if process.poll() == 1:
            assert said.rstrip().splitlines()[-1].startswith("error: ")


def test_a_signal_before_the_first_step_is_one_line_and_leaves_no_checkpoint(demo_file, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HALF_WAY.format(name="torch.utils.tensorboard"))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    process = started(command(demo_file, tmp_path / "run"), env=environment)
    process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "error: terminated by SIGTERM\n") and not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_a_signal_during_training_is_told_in_the_contract_s_words(number, demo_file, tmp_path):
    """Exit code 1 and one line, since the work is not finished."""
    process = started(command(demo_file, tmp_path, "--steps", "100000", "--evaluate-every", "100000"))
    wait_until((tmp_path / "last.pt").exists, process)
    process.send_signal(number)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    assert said.startswith(f"error: {tmp_path}: stopped: {number.name}; saved at step ") and said.count("\n") == 1


def test_nohup_is_respected(demo_file, tmp_path):
    """A hangup that whoever started the program had it ignore stays ignored, while it loads and while it trains."""

    def as_nohup():
        hears_ctrl_c()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = started(command(demo_file, tmp_path), preexec_fn=as_nohup)
    for _ in range(10):
        time.sleep(0.1)
        process.send_signal(signal.SIGHUP)
    wait_until((tmp_path / "last.pt").exists, process)
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said


def raising_in(words, number):
    """How a small script ends that gets a signal where `words` stand."""
    script = f"""
import os, signal, sys, time
sys.path.insert(0, {str(ROOT)!r})
from data_prep.errors import exit_on_signals, run_main
exit_on_signals()
def kill(): os.kill(os.getpid(), {int(number)}); time.sleep(0.2)
def main(argv):
{words}
run_main(main)
"""
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, preexec_fn=hears_ctrl_c
    )


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_a_signal_in_main_runs_what_puts_things_in_order_and_a_second_one_does_not_cut_it_short(number):
    words = "    try:\n        kill()\n    finally:\n        kill()\n        print('in order', flush=True)"
    done = raising_in(words, number)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "in order\n", 1), done.stderr


def test_a_signal_after_the_work_is_done_changes_nothing():
    """While Python tears down: the exit code is that of the work, and nothing more is said."""
    words = "    import atexit; atexit.register(kill)\n    print('done', flush=True)"
    for number in ENDING:
        done = raising_in(words, number)
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_run_main_puts_the_handlers_back():
    before = [signal.getsignal(number) for number in ENDING]
    with pytest.raises(SystemExit):
        run_main(lambda argv: None, [])
    assert [signal.getsignal(number) for number in ENDING] == before
    errors._outcome = None


def test_importing_the_package_brings_no_torch_and_its_names_do():
    """`python -m inpaint` imports the package before its first own line."""
    code = "import sys, inpaint; assert 'torch' not in sys.modules; from inpaint import fill, load; print(dir(inpaint))"
    done = run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 0 and "'fill'" in done.stdout and "'load'" in done.stdout, done.stderr
