"""Word vectors in captions' summary: what they are, what is learned and kept of them, and what is said without them."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from checkpoint_makers import save_fresh
from data_makers import run as build_h5
from PIL import Image
from safetensors.torch import load_file

import evaluate
import train_inpaint
from data_prep.errors import InputError
from inpaint import checkpoints, load
from models import build, word_vectors
from models.caption_encoder import decode, encode

needs_words = pytest.mark.skipif(not find_spec("wordllama"), reason="the extra words is not installed")
SHAPE = {"image_size": 16, "hole": (4, 4, 8, 8)}
WORDS = {"caption_injection": "all", "word_vectors": True}


@pytest.fixture
def without_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    word_vectors.table.cache_clear()
    yield
    word_vectors.table.cache_clear()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight photos of 16 x 16 with captions, half of them val."""
    folder = tmp_path_factory.mktemp("photos")
    for split in ("train", "val"):
        (folder / split).mkdir()
        for number in range(4):
            Image.new("RGB", (16, 16), (60 * number, 90, 200 * (split == "val"))).save(
                folder / split / f"{split}{number}.png"
            )
            (folder / split / f"{split}{number}.txt").write_text(f"a dog on {number} hills\n")
    out = folder / "o.h5"
    done = build_h5("--folder", folder, "--out", out, "--image-size", 16, "--hole", "4,4,8,8", "--workers", 1)
    assert done.returncode == 0, done.stderr
    return out


@needs_words
def test_a_caption_s_vector_is_the_mean_of_its_tokens_in_the_package_s_table_normalized():
    from tokenizers import Tokenizer

    folder = Path(find_spec("wordllama").origin).parent
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    table = load_file(folder / "weights" / "l2_supercat_256.safetensors")["embedding.weight"].float()
    tokens = tokenizer.encode("a dog on grass", add_special_tokens=False).ids
    assert len(tokens) == 4
    expected = F.layer_norm(table[tokens].mean(0), (256,))
    found = word_vectors.vectors_of(["a dog on grass", "", "grass on a dog", "a submarine"])
    torch.testing.assert_close(found[0], expected)
    assert not found[1].any()
    torch.testing.assert_close(found[2], expected)  # a bag of words
    assert (found[3] - expected).abs().max() > 0.1


@needs_words
def test_like_words_are_nearer_to_each_other_than_unlike_ones():
    dog, puppy, beach = word_vectors.vectors_of(["a dog", "a puppy", "people at the beach"])
    assert F.cosine_similarity(dog, puppy, dim=0) > F.cosine_similarity(dog, beach, dim=0) + 0.3


@needs_words
def test_they_end_the_summary_and_are_of_what_the_encoder_reads_of_a_caption():
    model = build(size="xs", **SHAPE, **WORDS).eval()
    summary = model.summaries(["A Dog, \u72ac", "", ["a dog", "a cat"]])
    assert summary.shape == (3, 16 + 64 + 256)
    torch.testing.assert_close(summary[0, -256:], word_vectors.vectors_of(["a dog, "])[0])
    torch.testing.assert_close(summary[2, -256:], word_vectors.vectors_of(["a dog", "a cat"]).mean(0))
    assert decode(encode(["A Dog, \u72ac", "", "x" * 300])) == ["a dog, ", "", "x" * 256]


@needs_words
def test_the_table_is_neither_learned_nor_stored_and_a_model_read_again_gives_the_same_nats(tmp_path):
    model = save_fresh(tmp_path / "words.pt", **SHAPE, **WORDS)
    assert not any(32_000 in value.shape for value in model.state_dict().values())
    border = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    again, center = load(tmp_path / "words.pt").eval(), border[:, :, 4:12, 4:12].clone()
    with torch.no_grad():
        for one in (model, again):
            one.net.head.summary.weight[:, :-256] = 0
            one.net.head.summary.weight[:, -256:] = 0.1
        nats = model.log_prob(border, center, ["a dog", "a dog"])
        assert torch.equal(again.log_prob(border, center, ["a dog", "a dog"]), nats)
        assert not torch.equal(again.log_prob(border, center, ["a cat", "a dog"])[0], nats[0])


def training(data, tmp_path, *more):
    words = ["--data", str(data), "--out", str(tmp_path / "run"), "--size", "xs", "--batch-size", "2", "--use-captions"]
    return train_inpaint.main([*words, "--caption-injection", "all", "--word-vectors", *more])


@needs_words
def test_a_model_of_words_is_trained_resumed_and_evaluated(data, tmp_path):
    training(data, tmp_path, "--captions-at-once", "2", "--caption-loss", "1", "--steps", "2")
    training(data, tmp_path, "--captions-at-once", "2", "--caption-loss", "1", "--steps", "4", "--resume")
    saved = checkpoints.read(tmp_path / "run" / "last.pt")
    assert saved["model"]["word_vectors"] and saved["progress"]["step"] == 4
    assert saved["weights"]["net.head.summary.weight"][:, -256:].any()
    evaluate.main(["--checkpoint", str(tmp_path / "run" / "best.pt"), "--data", str(data)])


def test_without_the_package_each_command_says_in_one_line_what_to_install(data, tmp_path, without_words):
    install = r"needs wordllama: pip install inpaint-from-caption\[words\]$"
    with pytest.raises(ValueError, match=install):
        build(size="xs", **SHAPE, **WORDS)
    with pytest.raises(InputError, match=install):
        training(data, tmp_path, "--steps", "1")
    assert not (tmp_path / "run" / "last.pt").exists()
    plain = save_fresh(tmp_path / "plain.pt", **SHAPE)
    saved = checkpoints.read(tmp_path / "plain.pt")
    saved["model"] = {**plain.config, **WORDS}
    checkpoints.save(tmp_path / "words.pt", saved)
    with pytest.raises(InputError, match=r"words\.pt: .*" + install):
        evaluate.main(["--checkpoint", str(tmp_path / "words.pt"), "--data", str(data)])


def test_they_need_the_summary_to_enter():
    with pytest.raises(ValueError, match="word_vectors needs caption_injection all"):
        build(word_vectors=True)
