import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from maskkit._training.sync_layers import GlobalBatch


class Threads:
    """Stands for `Processes`: threads that write on one board."""

    def __init__(self, rank, board, barrier):
        self.rank = rank
        self.board = board
        self.barrier = barrier

    def share(self, rows):
        return np.array_split(rows, len(self.board))[self.rank]

    def gather(self, values):
        self.board[self.rank] = values.detach()
        self.barrier.wait(timeout=20)
        gathered = torch.stack(self.board)
        self.barrier.wait(timeout=20)
        return gathered

    def sum(self, values):
        return self.gather(values).sum(0)


def run_together(work, n_processes):
    """Call work(processes) in threads that take each other for processes."""
    board, barrier = [None] * n_processes, threading.Barrier(n_processes)
    results, errors = [None] * n_processes, []

    def run(rank):
        try:
            results[rank] = work(Threads(rank, board, barrier))
        except Exception as exc:
            errors.append(exc)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n_processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(11, 3, 9, 9, generator=generator), torch.arange(11) % 2


def make_network():
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.BatchNorm2d(5, affine=False)]
    return nn.Sequential(*layers, nn.Flatten(), nn.BatchNorm1d(125, momentum=0.3), nn.Linear(125, 2)).train()


def step(network, inputs, targets, n_images):
    (cross_entropy(network(inputs), targets, reduction="sum") / n_images).backward()
    return network


@pytest.mark.parametrize("n_processes", [2, 3])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_batch_norm_sees_the_batch_of_all(data, n_processes, memory_format):
    inputs, targets = data[0].contiguous(memory_format=memory_format), data[1]
    network = make_network()

    def work(processes):
        rows = processes.share(np.arange(11))
        with GlobalBatch(processes, 11):
            return step(copy.deepcopy(network), inputs[rows], targets[rows], 11)

    alone = step(copy.deepcopy(network), inputs, targets, 11)
    together = run_together(work, n_processes)
    for name, parameter in alone.named_parameters():
        total = sum(dict(other.named_parameters())[name].grad for other in together)
        torch.testing.assert_close(total, parameter.grad, rtol=1e-4, atol=2e-6)
    for other in together:
        for name, buffer in other.named_buffers():
            torch.testing.assert_close(buffer, dict(alone.named_buffers())[name], rtol=1e-5, atol=1e-6)


def test_batch_norm_of_part_of_the_batch_differs(data):
    inputs, targets = data
    alone = step(make_network(), inputs, targets, 11)
    apart = [step(make_network(), inputs[rows], targets[rows], 11) for rows in (slice(0, 6), slice(6, 11))]
    total = apart[0][0].weight.grad + apart[1][0].weight.grad
    assert float((total - alone[0].weight.grad).abs().max()) > 1e-3


def test_batch_norm_in_bfloat16_keeps_the_type(data):
    inputs = data[0].bfloat16().requires_grad_()
    layer = nn.BatchNorm2d(3)

    def work(processes):
        with GlobalBatch(processes, 11):
            return layer(inputs[processes.share(np.arange(11))])

    outputs = torch.cat(run_together(work, 1))
    outputs.sum().backward()
    assert outputs.dtype == inputs.grad.dtype == torch.bfloat16
    torch.testing.assert_close(outputs, nn.BatchNorm2d(3)(inputs))


def test_evaluation_uses_the_running_statistics(data):
    network = make_network().eval()

    def work(processes):
        with GlobalBatch(processes, 11):
            return network(data[0][processes.share(np.arange(11))])

    torch.testing.assert_close(torch.cat(run_together(work, 2)), network(data[0]))


def drop_path(inputs):
    """Stochastic depth as timm and torchvision write it."""
    return inputs * inputs.new_empty((len(inputs), 1, 1, 1)).bernoulli_(0.5)


@pytest.mark.parametrize("layer", [nn.Dropout(0.4), nn.Dropout(0.4, inplace=True), drop_path])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_each_process_drops_its_rows_of_one_mask(layer, memory_format):
    inputs = torch.ones(11, 4, 3, 3).contiguous(memory_format=memory_format)
    parts = []
    for rank in range(3):
        processes = Threads(rank, [None] * 3, None)
        torch.manual_seed(5)
        with GlobalBatch(processes, 11):
            parts.append(layer(inputs[processes.share(np.arange(11))].clone()))
    torch.manual_seed(5)
    assert torch.equal(torch.cat(parts), layer(inputs.clone()))
