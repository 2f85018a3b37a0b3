"""The cases of `fake_gpu_cases`, on a device of their own.

A process that knows the device starts a thread for its gradients, and a process forked from it cannot train. So the
cases run in a process of their own.
"""

import subprocess
import sys
from pathlib import Path


def test_every_path_to_a_device_holds_on_a_fake_one(pytestconfig):
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command += [f"-W{rule}" for rule in pytestconfig.getoption("pythonwarnings") or ()]
    command += ["tests/gpu/fake_gpu_cases.py"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
