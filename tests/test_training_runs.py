"""A run's folder: begun or continued by one command, one process at a time, on the data and options it began with."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import h5py
import pytest
from data_makers import is_one_line
from training_commands import (
    TORCHRUN,
    children,
    command,
    run,
    started,
    step_of,
    wait_until,
)

import train_inpaint
from data_prep.errors import InputError
from inpaint import checkpoints
from inpaint.config import Config, from_dict
from inpaint.training import run as lifecycle

LENGTHS_AND_PLACES = {"data", "out", "epochs", "steps", "minutes", "device"}
SPEED_AND_SIGHT = {"accumulate", "precision", "compile", "workers", "checkpoint_every", "keep", "evaluate_every"}
OTHER = {  # a valid value that differs from SMALL's and the default
    "decoder": "gated", "likelihood": "gaussian", "size": "s", "tower": "ift6266", "use_captions": False,
    "caption_injection": "all", "inner": "contour", "levels": 4, "binarize": "fixed", "color_conditioning": False,
    "width": 8, "blocks": 2, "layer_norm": False, "residual_connections": False, "skip_connections": False,
    "dilation": False, "head_width": 6, "dropout": 0.5, "batch_size": 8, "optimizer": "adamw", "lr": 0.1,
    "caption_lr": 0.5, "schedule": "constant", "warmup": 3, "weight_decay": 0.5, "beta2": 0.5, "clip_norm": 2.0,
    "ema_decay": 0.5, "flip": False, "crop": 0.5, "shift": 9, "jitter": 0.5, "caption_dropout": 0.9, "seed": 7,
    "init_from": "x.pt", "val_limit": 3, "relu_clip": 10.0, "map_sigmoid": False, "map_layers": "both",
    "kernel_size": 5, "bottleneck": False, "position": False, "input_shortcuts": True,
    "convolutions": 2, "attention": "gated", "concat_elu": False, "predictors": False, "xavier": True,
    "head_layers": 1, "head_activation": "relu", "masks": "mixed", "captions_at_once": 3, "caption_loss": 2.0,
    "error_energy": True, "shift_share": 0.5, "shrink_share": 0.5, "word_vectors": True, "components": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def a_run(demo_file, tmp_path_factory):
    """A run of two steps, in this process: the folder and its command line."""
    folder = tmp_path_factory.mktemp("run") / "run"
    words = [*command(demo_file, folder)[2:], "--steps", "2"]
    train_inpaint.main(words)
    return folder, words


@pytest.fixture
def copied(a_run, tmp_path):
    """A copy of it, and its command line with --resume."""
    folder, words = a_run
    shutil.copytree(folder, tmp_path / "run")
    return tmp_path / "run", [*(str(tmp_path / "run") if word == str(folder) else word for word in words), "--resume"]


def assert_untouched(folder, like):
    for path in like.glob("*.pt"):
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert (folder / "config.json").read_bytes() == (like / "config.json").read_bytes()


def test_the_same_command_begins_a_run_and_then_continues_it_and_says_which(demo_file, tmp_path, capsys):
    words = [*command(demo_file, tmp_path / "run")[2:], "--resume"]
    train_inpaint.main([*words, "--steps", "2"])
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{tmp_path / 'run'}: no run to continue: one begins"
    train_inpaint.main([*words, "--steps", "3"])
    assert capsys.readouterr().err.splitlines()[0] == f"{tmp_path / 'run'}: continues at step 2 (steps 3, was 2)"
    assert step_of(tmp_path / "run") == 3


def test_a_run_killed_before_its_first_checkpoint_begins_again_with_its_options(demo_file, tmp_path, capsys):
    """config.json is there, last.pt is not yet; the options need not be given again."""
    folder = tmp_path / "run"
    folder.mkdir()
    settings = Config(data=str(demo_file), out="elsewhere", size="xs", batch_size=2, steps=1, seed=5, val_limit=2)
    (folder / "config.json").write_text(json.dumps(settings.to_dict()))
    train_inpaint.main(["--out", str(folder), "--resume"])
    assert "one begins" in capsys.readouterr().err
    saved = checkpoints.read(folder / "last.pt")
    assert (saved["config"]["seed"], saved["config"]["batch_size"], saved["config"]["out"]) == (5, 2, str(folder))


def test_best_pt_of_a_run_without_a_checkpoint_is_kept_when_one_begins(copied, capsys):
    """Killed after its first evaluation and before its first checkpoint; nothing good is lost."""
    folder, words = copied
    best = (folder / "best.pt").read_bytes()
    (folder / "last.pt").unlink()
    with pytest.raises(InputError, match=r"best\.pt: this folder holds a run already"):
        train_inpaint.main(words[:-1])
    train_inpaint.main(words)
    assert (folder / "best-1.pt").read_bytes() == best and "kept as" in capsys.readouterr().err


def test_config_json_that_is_lost_is_read_from_the_checkpoint(copied, capsys):
    folder, _ = copied
    (folder / "config.json").unlink()
    train_inpaint.main(["--out", str(folder), "--resume", "--steps", "3"])
    said = capsys.readouterr().err
    assert "continues at step 2 (" in said and "steps 3, was 2" in said
    assert step_of(folder) == 3


def test_a_run_of_a_version_before_an_option_was_there_continues_with_its_default_and_with_no_other(copied):
    folder, words = copied
    saved = checkpoints.read(folder / "last.pt")
    for part in ("model", "config"):
        del saved[part]["word_vectors"], saved[part]["masks"]
    checkpoints.save(folder / "last.pt", dict(saved))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"last\.pt: the checkpoint is of another model: masks differ"):
        train_inpaint.main([*words, "--steps", "3", "--masks", "mixed"])
    train_inpaint.main([*words, "--steps", "3"])
    assert step_of(folder) == 3


def test_a_moved_run_continues_where_it_is_now(copied, a_run, tmp_path, monkeypatch):
    """In the folder that a run goes to by itself, with a config.json that names the folder it was begun in."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs") / "contour-bernoulli"
    folder.parent.mkdir()
    copied[0].rename(folder)
    train_inpaint.main(["--resume", "--steps", "3"])
    assert step_of(folder) == 3 and step_of(a_run[0]) == 2


