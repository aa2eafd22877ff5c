"""Playing the stored policies: do the weights of a record play the episodes that it shows? This needs torch.

Only the network is built from a record, never its learner: settings of an algorithm could name files to write or ask
for enormous buffers. Weights come from safetensors, so nothing is unpickled. What needs a plug-in is examined in a
process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from adaps_agents.export.weights import weights_header
from adaps_agents.schemes.registry import is_builtin
from baselines.leaderboard.execution.diagnosis import common_observations, comparisons, pool_bytes
from baselines.leaderboard.execution.evaluation import Evaluator
from baselines.leaderboard.execution.learner import build_model, network_only
from baselines.leaderboard.execution.replay import lane_bytes, open_environment, tolerance
from baselines.leaderboard.files import canonical_json, parse_json
from baselines.leaderboard.records.artifacts import (
    Evaluation,
    FinalActions,
    Weights,
    decode_weights_metadata,
)
from baselines.leaderboard.records.held_out import HeldOut, held_out_of
from baselines.leaderboard.records.provenance import same_kind_of_machine, same_software
from baselines.leaderboard.records.reader import FinishedRun, read_actions, read_weights
from baselines.leaderboard.records.revealed import RevealedPlay
from baselines.leaderboard.spec.config import HELD_OUT, MAX_RUN_SEED, RunConfig
from baselines.leaderboard.verify.apart import examined_apart, needs_plugin
from baselines.leaderboard.verify.checks import actor_weights, layer_sizes
from baselines.leaderboard.verify.choices import MORE_LANES, actions_of, choice_faults
from baselines.leaderboard.verify.compare import different_leaves
from baselines.leaderboard.verify.copies import Values, answers_of
from baselines.leaderboard.verify.courses import course_difference
from baselines.leaderboard.verify.fresh import (
    MOST_BY_CHANCE,
    RARE,
    Anew,
    again,
    chance_of,
    fresh,
    held_out_returns,
)
from baselines.leaderboard.verify.groups import MAX_PHASE_BYTES, OTHER_DEALS, LongerPhaseError, chosen, prepared_again
from baselines.leaderboard.verify.measured import identity_faults, sharing_faults
from baselines.leaderboard.verify.verdict import Examined, Fault
from baselines.leaderboard.verify.weights import BEST, FINAL, LABELS, METADATA_KEY

__all__ = ["deep_checks", "examine", "revealed_checks", "revealed_choice_faults"]

# Units of the two networks of all agents together; the largest built-in suite stays far below.
MAX_NETWORK_UNITS = 1 << 26

MAX_EPISODE_BYTES = 1 << 30
"""What all episodes of an evaluation may take at once, with the outputs of a layer and of the one before.

They are not played in parts: other batches round otherwise.
"""

MAX_COMPARED = 1 << 28
"""Probabilities of two agents that are compared: pairs of agents x observations x actions.

Teams of 1,000 agents with five actions need a seventh of it (some seconds), those of 2,591 all of it.
"""

FIXED_APART = 1e-4
"""By how much what training leaves as it is may differ elsewhere: gates are measured, and measurements rounded.

On the machine that the run names it is equal: large weights could read hidden types from the last digits.
"""

LONGER = 4
"""How many times as long a phase with settings of the author's may take with other seeds."""

ROUNDED = 0.02
"""By how many standard deviations of an episode the mean of held-out ones may differ: elsewhere, they are rounded."""

SAME_ARI = 1e-9
"""By how much a mean of ARIs may differ on the machine that a run names."""

_IDENTITY_STEPS = "scheme.identity_steps"
_POOL, _MOST_ANSWERS = 256, 1 << 18


def deep_checks(record: FinishedRun, held_out: HeldOut | None = None) -> Examined:
    """Examine a run, in a process of its own if its scheme or environment comes from a plug-in.

    Args:
        record: the run.
        held_out: what a board stores of it, if it does.

    The run must have passed all other checks. Returns of points between the first and the last that are not the best
    one cannot be checked: their weights are not kept.
    """
    if needs_plugin(record.config):
        return examined_apart(record, held_out)
    return examine(record, held_out)


