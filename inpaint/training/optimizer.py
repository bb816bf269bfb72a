"""The optimizer: Muon for matrices and kernels of hidden layers and AdamW for the rest; or AdamW or RMSProp for all.

Muon [1] makes each update of a matrix orthogonal, so that no direction dominates; with updates scaled to the size of
AdamW's [2], one learning rate serves both. A kernel counts as the matrix (out, in x height x width).
benchmarks/optimizers.py compares it with AdamW alone.

[1] Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks
[2] Liu et al. 2025, arXiv:2502.16982   [3] Loshchilov and Hutter 2019, arXiv:1711.05101 (AdamW)
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from inpaint.processes import multiplies_bfloat16
from inpaint.shares import rank_and_world

LEAST = 16  # rows and columns of a matrix for Muon; excludes input and output layers
STATE = {  # state of each parameter
    "adamw": {"step", "exp_avg", "exp_avg_sq"},
    "rmsprop": {"step", "square_avg"},
    "muon": {"momentum_buffer"},
}
OPTIMIZERS = ("muon", "adamw", "rmsprop")


class Optimizer:
    """Steps each parameter of a model with Muon, AdamW or RMSProp.

    Args:
      model: on its device, its parameters in their final memory format.
      lr: peak learning rate; `set_lr` sets that of each step.
      weight_decay: on weights of two dimensions or more; decoupled [3], except RMSProp's.
      beta2: second-moment decay of AdamW and RMSProp.
      kind: one of OPTIMIZERS.
      slow: submodule trained at `lr_scale` times the learning rate; None for none.
      lr_scale: see `slow`.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        weight_decay: float,
        beta2: float,
        kind: str = "muon",
        slow: nn.Module | None = None,
        lr_scale: float = 1.0,
    ):
        self._lr = lr
        self._hidden: list[tuple[nn.Parameter, nn.Parameter]] = []
        slow_ones = set() if slow is None or lr_scale == 1 else set(map(id, slow.parameters()))
        others, by_muon = [], []
        for is_slow, scale in ((False, 1.0), (True, lr_scale)):
            parameters = [p for p in model.parameters() if (id(p) in slow_ones) == is_slow]
            hidden = [p for p in parameters if kind == "muon" and is_hidden(p)]
            chosen = set(map(id, hidden))
            rest = [p for p in parameters if id(p) not in chosen]
            pairs = [(p, nn.Parameter(_as_matrix(p.detach(), p))) for p in hidden]  # each shares its p's memory
            common = {"lr": lr * scale, "share": scale}  # "share" as in checkpoints
            others += [
                {"params": [p for p in rest if p.dim() > 1], "weight_decay": weight_decay, **common},
                {"params": [p for p in rest if p.dim() <= 1], "weight_decay": 0.0, **common},
            ]
            by_muon.append({"params": [matrix for _, matrix in pairs], **common})
            self._hidden += pairs
        others, by_muon = ([group for group in groups if group["params"]] for groups in (others, by_muon))
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        if kind == "rmsprop":
            self._optimizers["rmsprop"] = torch.optim.RMSprop(others, lr=lr, alpha=beta2)
        else:
            self._optimizers["adamw"] = torch.optim.AdamW(others, lr=lr, betas=(0.9, beta2), fused=True)
        if by_muon:
            settings = {"weight_decay": weight_decay, "adjust_lr_fn": "match_rms_adamw"}
            fast = multiplies_bfloat16(by_muon[0]["params"][0].device)
            self._optimizers["muon"] = Muon(by_muon, torch.bfloat16 if fast else torch.float32, lr=lr, **settings)

    def set_lr(self, lr: float) -> None:
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr * group["share"]

    def step(self) -> None:
        """One step along the parameters' gradients."""
        for parameter, matrix in self._hidden:
            matrix.grad = None if parameter.grad is None else _as_matrix(parameter.grad, parameter)
        for optimizer in self._optimizers.values():
            optimizer.step()

    def state_dict(self) -> dict:
        """State of all optimizers, with the peak learning rate: that of the last step does not matter."""
        state = {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}
        for part in state.values():
            for group in part["param_groups"]:
                group["lr"] = self._lr * group["share"]
        return state

    def load_state_dict(self, state: dict) -> None:
        """Raises: ValueError or KeyError for a state that does not fit, even if it would fail only at the next step."""
        if state.keys() != self._optimizers.keys():
            raise ValueError(f"the optimizer's state is of {', '.join(map(str, state))}")
        for name, optimizer in self._optimizers.items():
            mine = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
            optimizer.load_state_dict(state[name])
            for group, settings in zip(optimizer.param_groups, mine, strict=True):
                group.update(settings)  # the run's options decide these, not the file
            for parameter, values in optimizer.state.items():
                fits = values.keys() == STATE[name] and all(
                    (key == "step" and value.numel() == 1 and value >= 0 or value.shape == parameter.shape)
                    and value.isfinite().all()
                    for key, value in values.items()
                )
                if not fits:
                    raise ValueError("the optimizer's state does not fit its weights")


