"""Running of the code of pages in processes that need not import torch again."""

import multiprocessing
import os
import sys

# Processes are forked from one that has imported the libraries and computed nothing. Windows cannot fork.
CONTEXT = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
CONTEXT.set_forkserver_preload(["maskkit._model.classifier", "maskkit.evaluation._evaluate", "sklearn.model_selection"])


def run(code, folder):
    """Run code in a process of its own, with `folder` as the working folder; return its exit code and output."""
    log = folder / "output.txt"
    process = CONTEXT.Process(target=_execute, args=(code, folder, log))
    process.start()
    process.join()
    output = log.read_text(encoding="utf-8")
    log.unlink()
    return process.exitcode, output


def _execute(code, folder, log):
    # The pages train every layer on a few drawings, of which two steps show as much as the usual number.
    plan = sys.modules["maskkit._model.plan"]
    plan.MIN_STEPS = plan.MIN_GOING_ON_STEPS = 2
    os.chdir(folder)
    with open(log, "w", encoding="utf-8") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    exec(compile(code, "page", "exec"), {"__name__": "__main__"})