def revealed_checks(record: FinishedRun, play: RevealedPlay, first_seed: int) -> tuple[Fault, ...]:
    """Return a fault if a run's final policy would not have taken all actions of its revealed play.

    Like :func:`deep_checks`, in a process of its own where that needs a plug-in.
    """
    if needs_plugin(record.config):
        return examined_apart(record, revealed=(play, first_seed)).faults
    return tuple(revealed_choice_faults(record, play, first_seed))


def examine(record: FinishedRun, told: HeldOut | None = None) -> Examined:
    """Return what is wrong between a run's weights and its returns, actions, counts, groups and diagnostics."""
    # Another number of threads adds up otherwise; runs of the leaderboard have one.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        faults = list(_size_faults(record.config))
        return Examined(tuple(faults)) if faults else _examined(record, told)
    finally:
        torch.set_num_threads(threads)


def revealed_choice_faults(record: FinishedRun, play: RevealedPlay, first_seed: int) -> Iterator[Fault]:
    """Yield a fault if the final policy of a run would not have taken all actions of its revealed play."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if list(_size_faults(record.config)):
            return  # named by the other deep checks, as is what cannot be built or loaded
        policy = build_model(network_only(record.config)).policy
        _load(policy, read_weights(record))
        near = same_kind_of_machine(record.config, record.provenance)
        actions = FinalActions(play.actions, play.lengths)
        yield from choice_faults(record.config, policy, FINAL, "final", actions, near=near, first_seed=first_seed)
    except Exception as error:
        yield Fault(FINAL, "", f"cannot be played in the revealed episodes ({type(error).__name__}: {error})")
    finally:
        torch.set_num_threads(threads)


def _examined(record: FinishedRun, told: HeldOut | None) -> Examined:
    near = same_kind_of_machine(record.config, record.provenance)
    as_elsewhere = not (near and same_software(record.config, record.provenance))
    try:
        model = build_model(network_only(record.config))
    except Exception as error:  # whatever a scheme raises on settings that it does not know
        fault = Fault("config.json", "config.scheme", f"cannot be built: {type(error).__name__}: {error}")
        return Examined((fault,), as_elsewhere)
    policy, evaluator = model.policy, Evaluator(record.config)
    faults = list(_header_faults(record, model))
    if near and policy.prepared():
        # Elsewhere, the same seed may give other initial weights.
        faults += _first_point_faults(evaluator, record.evaluation, policy)
    first, fixed = _fixed_arrays(policy), {}
    notes: list[Fault] = []
    for best, file in ((True, BEST), (False, FINAL)):
        try:
            _load(policy, read_weights(record, best=best))
        except Exception as error:  # names, shapes or types that are not the network's
            message = f"not the weights of the configured network ({error})"
            return Examined((*faults, Fault(file, "", message)), as_elsewhere)
        fixed[file] = _fixed_arrays(policy)
        faults += _play_faults(record, policy, evaluator, best=best, near=near)
        looks = list(_anew(record, policy, evaluator, best=best))
        faults += [look.fault for look in looks if look.chance < MOST_BY_CHANCE]
        notes += [_rare(look) for look in looks if MOST_BY_CHANCE <= look.chance < RARE]
    # The first look at the final policy is at the scored play in new episodes.
    faults += _held_out_faults(policy, evaluator, told, looks[0].returns)
    source = policy.scheme.group_source
    if told is not None and not as_elsewhere:
        faults += _held_out_ari_faults(told, [*_other_deals(record, source, told.seed)])
    faults += sharing_faults(record, policy, near=near)
    faults += identity_faults(record, policy.scheme)
    if not policy.scheme.needs_identity_phase:
        # Seeds draw the same everywhere: torch 2.4 and 2.13 do, whatever the instruction set.
        faults += _fixed_faults(fixed, first, "this seed", exact=near)
    elif source is not None and not source.looks:
        labels = {file: {LABELS: arrays[LABELS]} for file, arrays in fixed.items()}
        faults += _fixed_faults(labels, first, "this seed", exact=True)
    if policy.scheme.needs_identity_phase and not faults:
        found = _phase_again(record, policy, evaluator, fixed, as_elsewhere=as_elsewhere)
        faults += found[0]
        notes += found[1]
    deals = () if faults else tuple(_other_deals(record, source, looks[0].seed))
    held_out = held_out_of(record, looks[0].seed, looks[0].returns, deals)
    return Examined(tuple(faults), as_elsewhere, tuple(notes), _answers(record.config, policy), held_out, deals)


def _phase_again(
    record: FinishedRun, policy: Any, evaluator: Evaluator, fixed: Mapping[str, Weights], *, as_elsewhere: bool
) -> tuple[list[Fault], list[Fault]]:
    """Run the identity phase again; return faults, and what would be one here and is a note elsewhere."""
    origin, steps = "the identity phase of this seed", record.sharing.identity_steps
    config = network_only(record.config, record.config.learner.num_lanes)
    try:
        prepared = prepared_again(config, policy.scheme.group_source, steps)
    except LongerPhaseError:
        found = [Fault("sharing.json", "identity_steps", f"{steps:,}; {origin} takes more")]
    else:
        if prepared is None:
            message = f"{origin} takes more memory than {MAX_PHASE_BYTES >> 20:,} MiB; verify it without --deep"
            return [Fault("sharing.json", "identity_steps", message)], []
        found = list(_fixed_faults(fixed, _fixed_arrays(prepared), origin, exact=not as_elsewhere))
        if not as_elsewhere:
            found += _first_point_faults(evaluator, record.evaluation, prepared)
    return ([], [*map(_elsewhere, found)]) if as_elsewhere else (found, [])


def _other_deals(record: FinishedRun, source: Any, seed: int) -> Iterator[float]:
    """Yield the ARI of the groups that the phase finds with other run seeds, if its settings are the author's.

    They follow from ``seed``. One that takes much longer found nothing, as a random partition does: its ARI is 0.
    """
    if not chosen(record.config) or source is None or not source.looks:
        return
    steps = record.sharing.identity_steps
    for other in np.random.default_rng([seed, 1]).choice(MAX_RUN_SEED, OTHER_DEALS, replace=False).tolist():
        config = network_only(record.config.model_copy(update={"seed": other}), record.config.learner.num_lanes)
        try:
            prepared = prepared_again(config, source, steps, longest=LONGER * steps)
        except LongerPhaseError:
            yield 0.0
            continue
        if prepared is not None:
            labels = prepared.state_dict()[LABELS].numpy()
            yield float(adjusted_rand_score(open_environment(config).agent_types, labels))


def _rare(look: Anew) -> Fault:
    once = f"{look.fault.message}; chance alone does that once in {1 / look.chance:,.0f} times"
    return replace(look.fault, message=once)


def _elsewhere(fault: Fault) -> Fault:
    return replace(fault, message=f"not as here: {fault.message}")


def _answers(config: RunConfig, policy: Any) -> Values | None:
    """Return how the agents act on observations that are the same for all runs of a task; of linear policies None.

    All seeds of a linear policy lead to one function: 12 M steps brought them to 0.023 from each other.
    """
    if not config.learner.net_arch and config.learner.recurrent == "none":
        return None
    agents, actions = policy.num_agents, int(policy.action_space.n)
    size = min(_POOL, max(1, _MOST_ANSWERS // (agents * actions)))
    pool = common_observations(config.task.env, canonical_json(config.task.params), size)
    seen = np.repeat(pool[:, None], agents, axis=1)
    own = actions_of(policy)
    logits = policy.logits(seen, memory=policy.new_memory(len(pool))).numpy()
    return answers_of(logits, None if own is None else ~own)


def _size_faults(config: RunConfig) -> Iterator[Fault]:
    env, task = open_environment(config), config.task
    episodes = max(task.eval_episodes, task.absolute_episodes)
    # The check against rounding plays all lanes twice, and others, in float64; a recurrent unit has three gates.
    rows = (2 * episodes + MORE_LANES[1]) * env.num_agents
    widest = max(layer_sizes(config, env)) * (1 if config.learner.recurrent == "none" else 3)
    if (needed := episodes * lane_bytes(env) + rows * 2 * widest * 8) > MAX_EPISODE_BYTES:
        message = (
            f"{episodes} episodes at once take {needed >> 20:,} MiB; at most {MAX_EPISODE_BYTES >> 20:,} are played"
        )
        yield Fault("config.json", "config.task", message)
    if (needed := pool_bytes(env)) > MAX_EPISODE_BYTES:
        message = f"common observations take {needed >> 20:,} MiB; at most {MAX_EPISODE_BYTES >> 20:,} are compared"
        yield Fault("config.json", "config.task.params", message)
    units = 2 * env.num_agents * actor_weights(config, env)
    if units > MAX_NETWORK_UNITS:
        yield Fault(
            "config.json",
            "config.learner.net_arch",
            f"private networks would have {units:,} weights; at most {MAX_NETWORK_UNITS:,} are built",
        )
    if (compared := comparisons(env.num_agents) * env.num_actions) > MAX_COMPARED:
        message = (
            f"every two of {env.num_agents:,} agents are compared, {compared:,} probabilities in all; at most "
            f"{MAX_COMPARED:,} are. Only without --deep can so large a team be verified"
        )
        yield Fault("config.json", "config.task.params", message)


def _header_faults(record: FinishedRun, model: Any) -> Iterator[Fault]:
    """What a file says of its network must be what the network here says, the library's version aside."""
    rule = asdict(weights_header(model.policy, model.get_env()))
    for file in (FINAL, BEST):
        metadata = decode_weights_metadata((record.directory / file).read_bytes())
        found = parse_json(metadata[METADATA_KEY])
        for part in ("scheme_options", "network"):
            for where, is_there, should_be in different_leaves(found[part], rule[part]):
                yield Fault(file, f"__metadata__.{part}.{where}", f"{is_there!r}; the network has {should_be!r}")


