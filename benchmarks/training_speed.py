"""How much faster recipe `ift6266-2017-captions` trains here than the same net run plainly, side by side in one run.

    python benchmarks/training_speed.py [--data FILE.h5] [--rounds 7] [--steps 4]

The baseline is the net as its description reads: NCHW, float32, every layer on all 64 x 64 pixels, torch's GRU, Adam,
batch 16. Both sides begin from the same weights and see the same batches; rounds are interleaved and the median of the
ratios is printed, with the first step's loss on both sides.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from data_prep.errors import run_main
from inpaint.config import Config, read_recipe
from inpaint.training.trainer import Trainer
from models import caption_encoder as caption_text
from models.border_tower import Ift6266Tower
from models.caption_encoder import CaptionEncoder


def relu(x):
    """A ReLU clipped at 10."""
    return F.hardtanh(x, 0.0, 10.0)


class PlainNet(torch.nn.Module):
    """The 2017 net without any of this project's economies: (B, 3, 64, 64) and captions -> logits (B, 3, 64, 64)."""

    def __init__(self):
        super().__init__()
        conv = torch.nn.Conv2d
        self.stem = conv(3, 64, 7, padding=3)
        self.blocks = torch.nn.ModuleList(
            torch.nn.ModuleList([conv(64, 32, 1), conv(32, 32, 3, padding=1), conv(32, 64, 1)]) for _ in range(16)
        )
        self.head = torch.nn.ModuleList([conv(65, 32, 1), conv(33, 32, 1), conv(32, 3, 1)])
        self.encoder = CaptionEncoder(64, sigmoid=False)
        self.encoder.gru = torch.nn.GRU(32, 32, batch_first=True, bidirectional=True)

    def forward(self, border, captions):
        caption_map = self.encoder(caption_text.encode(captions))  # (B, 1, 64, 64)
        x = relu(self.stem(border))  # (B, 64, 64, 64)
        for reduce, spatial, expand in self.blocks:
            x = relu(x + expand(relu(spatial(relu(reduce(x))))))
        for layer in self.head[:2]:
            x = relu(layer(torch.cat([x, caption_map], dim=1)))  # (B, 32, 64, 64)
        return self.head[2](x)  # (B, 3, 64, 64)

    def copy_from(self, model) -> None:
        """Take the weights of an Inpainter with the ift6266 tower."""
        tower: Ift6266Tower = model.net.tower
        pairs = [
            (self.stem, tower.stem),
            (self.head[0], model.net.head.layers[0]),
            (self.head[1], model.net.head.layers[2]),
        ]
        pairs += [(self.head[2], model.net.head.out), (self.encoder, model.caption_encoder)]
        for (reduce, spatial, expand), block in zip(self.blocks, tower.blocks, strict=True):
            pairs += [(reduce, block.reduce), (spatial, block.spatial), (expand, block.expand)]
        for mine, theirs in pairs:
            mine.load_state_dict(theirs.state_dict())
        self.to(memory_format=torch.contiguous_format)


class Plain:
    """The baseline's training step."""

    def __init__(self, model):
        self.net = PlainNet()
        self.net.copy_from(model)
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-3)

    def step(self, batch) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.net(batch.border.float() / 255, batch.captions)[:, :, 16:48, 16:48]
        nats = F.binary_cross_entropy_with_logits(logits, batch.center.float() / 255, reduction="sum") / len(logits)
        nats.backward()
        self.optimizer.step()
        return nats.item()


def trainer_for(data: str, folder: Path, precision: str) -> Trainer:
    options = {**read_recipe("ift6266-2017-captions"), "epochs": None, "steps": 1000, "precision": precision}
    return Trainer(Config(data=data, out=str(folder / precision), **options), torch.device("cpu"))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="demo/demo.h5", help="any file of 64 x 64 photos (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="training steps a round and side (default: %(default)s)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        trainers = {precision: trainer_for(options.data, Path(folder), precision) for precision in ("fp32", "bf16")}
        batches = trainers["fp32"].batches
        plain = Plain(trainers["fp32"].learner.model)
        sides = {"plain": plain.step}
        for precision, trainer in trainers.items():
            sides[precision] = lambda batch, trainer=trainer: trainer.learner.step(batch, 0, 1e-3)[0]
        first = {name: step(batches[0]) for name, step in sides.items()}  # warms up, from equal weights
        rates = {name: [] for name in sides}
        for turn in range(options.rounds):
            chunk = [batches[1 + turn * options.steps + i] for i in range(options.steps)]
            for name, step in sides.items():
                began = time.perf_counter()
                for batch in chunk:
                    step(batch)
                rates[name].append(options.steps * batches.batch_size / (time.perf_counter() - began))
    print(f"{'':24}images/s    times plain (median of {options.rounds} rounds, least, most)")
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, rates["plain"], strict=True)]
        spread = f"{statistics.median(ratios):8.2f}  {min(ratios):6.2f}  {max(ratios):6.2f}"
        print(f"{name:24}{statistics.median(values):8.1f}  {spread}")
    difference = abs(first["fp32"] - first["plain"]) / first["plain"]
    losses = f"plain {first['plain']:.4f}, fp32 {first['fp32']:.4f} nats/image"
    print(f"loss of the same batch from the same weights: {losses}, relative difference {difference:.1e}")


if __name__ == "__main__":
    run_main(main)
