"""The optimizer: every parameter moves, in place; hidden kernels orthogonally; its state survives saving."""

import copy

import pytest
import torch
from checkpoint_makers import fresh_model

from inpaint.training.optimizer import OPTIMIZERS, Muon, Optimizer, is_hidden, shared_out


def give_gradients(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def settings(**changes):
    return {"lr": 1e-2, "weight_decay": 0.0, "beta2": 0.99, **changes}


@pytest.mark.parametrize("tower", ["unet", "ift6266"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_moves_every_parameter(tower, kind):
    model = fresh_model(tower=tower)
    before = copy.deepcopy(model.state_dict())
    optimizer = Optimizer(model, **settings(), kind=kind)
    give_gradients(model)
    optimizer.step()
    for name, parameter in model.named_parameters():
        assert (parameter != before[name]).any(), name
    assert ("muon" in optimizer.state_dict()) == (kind == "muon")


def test_the_update_of_a_hidden_kernel_is_orthogonal_whatever_its_memory_format():
    model = fresh_model()
    kernel = model.net.tower.encoder[1][0].conv1.weight  # 3x3, channels_last
    one = model.net.head.layers[2].weight  # 1x1
    assert not kernel.is_contiguous()
    optimizer = Optimizer(model, **settings())
    give_gradients(model)
    before = kernel.detach().clone(), one.detach().clone()
    gradient = kernel.grad
    optimizer.step()
    for weight, old in zip((kernel, one), before, strict=True):
        update = (old - weight.detach()).flatten(1)
        lengths = torch.linalg.svdvals(update)
        expected = 1e-2 * 0.2 * max(update.shape) ** 0.5  # the size of AdamW's updates
        assert (lengths / expected).min() > 0.5 and (lengths / expected).max() < 1.5
    assert (gradient * (before[0] - kernel.detach())).sum() > 0  # downhill


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(24, 80), (80, 24), (32, 32)])
def test_muon_steps_as_torch_s_does_but_for_the_precision(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    weights = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    how = {"lr": 0.1, "weight_decay": 0.05, "adjust_lr_fn": "match_rms_adamw"}
    mine, torch_s = Muon([weights[0]], dtype, **how), torch.optim.Muon([weights[1]], **how)
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        for weight, optimizer in zip(weights, (mine, torch_s), strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = [weight.detach() - start for weight in weights]
    assert (moved[0] - moved[1]).norm() < (0.02 if dtype == torch.float32 else 1e-6) * moved[1].norm()
    torch.testing.assert_close(mine.state[weights[0]], torch_s.state[weights[1]])


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_orthogonal_updates_and_their_sum_is_one_process_s_step(world, monkeypatch):
    def moved(rank, count):
        matrices = [torch.nn.Parameter(p.detach().flatten(1)) for p in fresh_model().parameters() if is_hidden(p)]
        generator, before = torch.Generator().manual_seed(1), [matrix.detach().clone() for matrix in matrices]
        for matrix in matrices:
            matrix.grad = torch.randn(matrix.shape, generator=generator)
        monkeypatch.setattr("inpaint.training.optimizer.rank_and_world", lambda: (rank, count))
        Muon(matrices, torch.float32, lr=1, weight_decay=0).step()
        return [matrix.detach() - old for matrix, old in zip(matrices, before, strict=True)]

    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: None)
    alone, parts = moved(0, 1), [moved(rank, world) for rank in range(world)]
    for i, whole in enumerate(alone):
        assert sum(bool(part[i].any()) for part in parts) == 1
        torch.testing.assert_close(sum(part[i] for part in parts), whole, rtol=0, atol=0)
    shares = [sum(bool(update.any()) for update in part) for part in parts]
    assert min(shares) > 0


def test_the_costliest_matrix_has_a_process_of_its_own():
    assert shared_out([(16, 16), (64, 64), (16, 32), (32, 16)], 2) == [1, 0, 1, 1]
    assert shared_out([(16, 16)] * 4, 2) == [0, 1, 0, 1] and shared_out([(16, 16)] * 2, 1) == [0, 0]


def test_a_slow_part_moves_by_its_share_and_the_rest_as_ever():
    models = [fresh_model(use_captions=True), fresh_model(use_captions=True)]
    before = copy.deepcopy(models[0].state_dict())
    shares = [{}, {"slow": models[1].caption_encoder, "lr_scale": 0.25}]
    for model, how in zip(models, shares, strict=True):
        optimizer = Optimizer(model, **settings(), **how)
        optimizer.set_lr(2e-3)
        give_gradients(model)
        optimizer.step()
        state = optimizer.state_dict()
        Optimizer(model, **settings(), **how).load_state_dict(state)
    for name, plain in models[0].named_parameters():
        moved, slowly = plain - before[name], models[1].get_parameter(name) - before[name]
        share = 0.25 if name.startswith("caption_encoder.") else 1.0
        torch.testing.assert_close(slowly, share * moved, atol=1e-6, rtol=1e-3)


def test_a_saved_state_continues_as_if_never_saved():
    models = [fresh_model(), fresh_model()]
    optimizers = [Optimizer(model, **settings()) for model in models]
    give_gradients(models[0], 1)
    optimizers[0].step()
    models[1].load_state_dict(models[0].state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for model, optimizer in zip(models, optimizers, strict=True):
        give_gradients(model, 2)
        optimizer.set_lr(5e-3)
        optimizer.step()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("part, key", [("adamw", "exp_avg"), ("adamw", "step"), ("muon", "momentum_buffer")])
@pytest.mark.parametrize("spoil", [lambda t: t.flatten()[:0], lambda t: t * float("nan"), lambda t: None])
def test_a_state_that_would_fail_at_the_next_step_is_refused(part, key, spoil):
    model = fresh_model()
    optimizer = Optimizer(model, **settings())
    give_gradients(model)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    values = next(iter(state[part]["state"].values()))
    values[key] = spoil(values[key])
    if values[key] is None:
        del values[key]
    with pytest.raises((ValueError, KeyError), match="does not fit|step"):
        optimizer.load_state_dict(state)


def test_the_run_s_options_and_not_the_file_set_the_rates():
    model = fresh_model()
    state = Optimizer(model, **settings()).state_dict()
    for part in state.values():
        for group in part["param_groups"]:
            group.update(lr=9.0, weight_decay=9.0)
    optimizer = Optimizer(model, **settings())
    optimizer.load_state_dict(state)
    for part in optimizer.state_dict().values():
        assert all(group["lr"] == 1e-2 and group["weight_decay"] == 0.0 for group in part["param_groups"])


def test_a_state_of_another_optimizer_is_refused():
    model = fresh_model()
    plain = Optimizer(model, **settings(), kind="adamw")
    with pytest.raises(ValueError, match="state"):
        Optimizer(model, **settings()).load_state_dict(plain.state_dict())
