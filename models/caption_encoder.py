"""The caption encoder: characters -> convolutions -> GRU -> the caption map, as the 2017 project published it.

A caption is lower-cased, its accents folded, characters outside the alphabet dropped, then cut or padded to 256
characters and one-hot coded [1]. Four convolutions shorten it to 64 steps of 32 channels, a bidirectional GRU [2] reads
them, a linear layer maps each step to one number, and another the 64 numbers to the vector v. The caption map is v v^T,
one 64 x 64 plane, cropped to the hole; by default its sigmoid. An empty caption is all padding and means "no caption".
Departs from the project as published: the sigmoid (`map_sigmoid` undoes it).

[1] Zhang et al. 2015, arXiv:1509.01626   [2] Cho et al. 2014, arXiv:1406.1078
"""

import unicodedata

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.gru import BidirectionalGRU
from models.layers.modules import xavier_
from models.word_vectors import SIZE, table, vectors_of

ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789" + "-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{}" + " \n"
LENGTH = 256
_CODE = {character: code for code, character in enumerate(ALPHABET, start=1)}


def encode(captions: list[str]) -> Tensor:
    """Captions as character codes.

    Args:
      captions: B strings, any Unicode, any length, "" for none.

    Returns: (B, 256) int64 on the CPU; 0 is padding, k the k-th character of ALPHABET.
    """
    codes = torch.zeros(len(captions), LENGTH, dtype=torch.int64)  # (B, 256)
    for row, caption in zip(codes, captions, strict=True):
        folded = unicodedata.normalize("NFKD", caption.lower())
        kept = [_CODE[character] for character in folded if character in _CODE][:LENGTH]
        row[: len(kept)] = torch.tensor(kept, dtype=torch.int64)
    return codes


def decode(codes: Tensor) -> list[str]:
    """Character codes (B, 256) as the strings that `encode` left of captions."""
    return ["".join(ALPHABET[code - 1] for code in row if code) for row in codes.tolist()]


class CaptionEncoder(nn.Module):
    """codes (B, 256) -> caption maps (B, 1, image_size, image_size) float32, in 0..1 with the sigmoid.

    Args:
      image_size: pixels.
      xavier: Xavier's initial weights throughout, as in the 2017 project. They are meant for dense inputs, so with
        one-hot ones the signal starts faint: two captions' vectors differ by a hundredth of their length, and by
        about half of it without.
      sigmoid: whether the map is sigmoid(v v^T); if not, v v^T.
      words: whether the summary also holds what word_vectors.py says of the caption.

    Raises: ValueError if word vectors are not installed.
    """

    FOUND = 64

    def __init__(self, image_size: int = 64, xavier: bool = False, sigmoid: bool = True, words: bool = False):
        super().__init__()
        self.sigmoid, self.words = sigmoid, words
        if words:
            table()
        self.conv1 = nn.Conv1d(len(ALPHABET), self.FOUND, 5)
        self.conv2 = nn.Conv1d(self.FOUND, 64, 4, stride=2)
        self.conv3 = nn.Conv1d(64, 32, 5)
        self.conv4 = nn.Conv1d(32, 32, 4, stride=2)
        self.gru = BidirectionalGRU(32, 32)
        self.number = nn.Linear(64, 1)
        self.linear = nn.Linear(LENGTH // 4, image_size)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.number, self.linear):
            xavier_(layer.weight, layer.bias)
        if not xavier:
            nn.init.normal_(
                self.conv1.weight, std=(2 / self.conv1.kernel_size[0]) ** 0.5
            )  # one-hot: one input a step is 1
            for layer in (self.conv2, self.conv3, self.conv4):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            for layer in (self.number, self.linear):  # the GRU's states are small, and most steps are padding
                nn.init.xavier_uniform_(layer.weight, gain=2)
        nn.init.ones_(self.linear.bias)  # at v = 0 the map v v^T has no gradient
        for name, parameter in self.gru.named_parameters():
            if name.startswith("weight"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def vector(self, codes: Tensor) -> Tensor:
        """v: (B, image_size)."""
        return self._vector(self._found(codes))

    @classmethod
    def summary_size(cls, image_size: int, words: bool) -> int:
        """K, the size of a summary."""
        return image_size + cls.FOUND + words * SIZE

    def summary(self, codes: Tensor) -> Tensor:
        """v; the maximum over places of each of the first convolution's FOUND channels, normalized; with `words` the
        mean of word vectors: (B, K). v weighs places in the caption; the maximum says which runs of five characters
        occur anywhere in it, and unlike v tells words apart before any training."""
        found = self._found(codes)
        parts = [self._vector(found), F.layer_norm(found.amax(2), (self.FOUND,))]
        if self.words:
            parts.append(vectors_of(decode(codes)).to(found))
        return torch.cat(parts, dim=1)

    def _found(self, codes: Tensor) -> Tensor:
        """The first convolution's output at each place: (B, FOUND, 256)."""
        x = F.one_hot(codes, len(ALPHABET) + 1)[..., 1:].transpose(1, 2).float()  # (B, 70, 256), padding all zero
        return F.relu(self.conv1(F.pad(x, (2, 2))))

    def _vector(self, x: Tensor) -> Tensor:
        """(B, FOUND, 256) -> (B, image_size)."""
        x = F.relu(self.conv2(F.pad(x, (1, 1))))  # (B, 64, 128)
        x = F.relu(self.conv3(F.pad(x, (2, 2))))  # (B, 32, 128)
        x = F.relu(self.conv4(F.pad(x, (1, 1))))  # (B, 32, 64)
        x, _ = self.gru(x.transpose(1, 2))  # (B, 64, 64)
        return self.linear(self.number(x).squeeze(-1))

    def map_of(self, v: Tensor) -> Tensor:
        """sigmoid(v v^T), or v v^T itself: (B, S) -> (B, 1, S, S)."""
        products = (v[:, :, None] * v[:, None, :]).unsqueeze(1)
        return torch.sigmoid(products) if self.sigmoid else products

    def forward(self, codes: Tensor) -> Tensor:
        return self.map_of(self.vector(codes))
