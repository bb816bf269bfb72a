"""Training: resumed equals never stopped, two processes equal one, checkpoints are safe, and losses go down."""

import gc
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
import torch
from checkpoint_makers import save_fresh
from PIL import Image
from soak import of_tensors
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_commands import TORCHRUN, children, command, run

import inpaint
import models
from data_prep.errors import InputError
from inpaint import checkpoints
from inpaint.config import Config, from_dict
from inpaint.training.trainer import Trainer


def weights(folder, name="last.pt", key="weights"):
    return checkpoints.read(folder / name)[key]


def assert_same(a, b, **tolerance):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], **tolerance or {"atol": 0, "rtol": 0}, msg=name)


@pytest.fixture(scope="module")
def uninterrupted(root, demo_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    done = run(command(demo_file, out))
    assert done.returncode == 0, done.stderr
    return out


def test_a_run_leaves_what_the_contract_names(uninterrupted, demo_file):
    assert {"last.pt", "best.pt", "config.json"} <= {path.name for path in uninterrupted.iterdir()}
    assert json.loads((uninterrupted / "config.json").read_text())["batch_size"] == 4
    log = EventAccumulator(str(uninterrupted), size_guidance={"images": 0}).Reload()
    scalars = set(log.Tags()["scalars"])
    assert {
        "val/nats_per_image",
        "val/nats_per_pixel",
        "val/excess_nats_per_image",
    } <= scalars and "val/bits_per_dim" not in scalars
    assert [event.step for event in log.Scalars("val/nats_per_image")] == [5, 10, 12]
    assert log.Tags()["images"] == ["panel/original_border_samples_mean"]
    assert any("caption" in tag for tag in log.Tags()["tensors"])


@pytest.mark.parametrize(
    ("has", "precision", "dtype"), [(True, "bf16", torch.bfloat16), (False, "fp32", torch.float32)]
)
def test_bfloat16_is_the_default_where_the_processor_multiplies_in_it(
    has, precision, dtype, demo_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has}, raising=False)
    trainer = Trainer(Config(data=str(demo_file), out=str(tmp_path), size="xs"), torch.device("cpu"))
    assert trainer.config.precision == precision
    assert trainer.learner.optimizer._optimizers["muon"].dtype == dtype
    chosen = Config(data=str(demo_file), out=str(tmp_path), size="xs", precision="bf16")
    assert Trainer(chosen, torch.device("cpu")).config.precision == "bf16"


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_a_run_that_was_stopped_and_resumed_equals_one_that_never_was(root, demo_file, tmp_path, uninterrupted, kill):
    process = subprocess.Popen(command(demo_file, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (tmp_path / "last.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(kill)
    _, errors = process.communicate(timeout=100)
    assert b"Traceback" not in errors
    assert process.returncode == (-signal.SIGKILL if kill == signal.SIGKILL else 1)
    assert 0 < checkpoints.read(tmp_path / "last.pt")["progress"]["step"] < 12
    done = run([sys.executable, str(root / "train_inpaint.py"), "--out", str(tmp_path), "--resume"])
    assert done.returncode == 0, done.stderr
    for key in ("weights", "averaged"):
        assert_same(weights(tmp_path, key=key), weights(uninterrupted, key=key))
    assert_same(weights(tmp_path, "best.pt", "averaged"), weights(uninterrupted, "best.pt", "averaged"))
    log = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in log.Scalars("val/nats_per_image")] == [5, 10, 12]


def test_resuming_a_run_that_is_over_changes_nothing(root, tmp_path, uninterrupted):
    shutil.copytree(uninterrupted, tmp_path / "run")
    done = run([sys.executable, str(root / "train_inpaint.py"), "--out", str(tmp_path / "run"), "--resume"])
    assert done.returncode == 0, done.stderr
    before, after = (checkpoints.read(folder / "last.pt") for folder in (uninterrupted, tmp_path / "run"))
    for key in ("weights", "averaged", "optimizer"):
        assert of_tensors(after[key]) == of_tensors(before[key]), key
    assert after["progress"]["step"] == before["progress"]["step"] == 12


@pytest.mark.parametrize("optimizer", [pytest.param("adamw", marks=pytest.mark.slow), "muon"])
def test_two_processes_train_as_one_does(optimizer, demo_file, tmp_path):
    options = ("--dropout", "0", "--optimizer", optimizer)
    done = run(
        command(demo_file, tmp_path, *options, launcher=TORCHRUN),
        env=dict(os.environ, OMP_NUM_THREADS="1"),
    )
    assert done.returncode == 0, done.stderr
    alone = tmp_path / "alone"
    assert run(command(demo_file, alone, *options)).returncode == 0
    if optimizer == "adamw":  # Muon's orthogonal updates, in bfloat16, carry rounding of the gradient further
        assert_same(weights(tmp_path), weights(alone), atol=2e-3, rtol=1e-2)
    best = [checkpoints.read(folder / "last.pt")["progress"]["best"] for folder in (tmp_path, alone)]
    assert best[0] == pytest.approx(best[1], rel=1e-3)


def test_a_worker_that_dies_ends_the_run_which_one_process_then_resumes(root, demo_file, tmp_path, uninterrupted):
    words = command(demo_file, tmp_path, "--dropout", "0", "--steps", "400", launcher=TORCHRUN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    while not (tmp_path / "last.pt").exists() and process.poll() is None:
        time.sleep(0.02)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    _, errors = process.communicate(timeout=100)
    assert process.returncode != 0 and "another process of this run has ended" in errors
    with pytest.raises(ProcessLookupError):  # nobody is left
        os.killpg(process.pid, 0)
    step = checkpoints.read(tmp_path / "last.pt")["progress"]["step"]
    program = [sys.executable, str(root / "train_inpaint.py"), "--out", str(tmp_path)]
    done = run([*program, "--resume", "--steps", str(step + 3)])
    assert done.returncode == 0, done.stderr
    alone = run(command(demo_file, tmp_path / "alone", "--dropout", "0", "--steps", str(step + 3)))
    assert alone.returncode == 0, alone.stderr
    assert_same(weights(tmp_path), weights(tmp_path / "alone"), atol=2e-2, rtol=5e-2)


@pytest.mark.slow
def test_memory_stays_flat(demo_file, tmp_path):
    options = {"size": "xs", "batch_size": 4, "steps": 120, "val_limit": 4, "workers": 1, "evaluate_every": 20}
    config = Config(data=str(demo_file), out=str(tmp_path), use_captions=True, checkpoint_every=20, **options)
    trainer = Trainer(config, torch.device("cpu"))
    pages, save = [], trainer._save

    def watched(*words, **options):
        save(*words, **options)
        gc.collect()
        pages.append(int(Path("/proc/self/statm").read_text().split()[1]))

    trainer._save = watched
    trainer.run()
    assert trainer.stopped is None
    growth = (pages[-1] - pages[len(pages) // 3]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    assert len(pages) >= 6 and growth < 6  # MiB, over 80 steps


def test_gradients_accumulated_over_parts_equal_the_batch_s(demo_file, tmp_path):
    def trained(parts):
        options = {
            "size": "xs",
            "batch_size": 8,
            "dropout": 0.0,
            "precision": "fp32",
            "steps": 1,
            "warmup": 0,
            "clip_norm": 0,
        }
        config = Config(data=str(demo_file), out=str(tmp_path / str(parts)), accumulate=parts, lr=1.0, **options)
        trainer = Trainer(config, torch.device("cpu"))
        nats, norm = trainer.learner.step(trainer.batches[0], 0, 1e-3)
        return nats, norm, trainer.learner.model.state_dict()

    (nats, norm, _), (nats4, norm4, _) = trained(1), trained(4)
    assert nats == pytest.approx(nats4, rel=1e-5) and norm == pytest.approx(norm4, rel=1e-4)


def test_non_finite_steps_are_skipped_counted_and_finally_stop_the_run(demo_file, tmp_path, monkeypatch):
    config = Config(data=str(demo_file), out=str(tmp_path), size="xs", batch_size=2, steps=100, val_limit=2)
    trainer = Trainer(config, torch.device("cpu"))
    before = {name: value.clone() for name, value in trainer.learner.model.state_dict().items()}
    monkeypatch.setattr(
        type(trainer.learner.model.likelihood), "log_prob", lambda self, params, x: params * float("nan")
    )
    with pytest.raises(InputError, match="diverged"):
        trainer.run()
    assert trainer.progress["skipped"] == 20
    assert_same(trainer.learner.model.state_dict(), before)


def test_a_run_whose_nats_on_val_are_not_finite_is_not_called_done(demo_file, tmp_path, monkeypatch):
    config = Config(data=str(demo_file), out=str(tmp_path), size="xs", batch_size=2, steps=1, val_limit=2)
    trainer = Trainer(config, torch.device("cpu"))
    monkeypatch.setattr("inpaint.training.trainer.score", lambda *_, **__: (numpy.array([1.0, numpy.nan]), 1.0))
    with pytest.raises(InputError, match="nats on val are nan: the run has diverged"):
        trainer.run()


@pytest.mark.parametrize(
    "likelihood",
    [
        pytest.param(name, marks=[] if name in ("bernoulli", "logistic-mixture") else pytest.mark.slow)
        for name in models.LIKELIHOODS
    ],
)
def test_every_likelihood_learns(likelihood, demo_file, tmp_path):
    options = {"size": "xs", "batch_size": 8, "steps": 12, "lr": 3e-3, "warmup": 0, "ema_decay": 0.0, "val_limit": 16}
    config = Config(data=str(demo_file), out=str(tmp_path), likelihood=likelihood, use_captions=True, **options)
    trainer = Trainer(config, torch.device("cpu"))
    first, _ = trainer.learner.step(trainer.batches[0], 0, 0.0)
    assert trainer.run() < first - 10  # nats


def test_load_gives_the_averaged_weights_in_eval_mode(uninterrupted):
    model = inpaint.load(uninterrupted / "best.pt")
    assert not model.training and model.uses_captions and model.decoder == "contour"
    assert_same(model.state_dict(), weights(uninterrupted, "best.pt", "averaged"))


@pytest.mark.parametrize("layers", ["first", "both"])
def test_a_model_without_captions_goes_on_where_it_stood_with_the_map_in_its_layers(layers, tmp_path):
    options = {"tower": "ift6266", "relu_clip": 10.0}
    deaf = save_fresh(tmp_path / "deaf.pt", use_captions=False, **options)
    model = models.build(map_layers=layers, map_sigmoid=False, **options).eval()
    _, fresh = checkpoints.take_over(model, tmp_path / "deaf.pt")
    assert all(name.startswith("caption_encoder.") for name in fresh)
    border = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(model.params(border, ["a dog"]), deaf.params(border), atol=1e-5, rtol=1e-5)
        for layer in (0, 2) if layers == "both" else (0,):
            before, weight = model.params(border, ["a dog"]), model.net.head.layers[layer].weight
            weight[:, -1] += 1
            assert not torch.equal(model.params(border, ["a dog"]), before)


@pytest.mark.parametrize(
    "options",
    [
        {"head_layers": 0},
        {"tower": "none"},
        *({"caption_injection": "all", "decoder": decoder} for decoder in ("gated", "rowlstm", "diagbilstm")),
    ],
    ids=str,
)
def test_a_decoder_without_captions_goes_on_where_it_stood_whatever_reads_them(options, tmp_path):
    options = {"decoder": "gated", **options}
    kind = {"likelihood": "logistic-mixture", "size": "xs"}
    shared = {name: value for name, value in options.items() if name != "caption_injection"}
    deaf = save_fresh(tmp_path / "deaf.pt", use_captions=False, **kind, **shared)
    model = models.build(**kind, **options).eval()
    checkpoints.take_over(model, tmp_path / "deaf.pt")
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    border, center = images, images[:, :, 16:48, 16:48].contiguous()
    with torch.no_grad():
        found = model.params(border, ["a dog"], center=center)
        torch.testing.assert_close(found, deaf.params(border, center=center), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("decoder", ["pixelcnn", "rowlstm"])
def test_a_model_with_more_blocks_goes_on_where_it_stood(decoder, tmp_path):
    options = {"decoder": decoder, "likelihood": "logistic-mixture", "use_captions": False}
    small = save_fresh(tmp_path / "small.pt", **options, blocks=2)
    model = models.build(size="xs", **options, blocks=4).eval()
    taken, fresh = checkpoints.take_over(model, tmp_path / "small.pt")
    assert fresh and all({"2", "3"} & set(name.split(".")) for name in fresh) and "net.tower.stem.weight" in taken
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    border, center = images, images[:, :, 16:48, 16:48].contiguous()
    with torch.no_grad():
        before = model.params(border, center=center)
        torch.testing.assert_close(before, small.params(border, center=center), atol=1e-5, rtol=1e-5)
        model.net.stack.skips[3].weight += 1
        assert not torch.equal(model.params(border, center=center), before)


def test_init_from_takes_over_what_fits_and_names_the_rest(demo_file, tmp_path, uninterrupted):
    deaf = models.build(size="xs", use_captions=False)
    path = tmp_path / "deaf.pt"
    plain = {"model": deaf.config, "weights": {}, "averaged": deaf.state_dict(), "config": {}, "progress": {}}
    checkpoints.save(path, plain)
    model = models.build(size="xs", use_captions=True)
    taken, fresh = checkpoints.take_over(model, path)
    assert all(name.startswith("caption_encoder.") for name in fresh) and "net.tower.stem.weight" in taken
    border = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(model.params(border, ["a dog"]), deaf.params(border), atol=1e-5, rtol=1e-5)
    done = run(command(demo_file, tmp_path / "run", "--steps", "1", "--init-from", str(path)))
    assert done.returncode == 0 and "took over" in done.stdout and "caption_encoder.gru" in done.stdout


class Malicious:
    def __reduce__(self):
        return (os.system, ("touch executed",))


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated", "pickled code", "foreign", "wrong model"])
def test_a_bad_checkpoint_is_one_clear_line_and_runs_no_code(kind, tmp_path, uninterrupted, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pt"
    good = (uninterrupted / "best.pt").read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("hello")
    elif kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "pickled code":
        path.write_bytes(pickle.dumps({"schema": 1, "model": Malicious()}))
    elif kind == "foreign":
        torch.save({"state_dict": {}}, path)
    elif kind == "wrong model":
        checkpoint = checkpoints.read(uninterrupted / "best.pt")
        checkpoint["model"]["size"] = "s"
        torch.save(checkpoint, path)
    with pytest.raises(InputError) as raised:
        inpaint.load(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "executed").exists()


def test_photos_without_a_val_split_train_too(root, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(12):
        Image.new("RGB", (70, 64), (20 * i, 100, 200)).save(photos / f"{i}.png")
        (photos / f"{i}.txt").write_text(f"a plain card number {i}")
    data = tmp_path / "cards.h5"
    built = run([sys.executable, str(root / "data_prep" / "build_h5.py"), "--folder", str(photos), "--out", str(data)])
    assert built.returncode == 0, built.stderr
    done = run(command(data, tmp_path / "run", "--steps", "2"))
    assert done.returncode == 0 and "not evaluated" in done.stdout, done.stderr
    assert inpaint.load(tmp_path / "run" / "best.pt").uses_captions


def test_the_last_checkpoints_are_kept_and_a_whole_one_is_offered_for_a_damaged(tmp_path, uninterrupted):
    checkpoint = checkpoints.read(uninterrupted / "last.pt")
    path = tmp_path / "last.pt"
    for step in (2, 4, 6, 8):
        checkpoint["progress"]["step"] = step
        checkpoints.save_keeping(path, checkpoint, keep=3)
    kept = {file.name: checkpoints.read(file)["progress"]["step"] for file in tmp_path.iterdir()}
    assert kept == {"last.pt": 8, "last-1.pt": 6, "last-2.pt": 4}
    for damaged in (path, tmp_path / "last-1.pt"):
        damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(InputError, match="last-2.pt is whole"):
        checkpoints.read_to_resume(path)


def test_a_checkpoint_of_schema_1_still_loads_but_does_not_resume(tmp_path, uninterrupted):
    new = checkpoints.read(uninterrupted / "last.pt")
    old = {**new, "schema": 1}
    for key in ("weights", "averaged"):
        old[key] = {name.removeprefix("net."): value for name, value in new[key].items()}
    torch.save(old, tmp_path / "last.pt")
    assert_same(inpaint.load(tmp_path / "last.pt").state_dict(), new["averaged"])
    config = from_dict({**new["config"], "out": str(tmp_path)}, "config.json")
    with pytest.raises(InputError, match="last.pt: holds weights only"):
        Trainer(config, torch.device("cpu")).go_on(checkpoints.read(tmp_path / "last.pt"))


@pytest.mark.parametrize("damage", [lambda t: t.flatten()[:1], lambda t: t * float("nan")])
def test_an_optimizer_state_that_does_not_fit_is_refused(tmp_path, uninterrupted, damage):
    checkpoint = checkpoints.read(uninterrupted / "last.pt")
    state = checkpoint["optimizer"]["adamw"]["state"]
    state[0]["exp_avg"] = damage(state[0]["exp_avg"])
    checkpoints.save(tmp_path / "last.pt", checkpoint)
    config = from_dict({**checkpoint["config"], "out": str(tmp_path)}, "config.json")
    with pytest.raises(InputError, match="last.pt: .*optimizer"):
        Trainer(config, torch.device("cpu")).go_on(checkpoints.read(tmp_path / "last.pt"))


def test_a_folder_with_a_run_in_it_is_not_overwritten(demo_file, uninterrupted):
    before = (uninterrupted / "last.pt").read_bytes()
    done = run(command(demo_file, uninterrupted))
    assert done.returncode == 1 and "--resume" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert (uninterrupted / "last.pt").read_bytes() == before


@pytest.mark.slow
def test_compiled_training_gives_checkpoints_without_prefixes(demo_file, tmp_path):
    done = run(command(demo_file, tmp_path, "--compile", "--steps", "2"))
    assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr
    assert inpaint.load(tmp_path / "last.pt").state_dict().keys() == models.build(size="xs").state_dict().keys()


@pytest.mark.slow
def test_what_cannot_be_compiled_is_one_clear_line(demo_file, tmp_path):
    environment = {**os.environ, "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = run(command(demo_file, tmp_path / "run", "--compile", "--steps", "2"), env=environment)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "--compile: torch could not compile the network" in done.stderr.splitlines()[-1]