class Muon(torch.optim.Muon):
    """torch's Muon with adjust_lr_fn="match_rms_adamw", whose products the processes share out among them.

    Args:
      dtype: of these products. torch's own is bfloat16, which without bfloat16 instructions can take longer than the
        rest of a step (21 times this step, benchmarks/results/muon_precision.json).
      settings: of torch.optim.Muon.
    """

    def __init__(self, params: Any, dtype: torch.dtype, **settings: Any):
        super().__init__(params, **settings)
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients, which are the same in every process, as is what comes of it."""
        stepped = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not stepped:
            return
        rank, world = rank_and_world()
        owners = shared_out([p.shape for _, p in stepped], world)
        updates = torch.zeros(sum(p.numel() for _, p in stepped), device=stepped[0][1].device)
        parts = updates.split([p.numel() for _, p in stepped])
        mine: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}  # directions and where their updates go, by shape
        for (group, parameter), owner, part in zip(stepped, owners, parts, strict=True):
            state = self.state[parameter]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
            mean = state["momentum_buffer"].lerp_(parameter.grad, 1 - group["momentum"])
            if owner == rank:
                direction = parameter.grad.lerp(mean, group["momentum"])
                mine.setdefault(parameter.shape, []).append((direction, part.view_as(parameter)))
        for alike in mine.values():
            directions, places = zip(*alike, strict=True)
            found = orthogonal(torch.stack(directions).to(self.dtype), self.defaults["ns_coefficients"])
            for place, update in zip(places, found, strict=True):
                place.copy_(update)
        if world > 1:
            dist.all_reduce(updates)
        for (group, parameter), part in zip(stepped, parts, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            size = 0.2 * max(parameter.shape) ** 0.5  # AdamW's [2]
            parameter.add_(part.view_as(parameter), alpha=-group["lr"] * size)


def shared_out(shapes: Sequence[tuple[int, ...]], world: int) -> list[int]:
    """The process that makes each matrix orthogonal: the costliest first, each to the one that has least to do."""
    costs = [min(shape) ** 2 * max(shape) for shape in shapes]
    owners, loads = [0] * len(shapes), [0] * world
    for i in sorted(range(len(shapes)), key=lambda i: -costs[i]):
        owners[i] = loads.index(min(loads))
        loads[owners[i]] += costs[i]
    return owners


def orthogonal(matrices: Tensor, coefficients: tuple[float, float, float], steps: int = 5) -> Tensor:
    """(N, m, n) -> same singular vectors, singular values near 1, by Newton-Schulz iteration [1].

    N at once: a product of two small matrices takes less time than the call of it.
    """
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    wide = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=1e-7)  # no singular value above 1
    for _ in range(steps):
        gram = wide @ wide.mT
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


def is_hidden(parameter: Tensor) -> bool:
    """Whether Muon steps this parameter."""
    return parameter.dim() > 1 and min(parameter.shape[:2]) >= LEAST


def _as_matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """(out, in, ...) -> (out, rest), with columns in the memory order of `like`: no copy if `tensor` has that order."""
    if like.dim() == 4 and not like.is_contiguous():  # channels_last
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.flatten(1)
