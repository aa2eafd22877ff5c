"""EPyMARL: its IQL on one of our ids. EPyMARL is no package: give the folder of its sources."""

import subprocess
import sys

SETTINGS = {
    "env_args.key": "adaps_envs:adaps/BPS-1-tuple-v0",
    "env_args.time_limit": 25,
    "t_max": 400,
    "test_nepisode": 1,
    "save_model": False,
    "use_cuda": False,
}

settings = [f"{name}={value}" for name, value in SETTINGS.items()]
command = [sys.executable, "src/main.py", "--config=iql", "--env-config=gymma", "with", *settings]
subprocess.run(command, cwd=sys.argv[1], check=True)
