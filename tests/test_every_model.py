"""What holds for every decoder, tower and likelihood: figures that nothing but the photo decides, masses of all
centers that sum to one."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from every_model import CAUSAL, CONTOURS, KINDS, name_of, shaken_model
from score_every_model import SCORED, nats_of_every_model

from models.likelihoods import LIKELIHOODS


@pytest.fixture(scope="module")
def reference(demo_file):
    return nats_of_every_model(demo_file)


@pytest.fixture(scope="module")
def two_processes(root, demo_file, tmp_path_factory):
    """The same by two processes of one thread each, in odd batches, back to front."""
    out = tmp_path_factory.mktemp("two") / "nats.npz"
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += [str(root / "tests" / "score_every_model.py"), str(demo_file), str(out), "--batch-size=3", "--backwards"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr
    return np.load(out)


@pytest.fixture(scope="module")
def one_by_one(demo_file):
    return nats_of_every_model(demo_file, batch_size=1)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
@pytest.mark.parametrize("other", ["one_by_one", "two_processes"])
def test_the_nats_of_an_image_are_the_same_however_it_is_scored(kind, other, reference, request):
    nats, again = reference[name_of(kind)], request.getfixturevalue(other)[name_of(kind)]
    assert nats.shape == again.shape == (SCORED,) and np.ptp(nats) > 1
    np.testing.assert_allclose(again, nats, rtol=1e-8, atol=1e-4)  # of 10,000 nats float32 promises no more


MIXTURES = [kind for kind in CAUSAL if kind["likelihood"] == "logistic-mixture"]  # one pass gives all of a pixel


def takes_long(kind):
    """All but one model of each likelihood: what they share is what takes the time."""
    mixture_again = kind["likelihood"] == "logistic-mixture" and (kind in MIXTURES or kind["tower"] != "unet")
    return kind["likelihood"] == "categorical" or mixture_again


PROPER = [
    pytest.param(kind, marks=pytest.mark.slow if takes_long(kind) else [], id=name_of(kind))
    for kind in [*CONTOURS, *MIXTURES]  # of other causal decoders: test_causal_stacks.py
    if LIKELIHOODS[kind["likelihood"]].proper
]


@pytest.mark.parametrize("kind", PROPER)
def test_the_probabilities_of_all_centers_of_one_pixel_sum_to_one(kind):
    """All 256^3 of them: the params of a hole of one pixel, and each of its colors scored by them."""
    model = shaken_model(kind, image_size=8, hole=(3, 4, 1, 1))
    border = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        own = None if model.net.one_pass else torch.zeros(1, 3, 1, 1, dtype=torch.uint8)
        params = model.params(border, ["a dog"], own).expand(-1, -1, 256, 256)
        levels = torch.arange(256, dtype=torch.uint8)
        green, blue = torch.meshgrid(levels, levels, indexing="ij")
        total = 0.0
        for red in levels:
            colors = torch.stack([red.expand(256, 256), green, blue])[None]  # (1, 3, 256, 256)
            log_prob = model.likelihood.log_prob(params, colors)
            total += log_prob.double().sum(1).exp().sum().item()
            if red == 77:  # the same by the front door
                some = colors[:, :, ::64, ::64].flatten(2).permute(2, 1, 0)[..., None]  # (16, 3, 1, 1)
                asked = model.log_prob(border.expand(16, -1, -1, -1), some.contiguous(), ["a dog"] * 16)
                expected = log_prob[:, :, ::64, ::64].flatten(2).permute(2, 1, 0)[..., None]
                torch.testing.assert_close(asked, expected, atol=1e-4, rtol=1e-4)
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind["likelihood"] == "bernoulli"], ids=name_of)
def test_bernoulli_is_a_distribution_over_all_black_and_white_centers(kind):
    model = shaken_model(kind, image_size=8, hole=(3, 2, 2, 2))
    border = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    centers = torch.tensor(list(itertools.product((0, 255), repeat=12)), dtype=torch.uint8).view(-1, 3, 2, 2)
    with torch.no_grad():
        log_prob = model.log_prob(border.expand(len(centers), -1, -1, -1), centers, ["a dog"] * len(centers))
    assert log_prob.double().sum((1, 2, 3)).exp().sum().item() == pytest.approx(1, abs=1e-5)
