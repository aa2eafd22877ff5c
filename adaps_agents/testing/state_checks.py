"""Checks of what a scheme holds: weights, counts, groups, masks. As in ``function_checks``, a fault raises."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaps_agents.schemes import SharingScheme
from adaps_agents.schemes.base import network
from adaps_agents.testing.subject import HIDDEN, PARTS, SEED, Subject, forward, gradients, randomise, require

__all__ = [
    "check_checkpoint",
    "check_counts",
    "check_determinism",
    "check_fups_limit",
    "check_hooks",
    "check_root_weights",
    "check_structure_is_fixed",
]

COUNTS = (
    "trainable_actor", "trainable_critic", "trainable", "fixed_bits", "fixed_parameters", "pretraining_parameters",
    "flops_per_decision",
)  # fmt: skip


def check_fups_limit(subject: Subject) -> str | None:
    """In its degenerate setting the scheme is full sharing: bit-equal weights, outputs and gradients for one seed."""
    limits = [] if subject.group_option is None else [{subject.group_option: [0] * len(subject.team)}]
    declared = subject.make().fups_options
    if declared is not None:
        limits.append(dict(declared))
    for limit in limits:
        _compare_with_fups(subject, limit)
    return None if limits else "it takes no groups from outside and declares no fups_options"


def _compare_with_fups(subject: Subject, limit: Mapping[str, Any]) -> None:
    ours, plain = subject.make(**limit), subject.full_sharing()
    same_shapes = [p.shape for p in ours.parameters()] == [p.shape for p in plain.parameters()]
    if same_shapes:
        equal = all(torch.equal(p, q) for p, q in zip(ours.parameters(), plain.parameters(), strict=True))
        require(equal, f"with {dict(limit)} and one seed, the weights are not those of full sharing")
        randomise(ours)
        randomise(plain)
    else:
        _copy_effective(randomise(ours), plain)
    obs = subject.observations()
    for part in PARTS:
        left, right = forward(ours, part, obs), forward(plain, part, obs)
        close = torch.equal(left, right) if same_shapes else torch.allclose(left, right, rtol=1e-4, atol=1e-5)
        require(close, f"{part}: with {dict(limit)} the outputs are not those of full sharing")
        if same_shapes:
            pairs = zip(_all_gradients(ours, left), _all_gradients(plain, right), strict=True)
            require(
                all(torch.equal(g, h) for g, h in pairs),
                f"{part}: with {dict(limit)} the gradients are not those of full sharing",
            )


def _copy_effective(source: SharingScheme, target: SharingScheme) -> None:
    """Give ``target``, full sharing, the weights that agent 0 of ``source`` uses."""
    with torch.no_grad():
        for part in PARTS:
            pairs = zip(*(network(scheme, part).effective_params(0) for scheme in (source, target)), strict=True)
            for (weight, bias), (mine, offset) in pairs:
                mine.copy_(weight)
                offset.copy_(bias)


def _all_gradients(scheme: SharingScheme, out: Tensor) -> list[Tensor]:
    return list(gradients(scheme, out.square().sum()).values())


def check_root_weights(subject: Subject) -> str | None:
    """With one seed a scheme starts from the weights of full sharing (its first network does, if it has several)."""
    ours, plain = dict(subject.make().named_parameters()), dict(subject.full_sharing().named_parameters())
    alike = ours.keys() == plain.keys() and all(ours[name].shape[1:] == plain[name].shape[1:] for name in ours)
    if not alike:
        return "its networks have other shapes than full sharing's"
    for name, root in plain.items():
        require(torch.equal(ours[name][:1], root), f"{name} does not start from full sharing's weights for this seed")
    return None


def check_counts(subject: Subject) -> None:
    """``param_report`` has all keys, counts what an optimiser would hold, and agrees with ``parameter_formula``."""
    scheme = subject.make()
    report = scheme.param_report()
    for key in COUNTS:
        value = report.get(key)
        require(type(value) is int and value >= 0, f"param_report()[{key!r}] is {value!r}; the rule is an int >= 0")
    held = sum(parameter.numel() for parameter in scheme.parameters() if parameter.requires_grad)
    require(report["trainable"] == held, f"{report['trainable']} parameters reported, but the optimiser holds {held}")
    for part in PARTS:
        reached = _reached(scheme, forward(scheme, part, subject.observations()))
        reported = report[f"trainable_{part}"]
        require(reported == reached, f"{reported} {part} parameters reported, but its output depends on {reached}")
    declared = formula_value(scheme, subject)
    require(
        declared is None or declared == held,
        f"parameter_formula {scheme.parameter_formula!r} gives {declared}, but the optimiser holds {held}",
    )


def _reached(scheme: SharingScheme, out: Tensor) -> int:
    parameters = [parameter for parameter in scheme.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(out.sum(), parameters, allow_unused=True)
    return sum(p.numel() for p, gradient in zip(parameters, found, strict=True) if gradient is not None)


def formula_value(scheme: SharingScheme, subject: Subject) -> int | None:
    """Return the value of ``parameter_formula``, sums of products of numbers and N, K, P, H; None if it says more."""
    letters = {
        "N": len(subject.team),
        "K": int(scheme.labels.max()) + 1,
        "P": sum(parameter.numel() for parameter in subject.full_sharing().parameters()),
        "H": HIDDEN[0],
    }
    total = 0
    for term in scheme.parameter_formula.split("+"):
        product = 1
        for factor in term.split():
            if factor not in letters and not factor.isdigit():
                return None
            product *= letters[factor] if factor in letters else int(factor)
        total += product
    return total


def check_determinism(subject: Subject) -> None:
    """One seed gives one scheme, another seed another, and building touches no global generator."""
    before = _global_generators()
    first, second, other = subject.make(), subject.make(), subject.make(seed=SEED + 1)
    require(before == _global_generators(), "building draws from a global generator (torch, numpy or random)")
    for name, value in first.state_dict().items():
        require(torch.equal(value, second.state_dict()[name]), f"two schemes of one seed differ in {name}")
    weights = zip(first.parameters(), other.parameters(), strict=True)
    require(not all(torch.equal(p, q) for p, q in weights), "the seed does not reach the weights")


def _global_generators() -> tuple[bytes, bytes, Any]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  (looked at, not drawn from)
    assert isinstance(legacy, dict)
    return torch.random.get_rng_state().numpy().tobytes(), repr(legacy).encode(), random.getstate()


def check_checkpoint(subject: Subject) -> None:
    """``state_dict`` carries groups and masks: a scheme built with another seed and no groups goes on identically."""
    origin = randomise(subject.make())
    changes: dict[str, Any] = {"labels": None} if subject.group_option == "labels" else {}
    target = subject.make(seed=SEED + 1, **changes)
    target.load_state_dict(origin.state_dict())
    obs = subject.observations()
    for part in PARTS:
        same = torch.equal(forward(origin, part, obs), forward(target, part, obs))
        require(same, f"{part}: outputs change on the way through state_dict; is a mask or label not a buffer?")
    require(_as_list(origin) == _as_list(target), "assignment() changes on the way through state_dict")
    require(origin.param_report() == target.param_report(), "param_report() changes on the way through state_dict")


def _as_list(scheme: SharingScheme) -> list[int] | None:
    groups = scheme.assignment()
    return None if groups is None else groups.tolist()


def check_structure_is_fixed(subject: Subject) -> None:
    """Masks, labels and other whole-numbered buffers stay as they are while the weights train."""
    scheme, obs = subject.make(), subject.observations()
    before = {name: buffer.clone() for name, buffer in scheme.named_buffers() if not buffer.is_floating_point()}
    optimizer = torch.optim.Adam(scheme.parameters(), lr=0.1)
    for _ in range(3):
        loss = sum((forward(scheme, part, obs).square().mean() for part in PARTS), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = dict(scheme.named_buffers())
    for name, buffer in before.items():
        require(torch.equal(buffer, after[name]), f"{name} changes during training")


def check_hooks(subject: Subject) -> None:
    """``aux_loss`` is None or a scalar with a gradient, ``after_update`` gives a bool, the class describes itself."""
    scheme = subject.make()
    loss = scheme.aux_loss()
    if loss is not None:
        require(loss.shape == () and loss.requires_grad, f"aux_loss() is {loss!r}; the rule is None or a scalar")
    before = {name: value.clone() for name, value in scheme.state_dict().items()}
    answer = scheme.after_update(1)
    require(type(answer) is bool, f"after_update() returns {answer!r}; the rule is True or False")
    after = scheme.state_dict()
    changed = answer or [name for name in before if not torch.equal(before[name], after[name])]
    require(
        scheme.acts_in_training or (loss is None and not changed),
        "acts_in_training is False, but aux_loss() or after_update() does something",
    )
    for attribute in ("name", "summary", "source", "parameter_formula"):
        text = getattr(scheme, attribute, None)
        require(isinstance(text, str) and bool(text.strip()), f"{attribute} is {text!r}; the rule is a line of text")
