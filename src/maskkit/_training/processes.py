"""The processes that train one model together."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed

# Where launchers say how many processes they started; the last three are those of MPI.
_LAUNCHED = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes that train together, as one of them sees it; by default it is alone, and nothing here does anything.

    Attributes
    ----------
    rank : int
        This one's number, from 0.
    count : int
    device : torch.device, optional
        The one that the launcher gave to this process.
    """

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def share(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give this process's part of rows: parts follow each other and differ by one row at most."""
        return rows if self.count == 1 else np.array_split(rows, self.count)[self.rank]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Add up the tensors that all processes hold; no gradient flows through it."""
        if self.count == 1:
            return values
        total = values.detach().clone()
        distributed.all_reduce(total)
        return total

    def sum_floats(self, values: list[float]) -> list[float]:
        """Add up the numbers that all processes hold."""
        if self.count == 1:
            return values
        total: list[float] = self.sum(torch.tensor(values, dtype=torch.float64, device=self.device)).tolist()
        return total

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Stack the tensors that all processes hold, (count, ...)."""
        parts = [torch.empty_like(values) for _ in range(self.count)]
        distributed.all_gather(parts, values.contiguous())
        return torch.stack(parts)

    def sum_gradients(self, parameters: Iterable[torch.Tensor]) -> None:
        """Add up the gradients of all processes, in place and in one message."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(part.view(gradient.shape))

    def follow_main(self, value: int) -> int:
        """Give the main process's number in place of one's own."""
        if self.count == 1:
            return value
        held = [value]
        distributed.broadcast_object_list(held, src=0, device=self.device)
        return held[0]

    def check_alike(self, described: dict[str, Any]) -> None:
        """Check that all processes hold equal descriptions of what is to be done.

        Raises
        ------
        ValueError
            If they do not; the same in every process, so that none is left waiting.
        """
        if self.count == 1:
            return
        held: list[Any] = [None] * self.count
        distributed.all_gather_object(held, described)
        apart = [name for name in described if any(other.get(name) != held[0][name] for other in held)]
        if apart:
            raise ValueError(
                f"the {self.count} processes were given different {', '.join(apart)}; "
                f"let each call fit with the same data and parameters."
            )


def find_processes() -> Processes:
    """Find the processes that ``accelerate launch``, ``torchrun`` or ``mpirun`` started, and join them.

    Raises
    ------
    RuntimeError
        If there are several, and accelerate does not see them.
    """
    # All say so in the environment; whoever trains alone need not wait for an import.
    n_launched = max(int(os.environ.get(name, 1)) for name in _LAUNCHED)
    if n_launched < 2:
        return Processes()
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Without a GPU accelerate takes processes for strangers unless it is told to use the CPU.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())
    if state.num_processes != n_launched:
        raise RuntimeError(
            f"{n_launched} processes were launched, and accelerate sees {state.num_processes}; on CPUs set "
            f"ACCELERATE_USE_CPU=true before the launch, or make no PartialState or Accelerator before fit."
        )
    return Processes(state.process_index, state.num_processes, state.device)
