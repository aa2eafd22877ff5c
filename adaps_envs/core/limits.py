"""How large a game may be: beyond these limits one lane takes hundreds of megabytes, or its counters overflow."""

from __future__ import annotations

from adaps_envs.errors import InvalidParameterError

__all__ = ["MAX_STEPS", "check_observation_size"]

# Steps are counted in int32, one more than the limit where a lane is stepped past its end.
MAX_STEPS = 2**31 - 2
MAX_ENTRIES = 100_000
MAX_LANE_ENTRIES = 50_000_000


def check_observation_size(num_agents: int, entries: int, way_out: str) -> None:
    """Refuse observations that are too long, for one agent or for all N together.

    Args:
        num_agents: N.
        entries: F.
        way_out: what the caller may lower, ending the sentence.

    Raises:
        InvalidParameterError: F or N * F is above its limit.
    """
    if entries > MAX_ENTRIES or entries * num_agents > MAX_LANE_ENTRIES:
        raise InvalidParameterError(
            f"an observation would have {entries} entries for each of {num_agents} agents; the limits are "
            f"{MAX_ENTRIES} an agent and {MAX_LANE_ENTRIES} together: {way_out}."
        )