def _load(policy: Any, weights: Weights) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    policy.load_state_dict(tensors)
    for name, own in policy.state_dict().items():
        # A number that a wider type holds can be infinite in the network's.
        if tensors[name].dtype != own.dtype:
            raise ValueError(f"{name} is {tensors[name].dtype}; the network has {own.dtype}")


def _first_point_faults(evaluator: Evaluator, evaluation: Evaluation, policy: Any) -> Iterator[Fault]:
    """Where nothing precedes training, the first point is that of the initial weights, which the seed gives."""
    for name in ("greedy", "sampled"):
        message = course_difference(evaluator, policy, name, getattr(evaluation, name)[0], near=True)
        if message:
            yield Fault("evaluation.npz", f"{name}[0]", f"the initial weights of this seed get {message}")


def _fixed_arrays(policy: Any) -> Weights:
    """Return what training leaves as it is: groups, and all that a scheme without steps of its own does not train.

    Masks and gates are not learnt, so those of a forger may hold the hidden types, or give one scheme the name of
    another. Of a scheme from another package nobody knows what its networks note down.
    """
    scheme, arrays = policy.scheme, policy.state_dict()
    names = {LABELS, _IDENTITY_STEPS}
    if not scheme.acts_in_training:
        if is_builtin(policy.scheme_name):
            names = arrays.keys() - {f"scheme.{name}" for name, each in scheme.named_parameters() if each.requires_grad}
    elif not scheme.needs_identity_phase and (scheme.forms_groups or not is_builtin(policy.scheme_name)):
        names.remove(LABELS)
    return {name: arrays[name].numpy().copy() for name in sorted(names)}


