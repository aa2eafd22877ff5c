"""Checks of the function that a scheme computes. Each returns None, or why it does not apply; it raises on a fault."""

from __future__ import annotations

import torch
from torch import Tensor

from adaps_agents.schemes import SharingScheme
from adaps_agents.schemes.base import network
from adaps_agents.testing.subject import (
    PARTS,
    SEED,
    Subject,
    forward,
    gradients,
    loop_over_agents,
    part_inputs,
    randomise,
    require,
    twin_classes,
    used_entries,
)

__all__ = [
    "check_batch_equals_loop",
    "check_execution",
    "check_gradient_reach",
    "check_gradient_scale",
    "check_outside_is_inert",
    "check_permutation",
    "check_same_group_same_output",
    "check_shapes",
]

RTOL, ATOL = 1e-4, 1e-5


def check_shapes(subject: Subject) -> None:
    """Logits are ``[B, N, A]``, values ``[B, N]``, float32 and finite, for any B; observations are not written to."""
    scheme = subject.make()
    sizes = subject.spaces
    for lanes in (1, 3):
        obs = subject.observations(lanes)
        kept = obs.clone()
        logits, values = scheme.actor(obs), scheme.critic(part_inputs(scheme, "critic", obs))
        for name, out, shape in (
            ("actor", logits, (lanes, sizes.num_agents, sizes.num_actions)),
            ("critic", values, (lanes, sizes.num_agents)),
        ):
            require(out.shape == shape, f"{name} returns {list(out.shape)} for B = {lanes}; the rule is {list(shape)}")
            require(out.dtype == torch.float32, f"{name} returns {out.dtype}; the rule is float32")
            require(bool(out.isfinite().all()), f"{name} returns NaN or infinity")
        require(torch.equal(obs, kept), "the forward writes into the observations")


def check_batch_equals_loop(subject: Subject) -> None:
    """The batched forward equals a loop over the agents' effective parameters, for actor and critic."""
    scheme, obs = randomise(subject.make()), subject.observations()
    for part in PARTS:
        batch, loop = forward(scheme, part, obs).detach(), loop_over_agents(scheme, part, obs).detach()
        difference = (batch - loop).abs().amax(dim=(0, 2))
        worst = int(difference.argmax())
        seen = f"agent {worst} differs by {float(difference[worst]):.3g} from its effective parameters"
        require(_close(batch, loop), f"{part}: {seen}")


def check_same_group_same_output(subject: Subject) -> None:
    """Agents of one group of ``assignment()`` have equal parameters, and equal inputs give them equal outputs."""
    scheme = randomise(subject.make())
    classes = twin_classes(scheme)
    groups = scheme.assignment()
    if groups is not None:
        of_agent = {agent: number for number, agents in enumerate(classes) for agent in agents}
        for first, second in ((a, b) for a in of_agent for b in of_agent if groups[a] == groups[b]):
            require(
                of_agent[first] == of_agent[second], f"agents {first} and {second} share a group but not all parameters"
            )
    obs = subject.observations()[:, :1].expand(-1, len(subject.team), -1).contiguous()
    for part in PARTS:
        out = forward(scheme, part, obs)
        for agents in classes:
            spread = float((out[:, agents] - out[:, agents[:1]]).detach().abs().max())
            require(spread <= ATOL, f"{part}: equal inputs of agents {agents} give outputs {spread:.3g} apart")


def check_permutation(subject: Subject) -> str | None:
    """Exchanging agents of one group with their observations exchanges their outputs, and nothing else."""
    scheme = randomise(subject.make())
    classes = twin_classes(scheme)
    if all(len(agents) == 1 for agents in classes):
        return "no two agents have the same parameters"
    order = list(range(len(subject.team)))
    for agents in classes:
        for position, agent in enumerate(agents):
            order[agent] = agents[position - 1]
    obs = subject.observations()
    for part in PARTS:
        straight, exchanged = forward(scheme, part, obs), forward(scheme, part, obs[:, order])
        require(_close(straight[:, order], exchanged), f"{part}: exchanging agents inside their groups changes outputs")
    return None