def test_the_only_checkpoint_left_is_offered_and_no_run_begins_over_it(copied):
    """A lost last.pt beside last-1.pt: what a user can rename is not run over."""
    folder, words = copied
    (folder / "last.pt").rename(folder / "last-1.pt")
    (folder / "best.pt").unlink()
    with pytest.raises(InputError, match=r"last\.pt: has gone, but .*last-1\.pt is there: copy it"):
        train_inpaint.main(words)
    assert step_of(folder, "last-1.pt") == 2


def test_every_option_is_one_that_may_change_or_one_that_may_not():
    """Decided for each option by its field; this is what was decided."""
    may_change = {name for name, key in Config.__dataclass_fields__.items() if key.metadata.get("may_change")}
    assert may_change == LENGTHS_AND_PLACES | SPEED_AND_SIGHT
    assert set(OTHER) == set(Config.__dataclass_fields__) - may_change


def test_a_run_does_not_continue_with_an_option_that_changes_what_is_learnt(a_run):
    """Each such option, one at a time."""
    path = a_run[0] / "last.pt"
    saved = checkpoints.read(path)
    content, config = saved["provenance"], from_dict(saved["config"], "config")
    for name, value in OTHER.items():
        now = getattr(config, name)
        assert now != value
        other = {**saved, "config": {**saved["config"], name: value}}
        with pytest.raises(InputError) as refused:
            lifecycle.compare(path, other, config, content, allow_other_data=True)
        assert f"last.pt: the run cannot continue: {name} {now!r}, was {value!r} (" in str(refused.value)
    assert lifecycle.compare(path, saved, config, content, allow_other_data=False) == []


def test_other_seeds_batches_and_augmentation_on_the_command_line_are_refused(copied, a_run):
    """All in one line, and nothing is changed."""
    folder, words = copied
    other = "--seed 1 --batch-size 2 --no-flip --crop 0.5 --shift 1 --jitter 0.5 --caption-dropout 0.5 --steps 3"
    with pytest.raises(InputError, match="the run cannot continue") as refused:
        train_inpaint.main([*words, *other.split()])
    said = str(refused.value)
    for phrase in ("seed 1, was 0", "batch_size 2, was 4", "flip False, was True", "crop 0.5, was 0.75", "steps"):
        assert (phrase in said) == (phrase != "steps")
    assert all(phrase in said for phrase in ("shift 1, was 3", "jitter 0.5, was 0.1", "caption_dropout 0.5, was 0.1"))
    assert_untouched(folder, a_run[0])


