"""The same work in several processes at once, for measurements: what a core does while the others are busy too."""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import Any, TypeVar

from selfplay.system.child_process import become_child

ResultT = TypeVar("ResultT")


class TogetherError(RuntimeError):
    """One of the processes failed. The message is one line."""


def run_together(work: Callable[..., ResultT], processes: int, *arguments: Any) -> list[ResultT]:
    """Results of `work(ready, *arguments)` in each of `processes` new processes.

    `work` is importable and calls `ready()`, as often in every process and once at least. A call returns when all
    have made it, with a different number from 0 on in each; what follows runs at the same time in all of them. Raises
    TogetherError when one fails or dies; the others are ended.
    """
    context = mp.get_context("spawn")
    barrier = context.Barrier(processes)
    members, connections = [], []
    for _ in range(processes):
        ours, theirs = context.Pipe(duplex=False)
        member = context.Process(target=_work, args=(theirs, barrier, work, arguments), name="measure", daemon=True)
        member.start()
        theirs.close()
        members.append(member)
        connections.append(ours)
    try:
        return _collect(connections)
    finally:
        for member in members:
            member.kill()
            member.join()


def _collect(connections: list[Connection]) -> list[Any]:
    results: dict[Connection, Any] = {}
    while len(results) < len(connections):
        ended, failures = False, []
        for connection in wait([c for c in connections if c not in results]):
            assert isinstance(connection, Connection)
            try:
                succeeded, content = connection.recv()
            except EOFError:
                ended = True
                continue
            if succeeded:
                results[connection] = content
            else:
                failures.append(content)
        if failures:
            raise TogetherError(failures[0])
        if ended:
            raise TogetherError("a process ended without a result")
    return [results[connection] for connection in connections]


def _work(connection: Connection, barrier: Barrier, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    become_child()
    try:
        connection.send((True, work(barrier.wait, *arguments)))
    except BrokenBarrierError:
        pass  # another process failed and has said why
    except Exception as error:  # a traceback of a child helps nobody
        connection.send((False, f"{type(error).__name__}: {error}"))
        barrier.abort()  # only now: the parent hears the reason before it hears of the others' end
