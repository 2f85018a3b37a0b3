"""Kill processes while they save: python -m tests.files.killed_saves GOLDEN TARGET N prints what was left, as JSON."""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from maskkit import MaskClassifier
from maskkit.exceptions import ModelFileError


def save_for_ever(models, target):
    while True:
        for model in models:
            model.save(target)


def main(golden, target, n_kills):
    torch.set_num_threads(1)  # threads do not survive the fork
    target = Path(target)
    models = [MaskClassifier.load(golden, engine="torch") for _ in range(2)]
    models[1].history_ = models[1].history_[:1]
    models[0].save(target)
    started = time.perf_counter()
    models[0].save(target)
    one = time.perf_counter() - started
    rng = random.Random(0)
    tally = {"first": 0, "second": 0, "broken": 0, "interrupted": 0}
    for _ in range(n_kills):
        models.reverse()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, b"started")
            save_for_ever(models, target)
        # On a busy machine the child may start late; its time counts from when it runs.
        os.read(reading, 7)
        os.close(reading)
        os.close(writing)
        time.sleep(rng.uniform(0, 4 * one))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        try:
            found = MaskClassifier.load(target, engine="torch")
        except ModelFileError as exc:
            print(exc, file=sys.stderr)
            tally["broken"] += 1
        else:
            tally["first" if len(found.history_) > 1 else "second"] += 1
        left = [path for path in target.parent.iterdir() if path != target]
        tally["interrupted"] += bool(left)
        for path in left:
            shutil.rmtree(path)
    print(json.dumps(tally))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
