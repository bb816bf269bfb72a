"""`Inpainter`, the public face of every decoder: pixels and captions in, nats or samples out.

It turns bytes and strings into the networks' inputs: the border with its mask, and the caption map at the hole. A
`Decoder` (decoder.py) computes the likelihood's params from them, and the likelihood scores the center or draws one.
The decoder `contour` has no causal stack: its pixels are independent given border and caption, so one pass gives the
mean and a sample.

The hole is the window in which pixels may be missing. Given a mask of known pixels, the unknown ones in the window are
drawn in the decoder's order: p(unknown | known) is the product over them of p(pixel | all known, unknown ones before
it), and sums to one for every mask. Two masks need not agree: p(A) p(B | A) is not p(A and B), as the border tower sees
other pixels.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.canvas import Hole
from models.caption_encoder import CaptionEncoder
from models.caption_sets import Captions, check_captions, summarize
from models.decoder import Caption, Decoder
from models.inputs import at_hole, check_known, check_pixels, image_of
from models.intensity import normalize
from models.likelihoods.base import Likelihood
from models.precision import exact_float32, float64_or_less
from models.sampling import Drawn, SampleOptions, check_temperature

Generators = torch.Generator | Sequence[torch.Generator] | None


class Inpainter(nn.Module):
    """An exact probability of every possible center of the hole, given the border and a caption.

    Attributes:
      decoder, likelihood_name: names as `build` takes them.
      net: the decoder itself.
      image_size, hole: pixels; the hole is [top, left, height, width].
      uses_captions: whether captions reach the output at all.
      config: the keyword arguments that `build` would make the same network from.
      further_uniforms: how many uniform numbers a pixel takes beside the likelihood's.
    """

    further_uniforms = 0

    def __init__(
        self,
        net: Decoder,
        likelihood: Likelihood,
        encoder: CaptionEncoder | None,
        config: dict[str, Any],
    ):
        super().__init__()
        self.net, self.likelihood = net, likelihood
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
        """(3, h, w) int64: each sub-pixel's rank in drawing; those of one rank are independent given all lower."""
        return self.net.order()

    def log_prob(
        self,
        border: Tensor,
        center: Tensor,
        captions: Captions | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Log-probability of each unknown sub-pixel given lower ranks, known ones and the caption; 0 for known ones.

        In eval mode float32 products are exact, whatever torch's settings (TF32, autocast); in train mode these decide.

        Args:
          border: uint8 (B, 3, H, W). Unknown pixels are not read.
          center: uint8 (B, 3, h, w). Known pixels are not read: there the border's are the truth.
          captions: B strings, "" for none, or lists of strings, all of which are given at once (caption_sets.py); what
            `summaries` made of them; None for none at all.
          known: bool (B, 1, H, W), true where a pixel is known; another mask for each image if need be. None: all
            pixels outside the hole and none inside. Unknown pixels outside the hole are neither scored nor drawn.

        Returns: float32 (B, 3, h, w), in nats, all <= 0. For `bernoulli` the negated cross-entropy of intensities.
        Raises: ValueError for a wrong shape, dtype or number of captions, or for known pixels inside the hole of a
          model whose tower cannot tell them from black.
        """
        if not len(border):
            check_pixels("center", center, (0, 3, *self.hole[2:]))
            self._checked(border, captions)
            return torch.zeros(0, 3, *self.hole[2:], device=border.device)
        with contextlib.nullcontext() if self.training else exact_float32(border.device.type):
            params = self.params(border, captions, center, known=known)  # (B, P, h, w)
            with torch.autocast(border.device.type, enabled=False):
                log_prob = self.likelihood.log_prob(params, center)
            return log_prob if known is None else log_prob.masked_fill(at_hole(known, self.hole), 0)

    forward = log_prob  # what DistributedDataParallel and torch.compile call

    def params(
        self,
        border: Tensor,
        captions: Captions | None = None,
        center: Tensor | None = None,
        *,
        known: Tensor | None = None,
        everywhere: bool = False,
    ) -> Tensor:
        """The likelihood's params, float32 (B, P, h, w); `everywhere` runs the tower on all of the image.

        All decoders but `contour` need the center, as a pixel's params depend on the pixels before it.

        Raises: ValueError if it is missing, or as `log_prob`.
        """
        if center is not None:
            check_pixels("center", center, (border.shape[0], 3, *self.hole[2:]))
        image, caption = self.inputs(border, captions, known)
        pixels = None
        if center is not None:
            center = self._with_known(center, border, known)
            pixels = normalize(self.likelihood.quantize(center))  # (B, 3, h, w)
        return self.net.params(image, caption, pixels, everywhere)

    def sample(
        self,
        border: Tensor,
        captions: Captions | None = None,
        *,
        known: Tensor | None = None,
        generator: Generators = None,
        temperature: float = 1.0,
        cached: bool = True,
        dtype: torch.dtype = torch.float64,
        progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
    ) -> Tensor:
        """Centers drawn from the model, uint8 (B, 3, h, w), known pixels as they were. Always without dropout: the mode
        is restored afterwards.

        `contour` draws all pixels from one pass, so `cached` changes nothing. For `bernoulli` on more than two levels
        the sample is the mean.

        Args:
          border, captions, known: as in `log_prob`.
          generator: source of uniform numbers, on any device; None for torch's own. Several share the batch equally,
            and each share is drawn as if it were alone.
          temperature: at least 0.001; scales logits and widths, 1 for the model's own distribution.
          cached: whether a causal stack keeps what it has computed; False runs the whole model for each sub-pixel.
          dtype: precision of a causal stack. In float64, cached or not, samples are the same; float32 is faster, and
            the two differ if a value lies within a millionth of a level's edge. On MPS float64 becomes float32.
          progress: wraps the rows or waves of each scale, and the turns of `parallel`; not called by `contour`.

        Raises: ValueError for a temperature out of range, generators that cannot share the batch, or as `log_prob`.
        """
        options = SampleOptions(temperature, cached, scored=False, dtype=dtype, progress=progress)
        return self._sample(border, captions, known, generator, options)[0]

    def sample_with_log_prob(
        self,
        border: Tensor,
        captions: Captions | None = None,
        *,
        known: Tensor | None = None,
        generator: Generators = None,
        **options: Any,
    ) -> tuple[Tensor, Tensor]:
        """As `sample`, with its options, and log-probabilities as the sampler found them: what `log_prob` gives.

        Returns: uint8 and float32 (B, 3, h, w).
        """
        center, nats = self._sample(border, captions, known, generator, SampleOptions(**options, scored=True))
        assert nats is not None
        return center, nats

    def _sample(
        self,
        border: Tensor,
        captions: Captions | None,
        known: Tensor | None,
        generator: Generators,
        options: SampleOptions,
    ) -> Drawn:
        check_temperature(options.temperature)
        dtype = float64_or_less(options.dtype, border.device)
        if dtype != options.dtype:
            warnings.warn(f"{border.device.type} has no float64: samples are drawn in float32", stacklevel=3)
        with self._evaluating(), torch.inference_mode():  # a tenth faster than no_grad with so many small operations
            center, nats = self._draw(border, captions, known, generator, options._replace(dtype=dtype))
            center = self._with_known(center, border, known)
            if nats is not None and known is not None:
                nats = nats.masked_fill(at_hole(known, self.hole), 0)
        return center.clone(), None if nats is None else nats.clone()  # no inference tensors

    def _draw(
        self,
        border: Tensor,
        captions: Captions | None,
        known: Tensor | None,
        generator: Generators,
        options: SampleOptions,
    ) -> Drawn:
        _, _, h, w = self.hole
        captions = self._checked(border, captions)
        self._check_known(border, known)
        generators = generator if isinstance(generator, Sequence) else [generator]
        if not generators:
            raise ValueError("there is no generator in the list: at least one is needed")
        share, rest = divmod(border.shape[0], len(generators))
        if rest:
            raise ValueError(f"{len(generators)} generators cannot share {border.shape[0]} borders equally")
        if not share:
            return (empty := border.new_zeros(0, 3, h, w)), empty.float() if options.scored else None
        shape = (share, self.likelihood.uniforms_per_pixel + self.further_uniforms, h, w)
        drawn = [torch.rand(shape, generator=g, device=g.device if g else border.device) for g in generators]
        uniforms = torch.cat([part.to(border.device) for part in drawn])
        shares = [slice(k * share, (k + 1) * share) for k in range(len(generators))]
        inputs = [self.inputs(border[part], captions[part], None if known is None else known[part]) for part in shares]
        image, caption = torch.cat([image for image, _ in inputs]), Caption.joined([caption for _, caption in inputs])
        return self._draw_from(image, caption, uniforms, options._replace(shares=len(shares)))

    def _draw_from(self, image: Tensor, caption: Caption, uniforms: Tensor, options: SampleOptions) -> Drawn:
        """Draw from uniform numbers, (B, all of a pixel, h, w)."""
        return self.net.draw(image, caption, self.likelihood.noise(uniforms), options)

    @torch.no_grad()
    def mean(self, border: Tensor, captions: Captions | None = None, *, known: Tensor | None = None) -> Tensor | None:
        """The expected center, float32 (B, 3, h, w) in 0..255, where one pass gives it; None elsewhere. Known pixels
        as they are."""
        if not self.net.one_pass:
            return None
        if not len(border):
            return self.log_prob(border, border.new_zeros(0, 3, *self.hole[2:]), captions)
        with self._evaluating():
            return self._with_known(self.likelihood.mean(self.params(border, captions, known=known)), border, known)

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Eval mode and exact float32 products; each submodule's mode is restored afterwards."""
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            with exact_float32(next(self.parameters()).device.type):
                yield
        finally:
            for module in training:
                module.training = True

    def inputs(self, border: Tensor, captions: Captions | None, known: Tensor | None = None) -> tuple[Tensor, Caption]:
        """The decoder's inputs from `log_prob`'s arguments: the image, float32 (B, 4, H, W), and the captions."""
        captions = self._checked(border, captions)
        return self._masked(border, known), self._caption(captions, border.device)

    def _checked(self, border: Tensor, captions: Captions | None) -> Captions:
        """The captions, one or a set a border. Raises: ValueError as `log_prob`."""
        check_pixels("border", border, (border.shape[0], 3, self.image_size, self.image_size))
        return check_captions(captions, border.shape[0])

    def _masked(self, border: Tensor, known: Tensor | None) -> Tensor:
        """See inputs.image_of. Raises: ValueError as `log_prob`."""
        self._check_known(border, known)
        return image_of(border, known, self.hole, self.likelihood)

    def _check_known(self, border: Tensor, known: Tensor | None) -> None:
        check_known(known, border)
        if known is not None and not self.net.any_mask and at_hole(known, self.hole).any():
            raise ValueError(f"tower {self.config['tower']} cannot tell known pixels in the hole from unknown ones")

    def _with_known(self, center: Tensor, border: Tensor, known: Tensor | None) -> Tensor:
        """The center with the border's pixels where they are known."""
        if known is None:
            return center
        inside, pixels = at_hole(known, self.hole), at_hole(border, self.hole)
        return torch.where(inside, pixels.to(center.dtype), center)

    def _caption(self, captions: Captions, device: torch.device) -> Caption:
        """Encode captions in float32; a model without captions ignores them."""
        if self.caption_encoder is None:
            return Caption(None, None)
        with torch.autocast(device.type, enabled=False):
            return self.caption_of(summarize(self.caption_encoder, captions, device))

    def summaries(self, captions: Captions) -> Tensor:
        """Encode captions once for several calls: float32 (B, K), to be given in their place."""
        assert self.caption_encoder is not None  # a model that takes captions
        return summarize(self.caption_encoder, captions, self.caption_encoder.linear.weight.device)

    def caption_of(self, summary: Tensor) -> Caption:
        """The decoder's input from captions' summaries (B, K)."""
        assert self.caption_encoder is not None  # it made the summary
        whole = self.caption_encoder.map_of(summary[:, : self.image_size])  # (B, 1, S, S)
        return Caption(summary if self.config["caption_injection"] == "all" else None, at_hole(whole, self.hole))