def check_gradient_reach(subject: Subject) -> None:
    """A loss of agent j alone reaches no entry outside j's effective parameters, and all that they reach."""
    # A smooth activation has no dead units, so that a missing gradient means an unused entry.
    scheme = randomise(subject.make(activation=torch.tanh))
    obs = subject.observations(8)
    for part in PARTS:
        for agent in range(len(subject.team)):
            entries = used_entries(scheme, part, agent)
            reached = _reach(scheme, forward(scheme, part, obs)[:, agent])
            wanted = _reach(scheme, loop_over_agents(scheme, part, obs)[:, agent])
            for name, used in entries.items():
                leaked = int((reached[name] & ~used).sum())
                missed = int((wanted[name] & ~reached[name]).sum())
                where = f"{part}: a loss of agent {agent} alone"
                require(leaked == 0, f"{where} leaks into {leaked} entries of {name} that it does not use")
                require(missed == 0, f"{where} does not reach {missed} entries of {name} that it uses")


def check_gradient_scale(subject: Subject) -> None:
    """The gradient of a mean over agents is that of their effective parameters: no scheme weighs its agents anew."""
    scheme, obs = randomise(subject.make()), subject.observations()
    for part in PARTS:
        batch, loop = forward(scheme, part, obs), loop_over_agents(scheme, part, obs)
        ours, wanted = (gradients(scheme, out.square().mean()) for out in (batch, loop))
        for name, gradient in wanted.items():
            size = float(gradient.abs().max())
            apart = float((ours[name] - gradient).abs().max())
            require(
                apart <= 1e-3 * size + ATOL,
                f"{part}: the gradient of {name} is {apart:.3g} away from that of the agents' mean, of size {size:.3g}",
            )


def check_outside_is_inert(subject: Subject) -> str | None:
    """Changing every entry that agent j does not use leaves j's outputs as they are."""
    anything_outside = False
    for part in PARTS:
        for agent in range(len(subject.team)):
            scheme, obs = randomise(subject.make()), subject.observations()
            before = forward(scheme, part, obs)[:, agent].detach()
            anything_outside |= _disturb_outside(scheme, part, agent)
            after = forward(scheme, part, obs)[:, agent]
            require(_close(before, after), f"{part}: agent {agent} feels a change of entries that it does not use")
    return None if anything_outside else "every agent uses every parameter"


def check_execution(subject: Subject) -> str | None:
    """Compact and dense execution give the same outputs and gradients."""
    if not subject.accepts(execution="dense"):
        return "the scheme has one way to run"
    compact, dense = randomise(subject.make(execution="compact")), randomise(subject.make(execution="dense"))
    obs = subject.observations()
    for part in PARTS:
        ours, theirs = forward(compact, part, obs), forward(dense, part, obs)
        require(_close(ours, theirs), f"{part}: compact and dense execution differ")
        left, right = gradients(compact, ours.square().sum()), gradients(dense, theirs.square().sum())
        for name in left:
            require(_close(left[name], right[name]), f"{part}: compact and dense gradients of {name} differ")
    return None


def _reach(scheme: SharingScheme, out: Tensor) -> dict[str, Tensor]:
    weights = torch.linspace(0.5, 1.5, out.numel()).view(out.shape)
    return {name: gradient != 0 for name, gradient in gradients(scheme, (out * weights).sum()).items()}


def _disturb_outside(scheme: SharingScheme, part: str, agent: int) -> bool:
    """Add noise to all entries that the agent does not use; True if there are any.

    An entry behind a closed gate (a threshold, a dead unit) is the agent's, though it has no gradient for the time
    being: noise that opens the gate gives it one, and is taken back. What the agent's parameters depend on without a
    gradient before or after is a fault.
    """
    generator = torch.Generator().manual_seed(SEED)
    used, anything = used_entries(scheme, part, agent), False
    original = _effective(scheme, part, agent)
    for name, parameter in scheme.named_parameters():
        outside = ~used.get(name, torch.zeros_like(parameter, dtype=torch.bool))
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_((1 + torch.rand(parameter.shape, generator=generator)) * outside)
        if not _equal(original, _effective(scheme, part, agent)):
            opened = outside & used_entries(scheme, part, agent).get(name, torch.zeros_like(outside))
            with torch.no_grad():
                parameter.copy_(torch.where(opened, kept, parameter))
            outside &= ~opened
            felt = not _equal(original, _effective(scheme, part, agent))
            require(not felt, f"{part}: agent {agent}'s parameters depend on entries of {name} without a gradient")
        anything |= name in used and bool(outside.any())
    return anything


def _effective(scheme: SharingScheme, part: str, agent: int) -> list[Tensor]:
    return [tensor.detach().clone() for layer in network(scheme, part).effective_params(agent) for tensor in layer]


def _equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


def _close(ours: Tensor, theirs: Tensor) -> bool:
    return torch.allclose(ours, theirs, rtol=RTOL, atol=ATOL)
