"""Training in several processes, found and joined by accelerate."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maskkit.engines._devices import resolve_device

# Where launchers state how many processes they started; the last three are set by MPI.
_WORLD_SIZE_VARIABLES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train one model together, as seen by one of them. A single process communicates nothing.

    `rank` is the number of this process, from 0; `device` the one that the launcher assigned to it, if any.
    """

    rank: int = 0
    size: int = 1
    device: torch.device | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def shard(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the part of rows of this process: consecutive parts whose sizes differ by at most one."""
        return rows if self.size == 1 else np.array_split(rows, self.size)[self.rank]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum the tensors of all processes; no gradient flows through the sum."""
        if self.size == 1:
            return values
        from accelerate.utils import reduce

        total: torch.Tensor = reduce(values.detach().clone(), "sum")
        return total

    def sum_floats(self, values: list[float]) -> list[float]:
        if self.size == 1:
            return values
        # MPS has no float64.
        dtype = torch.float32 if self.device is not None and self.device.type == "mps" else torch.float64
        total: list[float] = self.sum(torch.tensor(values, dtype=dtype, device=self.device)).tolist()
        return total

    def sum_gradients(self, parameters: Iterable[torch.Tensor]) -> None:
        """Sum the gradients of all processes, in place and in one message."""
        if self.size == 1:
            return
        # All parameters go in one message, because each message has a latency.
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def average_buffers(self, network: nn.Module) -> None:
        """Replace the floating-point buffers of a network, such as running means, by their mean over all processes."""
        if self.size > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.sum(buffer) / self.size)

    def broadcast(self, value: int) -> int:
        """Return rank 0's value on every rank."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return int(broadcast_object_list([value])[0])

    def check_equal(self, description: dict[str, Any]) -> None:
        """Check that all processes hold equal descriptions of the training.

        Raises ValueError if they do not; in every process, so that none waits for the others.
        """
        if self.size == 1:
            return
        from accelerate.utils import gather_object

        main, *others = gather_object([description])
        different = [name for name in description if any(other.get(name) != main[name] for other in others)]
        if different:
            raise ValueError(
                f"the {self.size} processes were given different {', '.join(different)}; "
                f"call fit with the same data and parameters in each."
            )


def find_world() -> World:
    """Join the processes that ``accelerate launch``, ``torchrun`` or ``mpirun`` started.

    Raises RuntimeError if there are several, and accelerate does not find them.
    """
    # The environment is checked first, so that a single process does not wait for the import of accelerate.
    n_launched = max(int(os.environ.get(name, 1)) for name in _WORLD_SIZE_VARIABLES)
    if n_launched < 2:
        return World()
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Without a GPU, accelerate ignores the other processes unless it is told to use the CPU.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or resolve_device("auto").type == "cpu")
    if state.num_processes != n_launched:
        raise RuntimeError(
            f"{n_launched} processes were launched, but accelerate finds {state.num_processes}; on CPUs set "
            f"ACCELERATE_USE_CPU=true before the launch, and create no PartialState or Accelerator before fit."
        )
    return World(state.process_index, state.num_processes, state.device)
