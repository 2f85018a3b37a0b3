"""Kill processes while they save: python -m tests.files.killed_saves GOLDEN TARGET N prints what was left, as JSON."""

import json
import os
import random
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

import torch

from maskkit import MaskClassifier
from maskkit.exceptions import ModelFileError


def save_for_ever(models, target, writing):
    """Report how long a save takes, and save without end."""
    started = time.perf_counter()
    models[0].save(target)
    os.write(writing, struct.pack("d", time.perf_counter() - started))
    while True:
        for model in models:
            model.save(target)


def list_others(target):
    return [path for path in target.parent.iterdir() if path != target]


def main(golden, target, n_kills):
    torch.set_num_threads(1)  # threads do not survive the fork
    target = Path(target)
    models = [MaskClassifier.load(golden, engine="torch") for _ in range(2)]
    models[1].history_ = models[1].history_[:1]
    models[0].save(target)
    rng = random.Random(0)
    tally = {"first": 0, "second": 0, "broken": 0, "interrupted": 0}
    for number in range(n_kills):
        models.reverse()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            save_for_ever(models, target, writing)
        # On a busy machine the child starts late and saves slowly, so it is timed each time.
        (one,) = struct.unpack("d", os.read(reading, 8))
        os.close(reading)
        os.close(writing)
        time.sleep(rng.uniform(0, 4 * one))
        # Every other kill is aimed at the moments in which there is something beside the model.
        while number % 2 and not list_others(target):
            time.sleep(one / 1000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            found = MaskClassifier.load(target, engine="torch")
        except ModelFileError as exc:
            print(exc, file=sys.stderr)
            tally["broken"] += 1
        else:
            tally["first" if len(found.history_) > 1 else "second"] += 1
        left = list_others(target)
        tally["interrupted"] += bool(left)
        for path in left:
            shutil.rmtree(path)
    print(json.dumps(tally))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
