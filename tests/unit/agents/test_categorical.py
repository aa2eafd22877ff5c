"""Log-probabilities with the action axis first in memory are those of the plain formula."""

import pytest
import torch

from adaps_agents.policy.categorical import log_probabilities


@pytest.mark.parametrize("shape", [(1, 2), (7, 5), (3, 4, 5), (2, 3, 4, 6)])
def test_equal_to_the_plain_formula_and_its_gradient(shape):
    logits = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours, plain = log_probabilities(logits), logits - logits.exp().sum(dim=-1, keepdim=True).log()
    torch.testing.assert_close(ours, plain)
    gradients = [torch.autograd.grad((out * weights).sum(), logits)[0] for out in (ours, plain)]
    torch.testing.assert_close(*gradients)
