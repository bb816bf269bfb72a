"""The GRU in one scan is torch's own: states, last states and every gradient."""

import torch

from models.layers.gru import BidirectionalGRU


def test_states_and_gradients_are_those_of_torch_s_own():
    torch.manual_seed(0)
    mine = BidirectionalGRU(5, 7).double()
    theirs = torch.nn.GRU(5, 7, batch_first=True, bidirectional=True).double()
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(3, 11, 5, dtype=torch.float64)
    outputs = []
    for gru in (mine, theirs):
        given = x.clone().requires_grad_()
        states, last = gru(given)
        (states * torch.linspace(-1, 2, states.numel()).view_as(states)).sum().backward(retain_graph=True)
        (last**2).sum().backward()
        outputs.append([states, last, given.grad, *(parameter.grad for parameter in gru.parameters())])
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)
