"""Checking that a set of runs is what it claims to be, without torch and without trusting a byte of it.

:func:`verify_directory` and :func:`~baselines.leaderboard.verify.packing.verify_submission` check files, hashes,
schema, protocol, seeds and counts, and replay the recorded actions in the environments: the returns must come out.
:func:`~baselines.leaderboard.verify.deep.deep_checks` also plays the stored policies, which needs torch.
"""

from __future__ import annotations

from baselines.leaderboard.verify.packing import (
    SubmissionError,
    pack_submission,
    submissions_in,
    unpacked_submission,
    verify_submission,
)
from baselines.leaderboard.verify.runset import MOST_DECISIONS, verify_directory
from baselines.leaderboard.verify.verdict import Fault, RunVerdict, Verdict

__all__ = [
    "MOST_DECISIONS",
    "Fault",
    "RunVerdict",
    "SubmissionError",
    "Verdict",
    "pack_submission",
    "submissions_in",
    "unpacked_submission",
    "verify_directory",
    "verify_submission",
]
