"""Sets of captions: an image may come with one caption or with several at once.

Each caption is encoded by itself and their summaries are averaged, so a set has no order, and a set of one is that
caption. Captions that hold no character of the alphabet are left out; a set of nothing else is "no caption".
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.caption_encoder import CaptionEncoder, encode

Captions = Sequence[str | Sequence[str]] | Tensor  # for each image a caption, or a set of them; or their summaries


def check_captions(captions: Captions | None, count: int) -> Captions:
    """Captions, one or a set for each of `count` images; none for all if None.

    Raises: ValueError for another number of them, or for what is no list of them.
    """
    if captions is None:
        return [""] * count
    if not isinstance(captions, list | tuple | Tensor):
        raise ValueError(f"captions must be a list, one or a set for each image, not {type(captions).__name__}")
    if not isinstance(captions, Tensor):
        for caption in captions:
            if not isinstance(caption, str) and not (
                isinstance(caption, list | tuple) and all(isinstance(one, str) for one in caption)
            ):
                raise ValueError(f"a caption must be a string, or a list of them, not {str(caption)[:40]!r}")
    if len(captions) != count:
        raise ValueError(f"{len(captions)} captions for {count} borders")
    return captions


def summarize(encoder: CaptionEncoder, captions: Captions, device: torch.device) -> Tensor:
    """Means of the summaries of each image's captions: float32 (B, K).

    Args:
      captions: B strings, "" for none, or lists of strings; a tensor of summaries is returned as it is.
    """
    if isinstance(captions, Tensor):
        return captions
    if not len(captions):
        return summarize(encoder, [""], device)[:0]
    sets = [[caption] if isinstance(caption, str) else caption for caption in captions]
    codes = encode([text for some in sets for text in some or [""]])  # (M, 256)
    kept = _readable(codes.split([max(1, len(some)) for some in sets]))
    with torch.autocast(device.type, enabled=False):
        if encoder.training:
            summaries = encoder.summary(torch.cat(kept).to(device))  # (M', K)
        else:  # samples of one photo share its caption: each text is read once
            distinct, row_of = torch.cat(kept).unique(dim=0, return_inverse=True)
            summaries = encoder.summary(distinct.to(device))[row_of.to(device)]
    if len(summaries) == len(kept):
        return summaries
    return torch.stack([part.mean(0) for part in summaries.split([len(part) for part in kept])])


def keep_out_of_compilation(model: nn.Module) -> None:
    """Have torch.compile leave out what reads an Inpainter's captions: text is no tensor, and the GRU's loop, unrolled,
    would take minutes to compile."""
    for name in ("summaries", "_caption"):
        setattr(model, name, torch.compiler.disable(getattr(model, name)))


def _readable(sets: Sequence[Tensor]) -> list[Tensor]:
    """Of each set of codes (k, 256) the rows that are not all padding, or one row if all are."""
    return [some if len(some) == 1 else some[some.any(1)] if some.any() else some[:1] for some in sets]
