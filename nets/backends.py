"""Backends, which run one folded network on a device: traced on the CPU, as CUDA graphs on a GPU.

`nets.inference` decides which backend to use. A backend builds its network once, and weights are copied
into it in place: a traced function and a captured graph read them where they were at the start. Tracing again for each
version of the weights would never free the last one.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from nets.board import Board
from nets.config import NetConfig
from nets.models import PolicyValueNet, build
from nets.transforms import inverse_transform_value

Net = TypeVar("Net", bound=nn.Module)

Outputs = tuple[Float[np.ndarray, "B A"], Float[np.ndarray, "B V"]]


class Backend(ABC):
    """One network on one device in one precision."""

    dtype: torch.dtype
    mode: str

    @abstractmethod
    def run(self, observations: Shaped[np.ndarray, "B ..."], bucket: int) -> Outputs:
        """Evaluate 1 <= B <= bucket positions padded to `bucket`; the arrays returned belong to the caller."""

    @abstractmethod
    def copy_weights(self, folded: Mapping[str, Tensor]) -> None:
        """Overwrite the weights with those of `fold_batch_norm`; names and shapes have been checked."""


class _Evaluator(nn.Module):
    """The twin with everything around it: observations in, float32 logits and values in reward units out."""

    def __init__(self, twin: PolicyValueNet, dtype: torch.dtype) -> None:
        super().__init__()
        self.twin = twin
        self.dtype = dtype

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        x = self.twin.transform_input(observation).to(self.dtype)
        if x.ndim == 4:
            # A handful of planes: reordering them costs nothing beside the convolutions that it speeds up.
            x = x.contiguous(memory_format=torch.channels_last)
        policy_logits, value = self.twin.evaluate(x)
        value = inverse_transform_value(value.float(), self.twin.config.value_transform)
        return policy_logits.float(), value


def build_twin(
    config: NetConfig, observation_shape: Sequence[int], num_actions: int, num_values: int, board: Board | None = None
) -> PolicyValueNet:
    """The network that folded weights fit, in evaluation mode, without gradients and auxiliary heads."""
    bare = replace(
        config, batch_norm=False, reply_head=False, moves_left_head=False, ownership_head=False, score_head=False
    )
    twin = build(bare, observation_shape, num_actions, num_values, board=board)
    return twin.eval().requires_grad_(False)


def input_dtype(config: NetConfig) -> torch.dtype:
    """Data type of observations: bytes for pixels, else float32."""
    return torch.uint8 if config.input_transform == "pixels" else torch.float32


def padded(observations: np.ndarray, bucket: int, buffers: dict[int, np.ndarray]) -> np.ndarray:
    """The observations, with unused rows up to `bucket`; `buffers` keeps an array for each size."""
    count = len(observations)
    if count == bucket:
        return observations
    if bucket not in buffers:
        buffers[bucket] = np.zeros((bucket, *observations.shape[1:]), dtype=observations.dtype)
    buffers[bucket][:count] = observations
    return buffers[bucket]


def with_dtype(twin: PolicyValueNet, dtype: torch.dtype) -> PolicyValueNet:
    """The twin with weights of another precision; mean and variance of the normaliser stay in float32."""
    twin.to(dtype=dtype)
    if twin.normaliser is not None:
        twin.normaliser.float()
    return twin


def channels_last(twin: Net) -> Net:
    """The twin with the weights of its convolutions in the memory format that is fastest, channels last."""
    return twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs


def copy_in_place(twin: PolicyValueNet, folded: Mapping[str, Tensor]) -> None:
    """Overwrite the twin's weights; each keeps its address, precision and memory format."""
    with torch.no_grad():
        for name, tensor in twin.state_dict().items():
            tensor.copy_(folded[name])