def _fixed_faults(found: Mapping[str, Weights], rule: Weights, origin: str, *, exact: bool) -> Iterator[Fault]:
    """Hold what training leaves as it is, by file, to what it was when training began."""
    for file, arrays in found.items():
        for name in sorted(arrays.keys() & rule.keys()):
            mine, given = arrays[name], rule[name]
            apart = 0.0 if exact else FIXED_APART
            if mine.shape == given.shape and np.allclose(mine, given, rtol=0.0, atol=apart):
                continue
            told = f"{mine.tolist()}; {origin} gives {given.tolist()}"
            yield Fault(
                file, name, told if mine.ndim < 2 else f"training does not change it, and {origin} gives another"
            )


def _play_faults(record: FinishedRun, policy: Any, evaluator: Evaluator, *, best: bool, near: bool) -> Iterator[Fault]:
    """Hold recorded actions to the loaded weights, and play what was recorded without its actions."""
    evaluation, actions = record.evaluation, read_actions(record)
    last, point = len(evaluation.marks) - 1, int(evaluation.best_point)
    file = BEST if best else FINAL
    yield from choice_faults(record.config, policy, file, "absolute" if best else "final", actions, near=near)
    if best and point == last:
        return
    scored = record.config.task.scored
    name, place = (scored, point) if best else ("greedy" if scored == "sampled" else "sampled", last)
    recorded = getattr(evaluation, name)[place]
    message = course_difference(evaluator, policy, name, recorded, near=near)
    if message:
        yield Fault(file, "", f"evaluation.npz's {name}[{place}]: its weights get {message}")


