"""One way through the house: border tower, causal stack and caption map -> two 1x1 layers -> likelihood -> nats, or a
sample.

`Inpainter` is the public face of every decoder. The tower turns the border into features at the hole's pixels, the
causal stack adds what the center's pixels so far tell, the caption encoder's map joins them as one more channel of the
last 1x1 layers, and the likelihood reads what comes out. The decoder `contour` has no causal stack: given the border
and the caption its center pixels are independent, so one pass gives the mean and a sample.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from models import captions as caption_text
from models.anchor import Copies, Predictions
from models.drawing import Parts, check_temperature, draw
from models.head import Head
from models.likelihoods import Likelihood
from models.stack import Context, Hole, Stack
from models.window import Region, crop


class Inpainter(nn.Module):
    """An exact probability of every possible center of the hole, given the border and a caption.

    Attributes:
      decoder, likelihood_name: names as `build` takes them.
      stack: the causal stack; None for `contour`.
      image_size, hole: pixels; the hole is [top, left, height, width].
      uses_captions: whether captions reach the output at all.
      config: the keyword arguments that `build` would make the same network from.
    """

    def __init__(
        self,
        tower: nn.Module,
        stack: Stack | None,
        likelihood: Likelihood,
        head: Head,
        anchor: Predictions | Copies | None,
        encoder: caption_text.CaptionEncoder | None,
        config: dict,
    ):
        super().__init__()
        self.tower, self.stack, self.likelihood, self.head, self.anchor = tower, stack, likelihood, head, anchor
        self.caption_encoder = encoder
        self.config = config
        self.decoder: str = config["decoder"]
        self.likelihood_name: str = config["likelihood"]
        self.image_size: int = config["image_size"]
        self.hole: Hole = config["hole"]

    @property
    def uses_captions(self) -> bool:
        return self.caption_encoder is not None

    @property
    def order(self) -> Tensor:
        """(3, h, w) int64: the rank in which sub-pixels are drawn; those of one rank are independent given lower."""
        _, _, h, w = self.hole
        channels = torch.arange(3).reshape(3, 1, 1) * (self.likelihood.coupled or self.head.by_colour)
        pixels = torch.arange(h * w).reshape(h, w) * (self.stack is not None)
        return channels.expand(3, h, w) + pixels * (1 + channels.max())

    def log_prob(
        self,
        border: Tensor,
        center: Tensor,
        captions: list[str] | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Nats of each sub-pixel given those of lower rank, the border and the caption.

        Args:
          border: uint8 (B, 3, H, W), the hole zeroed (its contents are ignored in any case).
          center: uint8 (B, 3, h, w).
          captions: B strings, "" for none; None for none at all.
          known: bool (B, 1, H, W), the border pixels that may be seen; None for all of them. Training's shifts use it.

        Returns: float32 (B, 3, h, w), all <= 0. For `bernoulli` the negated cross-entropy of intensities.
        Raises: ValueError for a wrong shape, dtype or number of captions.
        """
        self._check("center", center, (border.shape[0], 3, *self.hole[2:]))
        params = self.params(border, captions, center, known=known)
        with torch.autocast(border.device.type, enabled=False):
            return self.likelihood.log_prob(params, center)

    forward = log_prob  # what DistributedDataParallel and torch.compile call

    def params(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        center: Tensor | None = None,
        *,
        known: Tensor | None = None,
        everywhere: bool = False,
    ) -> Tensor:
        """The likelihood's params, float32 (B, P, h, w); `everywhere` runs the tower on all of the image.

        A causal stack needs the center: the params of a pixel are made of those before it.

        Raises: ValueError where it is missing, or as `log_prob`.
        """
        context, given, x = self._known(border, captions, known, everywhere)
        if self.stack is None:
            return self.head(given).float()  # (B, P, h, w)
        if center is None:
            raise ValueError(f"the params of decoder {self.decoder} depend on the center, and there is none")
        own = self.likelihood.rounded(center).float() / 127.5 - 1  # (B, 3, h, w)
        canvas = self.stack.canvas.of(x)  # (B, 4, rows, columns)
        hole = self.stack.canvas.hole_of(canvas)
        hole[:, :3], hole[:, 3] = own, 1
        params = self.head(given, self.stack(canvas, context), own).float()
        if self.anchor is None:
            return params
        with torch.autocast(border.device.type, enabled=False):
            return self.likelihood.anchored(params, self.anchor(canvas, x))

    def sample(
        self,
        border: Tensor,
        captions: list[str] | None = None,
        *,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        temperature: float = 1.0,
        cached: bool = True,
        dtype: torch.dtype = torch.float64,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> Tensor:
        """Centers drawn from the model, uint8 (B, 3, h, w).

        `contour` draws all pixels from one pass, so `cached` changes nothing. For `bernoulli` on more than two levels
        the sample is the mean.

        Args:
          border, captions: as in `log_prob`.
          generator: where the uniform numbers come from, on any device; None for torch's own. Several share the batch
            equally, and each share is drawn as it would be alone.
          temperature: at least 0.001; scales logits and widths, 1 for the model's own distribution.
          cached: whether a causal stack keeps what it has computed; False runs the whole model for each sub-pixel.
          dtype: in which a causal stack runs. In float64 cached or not draws the same; float32 is faster, and the two
            differ where a value lies within a millionth of a level's edge.
          progress: wraps the rows that a causal stack draws, for a bar.

        Raises: ValueError for a temperature out of range, generators that cannot share the batch, or as `log_prob`.
        """
        options = {"generator": generator, "temperature": temperature, "cached": cached}
        return self._sample(border, captions, scored=False, dtype=dtype, progress=progress, **options)[0]

    def sample_with_log_prob(
        self, border: Tensor, captions: list[str] | None = None, **options
    ) -> tuple[Tensor, Tensor]:
        """As `sample`, with its options, and nats of each sub-pixel as the sampler found them: what `log_prob` gives.

        Returns: uint8 and float32 (B, 3, h, w).
        """
        return self._sample(border, captions, scored=True, **options)

    @torch.no_grad()
    def _sample(
        self,
        border,
        captions,
        scored,
        generator=None,
        temperature=1.0,
        cached=True,
        dtype=torch.float64,
        progress=iter,
    ):
        check_temperature(temperature)
        _, _, h, w = self.hole
        generators = generator if isinstance(generator, Sequence) else [generator]
        share, rest = divmod(border.shape[0], len(generators))
        if rest:
            raise ValueError(f"{len(generators)} generators cannot share {border.shape[0]} borders equally")
        shape = (share, self.likelihood.uniforms_per_pixel, h, w)
        uniforms = [torch.rand(shape, generator=g, device=g.device if g else border.device) for g in generators]
        noise = self.likelihood.noise(torch.cat([part.to(border.device) for part in uniforms]))

        def known() -> tuple[Context | None, Tensor]:
            """Share by share: float32's last digit may depend on a batch's size."""
            shares = [slice(k * share, (k + 1) * share) for k in range(len(generators))]
            contexts, given = zip(*(self._known(border[s], captions and captions[s])[:2] for s in shares), strict=True)
            return None if self.stack is None else Context.joined(contexts), torch.cat(given)

        if self.stack is not None:
            canvas = self.stack.canvas.of(self._masked(border, None))
            how = {"cached": cached, "scored": scored, "dtype": dtype, "progress": progress}
            parts = Parts(self.stack, self.head, self.likelihood, self.anchor)
            return draw(parts, canvas, known, noise, temperature, **how)
        params = self.head(known()[1]).float()
        center = self.likelihood.sample(params, noise, temperature)
        return center, self.likelihood.log_prob(params, center) if scored else None

    @torch.no_grad()
    def mean(self, border: Tensor, captions: list[str] | None = None) -> Tensor | None:
        """The expected center, float32 (B, 3, h, w) in 0..255, where one pass gives it; None elsewhere."""
        return None if self.stack is not None else self.likelihood.mean(self.params(border, captions))

    def _known(
        self, border: Tensor, captions: list[str] | None, known: Tensor | None = None, everywhere: bool = False
    ) -> tuple[Context | None, Tensor, Tensor]:
        """All that is computed before the first pixel: the stack's context on its canvas (None without a stack), the
        head's `given` (B, width, h, w), and the border with its mask, float32 (B, 4, H, W)."""
        self._check("border", border, (border.shape[0], 3, self.image_size, self.image_size))
        if captions is None:
            captions = [""] * border.shape[0]
        if len(captions) != border.shape[0]:
            raise ValueError(f"{len(captions)} captions for {border.shape[0]} borders")
        x = self._masked(border, known)  # (B, 4, H, W)
        features = self.tower(self._tower_input(x), everywhere=everywhere)  # (B, C, h, w)
        summary, caption_map = self._caption(captions, border.device)
        given = self.head.given(features, caption_map)
        if self.stack is None:
            return None, given, x
        summary = summary if self.config["caption_injection"] == "all" else None
        return Context(self.stack.canvas.around(features), summary, x), given, x

    def _masked(self, border: Tensor, known: Tensor | None) -> Tensor:
        """Intensities in -1..1, zero where unknown, and the mask of what is known: float32 (B, 4, H, W)."""
        top, left, h, w = self.hole
        mask = torch.ones(1, 1, self.image_size, self.image_size, device=border.device)
        mask[:, :, top : top + h, left : left + w] = 0
        if known is not None:
            mask = mask * known  # (B, 1, H, W)
        x = (border.float() / 127.5 - 1) * mask  # (B, 3, H, W)
        x = torch.cat([x, mask.expand(border.shape[0], -1, -1, -1)], dim=1)  # (B, 4, H, W)
        return x.to(memory_format=torch.channels_last)

    def _tower_input(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) as it is, or for the 2017 net x/255 without the mask: (B, 3, H, W), zero where unknown."""
        return x if self.tower.uses_mask else (x[:, :3] + x[:, 3:]) / 2

    def _caption(self, captions: list[str], device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """The captions' summaries (B, S + FOUND) and their maps (B, 1, h, w) cropped to the hole, float32; None, None
        for a model without captions."""
        if self.caption_encoder is None:
            return None, None
        with torch.autocast(device.type, enabled=False):
            size = self.image_size
            summary = self.caption_encoder.summary(caption_text.encode(captions).to(device))  # (B, S + FOUND)
            whole = self.caption_encoder.map_of(summary[:, :size])  # (B, 1, S, S)
        return summary, crop(whole, Region.whole(size, size), Region.of_hole(self.hole, size, size))

    @staticmethod
    def _check(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
        if x.dtype != torch.uint8 or tuple(x.shape) != shape:
            raise ValueError(
                f"{name} must be uint8 {shape}, not {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
            )