class CpuBackend(Backend):
    """The network on the CPU, traced and channels last."""

    mode = "trace"

    def __init__(self, twin: PolicyValueNet, dtype: torch.dtype) -> None:
        """Takes `twin` over (its precision and memory format change)."""
        self.dtype = dtype
        self._twin = channels_last(with_dtype(twin, dtype))
        self._padded: dict[int, np.ndarray] = {}
        example = torch.zeros(2, *twin.observation_shape, dtype=input_dtype(twin.config))
        self._traced = trace(_Evaluator(self._twin, dtype).eval(), example)

    def run(self, observations: Shaped[np.ndarray, "B ..."], bucket: int) -> Outputs:
        count = len(observations)
        observations = padded(observations, bucket, self._padded)
        with torch.inference_mode():
            policy_logits, value = self._traced(torch.from_numpy(observations))
        return policy_logits.numpy()[:count], value.numpy()[:count]

    def copy_weights(self, folded: Mapping[str, Tensor]) -> None:
        copy_in_place(self._twin, folded)


def trace(evaluator: nn.Module, *example: Tensor) -> nn.Module:
    """Without freezing: a frozen trace has its own copy of the weights.

    Against calling the module, measured on one core: twice as fast at batch 1, a tenth at 32, the same at 256.
    """
    with torch.inference_mode(), warnings.catch_warnings():
        # torch recommends torch.compile, which needs a C++ compiler on the machine and minutes to warm up.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # a trace has one size of board
        return torch.jit.trace(evaluator, example, check_trace=False)


class CudaBackend(Backend):
    """The network on a GPU: one captured graph per bucket, between buffers that never move."""

    mode = "cuda_graph"

    def __init__(self, twin: PolicyValueNet, dtype: torch.dtype, device: torch.device, buckets: Sequence[int]) -> None:
        """Takes `twin` over and captures the graphs, largest first, in one memory pool."""
        self.dtype = dtype
        self._device = device
        self._twin = channels_last(with_dtype(twin.to(device=device), dtype))
        self._evaluator = _Evaluator(self._twin, dtype).eval()
        with torch.cuda.device(device), torch.inference_mode():
            self._pool = torch.cuda.graph_pool_handle()
            self._graphs = {bucket: self._capture(bucket) for bucket in sorted(buckets, reverse=True)}

    def _capture(self, bucket: int) -> _CapturedGraph:
        dtype = input_dtype(self._twin.config)
        host_input = torch.zeros(bucket, *self._twin.observation_shape, dtype=dtype, pin_memory=True)
        device_input = host_input.to(self._device)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries allocate and choose kernels on first use, which a capture forbids
            for _ in range(3):
                self._evaluator(device_input)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            device_outputs = self._evaluator(device_input)
        host_outputs = tuple(torch.empty(output.shape, pin_memory=True) for output in device_outputs)
        return _CapturedGraph(graph, host_input, device_input, device_outputs, host_outputs)

    def run(self, observations: Shaped[np.ndarray, "B ..."], bucket: int) -> Outputs:
        with torch.cuda.device(self._device), torch.inference_mode():
            policy_logits, value = self._graphs[bucket].replay(observations)
        return policy_logits, value

    def copy_weights(self, folded: Mapping[str, Tensor]) -> None:
        with torch.cuda.device(self._device):
            copy_in_place(self._twin, folded)
            torch.cuda.current_stream().synchronize()


class _CapturedGraph:
    """A graph with its buffers.

    Graphs share a memory pool. That is safe: they run one after another on one stream, and the outputs of each stay
    referenced here, so that no other graph gets their memory.
    """

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        host_input: Tensor,
        device_input: Tensor,
        device_outputs: tuple[Tensor, Tensor],
        host_outputs: tuple[Tensor, ...],
    ) -> None:
        self._graph = graph
        self._host_input = host_input
        self._device_input = device_input
        self._device_outputs = device_outputs
        self._host_outputs = host_outputs
        self._host_array = host_input.numpy()

    def replay(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(observations)
        self._host_array[:count] = observations
        self._device_input.copy_(self._host_input, non_blocking=True)
        self._graph.replay()
        for host, output in zip(self._host_outputs, self._device_outputs, strict=True):
            host.copy_(output, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        policy_logits, value = (host[:count].numpy().copy() for host in self._host_outputs)
        return policy_logits, value