def test_what_may_change_is_told_and_the_run_continues(copied, capsys):
    folder, words = copied
    words += ["--steps", "3", "--checkpoint-every", "7", "--keep", "4", "--workers", "1", "--accumulate", "2"]
    train_inpaint.main(words)
    said = capsys.readouterr().err.splitlines()[0]
    for phrase in ("steps 3, was 2", "checkpoint_every 7, was 2", "keep 4, was 2", "workers 1, was 0"):
        assert phrase in said
    assert "accumulate 2, was 1" in said and step_of(folder) == 3


def changed(demo_file, path, what):
    """A copy of the data of which one thing differs, its checksum right."""
    shutil.copyfile(demo_file, path)
    with h5py.File(path, "r+") as file:
        if what == "captions":
            file["train/captions"][0] ^= 1
        else:
            file[what].attrs["sha256"] = "0" * 64
    return path


@pytest.mark.parametrize(
    "what, told", [("train", "the photos of train"), ("val", "the photos of val"), ("captions", "the captions")]
)
def test_other_data_are_refused_or_with_the_option_told(what, told, copied, a_run, demo_file, tmp_path, capsys):
    folder, words = copied
    other = str(changed(demo_file, tmp_path / "other.h5", what))
    words += ["--data", other, "--steps", "3"]
    with pytest.raises(InputError, match=f"last.pt: the run cannot continue: {told} in {other}") as refused:
        train_inpaint.main(words)
    assert "--allow-other-data" in str(refused.value)
    assert_untouched(folder, a_run[0])
    capsys.readouterr()
    train_inpaint.main([*words, "--allow-other-data"])
    assert f"{told} in {other} are not those that it began with" in capsys.readouterr().err
    train_inpaint.main(words)  # it is of these data now
    with pytest.raises(InputError, match="batch_size"):  # the option is for the data alone
        train_inpaint.main([*words, "--allow-other-data", "--batch-size", "2"])


def test_the_best_so_far_counts_no_longer_when_val_is_another(copied, demo_file, tmp_path):
    folder, words = copied
    checkpoint = checkpoints.read(folder / "last.pt")
    checkpoint["progress"]["best"] = 1.0
    checkpoints.save(folder / "last.pt", checkpoint)
    words += ["--data", str(changed(demo_file, tmp_path / "other.h5", "val")), "--allow-other-data", "--steps", "3"]
    train_inpaint.main(words)
    assert step_of(folder, "best.pt") == 3


def test_a_checkpoint_from_before_these_were_stored_continues(copied):
    """Older checkpoints know the photos of train only, and not every option."""
    folder, words = copied
    checkpoint = checkpoints.read(folder / "last.pt")
    for name in ("val_sha256", "captions_sha256"):
        del checkpoint["provenance"][name]
    for name in ("crop", "val_limit", "caption_lr"):
        del checkpoint["config"][name]
    checkpoints.save(folder / "last.pt", checkpoint)
    train_inpaint.main([*words, "--steps", "3"])
    assert step_of(folder) == 3


def test_the_same_data_under_another_name_continue(copied, demo_file, tmp_path, capsys):
    _, words = copied
    shutil.copyfile(demo_file, tmp_path / "moved.h5")
    train_inpaint.main([*words, "--data", str(tmp_path / "moved.h5"), "--steps", "3"])
    assert "data '" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "best.pt", "last.pt"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_of_another_program_is_not_replaced_by_a_run(name, resume, demo_file, tmp_path):
    """One line, and with --overwrite a run."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).write_text('{"mine": true}')
    words = [*command(demo_file, folder, "--steps", "1")[2:], *(["--resume"] if resume else [])]
    with pytest.raises(InputError, match=name):
        train_inpaint.main(words)
    assert (folder / name).read_text() == '{"mine": true}'
    if not resume:
        train_inpaint.main([*words, "--overwrite"])
        assert step_of(folder) == 1


def test_allow_other_data_without_resume_is_a_wrong_command_line(demo_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        train_inpaint.main([*command(demo_file, tmp_path)[2:], "--allow-other-data"])
    assert left.value.code == 2 and "--resume" in capsys.readouterr().err


def test_a_second_run_in_one_folder_is_refused_in_one_line(demo_file, tmp_path):
    """Before the first checkpoint and after, first start and --resume alike."""
    folder = tmp_path / "run"
    options = ["--steps", "100000", "--checkpoint-every", "50", "--evaluate-every", "100000"]
    process = started(command(demo_file, folder, *options), start_new_session=True)
    second = command(demo_file, folder, *options, "--seed", "1")
    try:
        wait_until((folder / "config.json").exists, process)
        done = run(second)
        assert is_one_line(done) and str(folder) in done.stderr, done.stderr
        for awaited in ("config.json", "last.pt"):
            wait_until((folder / awaited).exists, process)
            for resume in ([], ["--resume"]):
                reason = "another process is training in this folder|holds a run already"
                with pytest.raises(InputError, match=reason):
                    train_inpaint.main([*second[2:], *resume])
            assert json.loads((folder / "config.json").read_text())["seed"] == 0
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and "saved at step" in errors
        assert checkpoints.read(folder / "last.pt")["config"]["seed"] == 0
    finally:
        process.kill()


def test_the_lock_of_a_killed_run_is_free(demo_file, tmp_path):
    """The loader's processes do not hold it either."""
    words = command(demo_file, tmp_path, "--steps", "100000", "--workers", "2", "--resume")
    process = started(words)
    wait_until((tmp_path / "last.pt").exists, process)
    process.kill()
    process.communicate()
    done = run(command(demo_file, tmp_path, "--steps", str(step_of(tmp_path) + 1), "--resume"))
    assert done.returncode == 0, done.stderr