def _anew(record: FinishedRun, policy: Any, evaluator: Evaluator, *, best: bool) -> Iterator[Anew]:
    """Play anew in every way in which a policy could have been fitted to its record."""
    evaluation, scored = record.evaluation, record.config.task.scored
    if best:
        yield fresh(policy, evaluator, BEST, "absolute", evaluation.absolute, play=scored)
        return
    last = len(evaluation.marks) - 1
    for play in (scored, "greedy" if scored == "sampled" else "sampled"):
        recorded = getattr(evaluation, play)[last]
        for look in (fresh, again):
            yield look(policy, evaluator, FINAL, f"{play}[{last}]", recorded, play=play)


def _held_out_faults(
    policy: Any, evaluator: Evaluator, told: HeldOut | None, others: NDArray[np.float64]
) -> Iterator[Fault]:
    """Play the held-out episodes of a board again, and hold them to ``[N]`` returns in others: it may be anybody's."""
    if told is None:
        return
    task = evaluator.task
    returns = held_out_returns(policy, evaluator, told.seed, play=task.scored)
    apart = float(tolerance(task, returns).mean() + ROUNDED * returns.std())
    if told.episodes != len(returns) or not abs(told.mean - returns.mean()) <= apart:
        message = f"{told.mean:.6g} in {told.episodes} episodes; in the {len(returns)} of its seed, its weights get"
        yield Fault(FINAL, "", f"{HELD_OUT}: {message} {returns.mean():.6g}")
    elif chance_of(returns, others) < MOST_BY_CHANCE:
        message = f"{told.mean:.6g} on average; in {len(others)} episodes that were drawn just now, its weights get"
        yield Fault(FINAL, "", f"{HELD_OUT}: {message} {others.mean():.6g}")


def _held_out_ari_faults(told: HeldOut, aris: list[float]) -> Iterator[Fault]:
    """Hold the ARI that a board stores to that of the same phases, run again."""
    mean = float(np.mean(aris)) if aris else None
    if (mean is None) != (told.ari is None) or not abs((mean or 0.0) - (told.ari or 0.0)) <= SAME_ARI:
        message = f"an ARI of {told.ari} with other seeds; their {len(aris)} identity phases find {mean}"
        yield Fault(FINAL, "", f"{HELD_OUT}: {message}")
