"""A device that is no CPU, for machines without one.

Its tensors wrap tensors of the CPU, refuse to be mixed with those, and have no float64, as on MPS. PyTorch lets a
program register one device of its own, under the key PrivateUse1.
"""

import sys
from functools import cache

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "fakegpu"

# What PyTorch itself allows between devices: copies, and indices on the CPU.
_MIXED = {"aten.copy_.default", "aten._to_copy.default", "aten.index.Tensor", "aten.index_put_.default"}
_CONVOLUTIONS = {"aten.convolution.default", "aten.conv2d.default"}


class Memory:
    """Number of images that the device has memory for, and of convolutions until it is full for once."""

    max_images = n_until_full = sys.maxsize


class Traffic:
    """Number of copies to the device, and of those back, each of which waits for everything before it."""

    n_sent = n_returned = 0


class FakeTensor(torch.Tensor):
    """A tensor of the device."""

    @staticmethod
    def __new__(cls, raw):
        layout = {"strides": raw.stride(), "storage_offset": raw.storage_offset(), "dtype": raw.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, raw.shape, device=torch.device(NAME, 0), **layout)
        made.raw = raw
        return made

    def __repr__(self):
        return f"FakeTensor({self.raw!r})"

    def numpy(self, *args, **kwargs):
        raise TypeError(f"can't convert {NAME} device type tensor to numpy. Use Tensor.cpu() first.")

    def tolist(self):
        Traffic.n_returned += 1
        return self.raw.tolist()

    def __reduce_ex__(self, protocol):
        return self.raw.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), str(function)
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        if name not in _MIXED and any(not isinstance(value, cls) and value.dim() for value in tensors):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found {NAME}:0 and cpu ({name})")
        Memory.n_until_full -= name in _CONVOLUTIONS
        if name in _CONVOLUTIONS and (len(tensors[0]) > Memory.max_images or Memory.n_until_full == 0):
            raise torch.OutOfMemoryError(f"{NAME} out of memory. Tried to allocate 2.00 GiB.\nMore lines.")
        to_cpu = kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cpu"
        if kwargs.get("dtype") is torch.float64 and not to_cpu:
            raise TypeError(f"Cannot convert a tensor to float64 dtype, which {NAME} does not support")
        is_returned = to_cpu or name == "aten._local_scalar_dense.default"
        if name == "aten.copy_.default":
            Traffic.n_sent += not isinstance(args[1], cls)
            is_returned = not isinstance(args[0], cls)
        Traffic.n_returned += is_returned
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if name == "aten.copy_.default" and is_returned:
            return args[0].copy_(args[1].raw)
        with torch._C.DisableTorchFunctionSubclass():
            made = function(*tree_map(_unwrap, args), **tree_map(_unwrap, kwargs))
        if is_returned:
            return made
        return return_and_correct_aliasing(function, args, kwargs, tree_map(_wrap, made))


def _unwrap(value):
    return value.raw if isinstance(value, FakeTensor) else value


def _wrap(value):
    return FakeTensor(value) if isinstance(value, torch.Tensor) else value


class _Module:
    """What PyTorch asks of ``torch.fakegpu``."""

    def is_initialized(self):
        return True

    def is_available(self):
        return True

    def _is_in_bad_fork(self):
        return False

    def current_device(self):
        return 0

    def device_count(self):
        return 1

    def manual_seed_all(self, seed):
        pass

    def get_rng_state(self, device=None):
        return torch.get_rng_state()

    def set_rng_state(self, state, device=None):
        pass

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]


@cache
def register():
    """Make the device known to PyTorch, once per process; return it."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    library = torch.library.Library("aten", "IMPL")

    def empty(size, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
        return FakeTensor(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))

    def empty_strided(size, stride, *, dtype=None, layout=None, device=None, pin_memory=None):
        return FakeTensor(torch.empty_strided(size, stride, dtype=dtype))

    def copy_from(source, target, non_blocking=False):
        _unwrap(target).copy_(_unwrap(source))
        return target

    for name, function in (("_copy_from", copy_from), ("empty.memory_format", empty), ("empty_strided", empty_strided)):
        library.impl(name, function, "PrivateUse1")
    register.library = library  # as long as it lives, the device does
    return torch.device(NAME, 0)