def test_two_launched_processes_refuse_a_folder_in_use_and_end(demo_file, tmp_path):
    """Only the process of rank 0 says so, and none waits for the other."""
    holder = (
        "import sys, time; from data_prep.locks import held\nwith held(sys.argv[1], ''): print(flush=True); input()"
    )
    words = [sys.executable, "-c", holder, tmp_path / "lock"]
    process = started(words, stdin=-1, cwd=Path(train_inpaint.__file__).parent)
    process.stdout.readline()
    done = run(command(demo_file, tmp_path, launcher=TORCHRUN))
    process.communicate("\n")
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and said == [f"error: {tmp_path}: another process is training in this folder"]
    assert not (tmp_path / "config.json").exists()


@pytest.mark.slow
def test_a_killed_worker_is_started_again_by_torchrun_and_the_run_continues(demo_file, tmp_path):
    """torchrun --max-restarts with the one command; each rank in turn is killed."""
    out = tmp_path / "run"
    launcher = [*TORCHRUN, "--max-restarts", "3", "--monitor-interval", "0.1"]
    words = command(demo_file, out, "--resume", "--steps", "1000", "--checkpoint-every", "5", launcher=launcher)

    def continued():
        return (tmp_path / "stderr").read_text().count("continues at step")

    with (tmp_path / "stderr").open("w") as errors:
        process = started([*words, "--evaluate-every", "1000"], stderr=errors)
        for restarts, victim in enumerate((1, 0), start=1):
            wait_until((out / "last.pt").exists, process)
            assert process.poll() is None, (tmp_path / "stderr").read_text()
            os.kill(children(process.pid)[victim], signal.SIGKILL)
            wait_until(lambda restarts=restarts: continued() == restarts, process)
        before = (out / "last.pt").stat().st_mtime_ns
        wait_until(lambda: (out / "last.pt").stat().st_mtime_ns > before, process)  # it trains: a signal saves
        process.terminate()
        process.communicate(timeout=100)
    said = (tmp_path / "stderr").read_text()
    assert said.count("no run to continue: one begins") == 1 and said.count("continues at step") == 2, said
    assert said.count("stopped: SIGTERM; saved at step") == 1


@pytest.mark.slow
def test_two_launchers_train_one_run(demo_file, tmp_path):
    """torchrun --nnodes 2 on the loopback; the second machine does not see the run's folder."""
    port = str(29400 + os.getpid() % 1000)
    outs = [tmp_path / "one" / "run", tmp_path / "two" / "run"]
    processes = []
    for rank, out in enumerate(outs):
        launcher = ["-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1"]
        launcher += ["--master-addr", "127.0.0.1", "--master-port", port]
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
        words = command(demo_file, out, "--resume", "--dropout", "0", launcher=launcher)
        processes.append(started(words, env=environment))
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert said[0].count("one begins") == 1 and "one begins" not in said[1]
    assert step_of(outs[0]) == 12 and not outs[1].exists()
    alone = run(command(demo_file, tmp_path / "alone", "--dropout", "0"))
    assert alone.returncode == 0, alone.stderr
    both = [checkpoints.read(folder / "last.pt")["progress"]["best"] for folder in (outs[0], tmp_path / "alone")]
    assert both[0] == pytest.approx(both[1], rel=1e-3)
