"""Two hundred agents of twenty types train with every registered scheme in little memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adaps_agents import list_schemes

LIMIT_MIB = 4_096

# In a process of its own, because the peak of a process never falls.
PROGRAM = """
import resource, sys
from adaps_agents import SharingA2C, make_scheme
from adaps_envs import make

name = sys.argv[1]
env = make("BPS-1", api="sb3", num_envs=8, groups=[10] * 20)
options = {"labels": "true"} if name != "oracle" and make_scheme(name).group_source else {}
if name == "adaps_gates":
    options["identity"] = {"env_steps": 400}  # it plays for the relevance of entries whatever gives the groups
policy = {"net_arch": [64, 64], "scheme_kwargs": options}
model = SharingA2C(name, env, seed=0, n_steps=5, device="cpu", policy_kwargs=policy)
model.learn(8 * 5 * 21)
model.diagnose()
model.sharing_map()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", list_schemes())
def test_two_hundred_agents_of_twenty_types_fit(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert float(done.stdout.split()[-1]) < LIMIT_MIB
