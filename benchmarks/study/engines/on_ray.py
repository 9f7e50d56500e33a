"""Jobs as tasks of a Ray cluster, which schedules them, moves data and rows, and runs again what a lost node had begun.

Rows and ledger are written on the driver's machine alone, by an actor there: a task asks it for the job, has it write
to the ledger before the test is opened, and hands it the row. So the nodes need no shared folder, and an attempt that
runs again after the loss of its node finds the job its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.evaluation.instruments import Instruments
from benchmarks.study.engines.place import FAILED, Engine, Keeper, Pass, Place, work
from benchmarks.study.job import Job, data, provide
from benchmarks.study.rows import Row
from trading_env import __version__
from trading_env._extras import optional


class EngineError(RuntimeError):
    """The cluster cannot run the study."""


def on_ray(address: str | None = None) -> Engine:
    """An engine whose workers are the nodes of a Ray cluster.

    Args:
        address: of the cluster, as `ray.init` takes it; None for the one that runs here, or else a new one of all
            cores of this machine.

    Raises:
        ImportError: Ray is missing.
        ValueError: the address is that of a client, which is no node of the cluster.
    """
    ray = optional("ray", "ray", "the engine ray")
    if address is not None and address.startswith("ray://"):
        raise ValueError(f"address must be host:port or auto, on a node of the cluster, got {address!r}")
    return _running(ray, address)


@contextmanager
def _running(ray: Any, address: str | None) -> Iterator[Pass]:
    """Connects to the cluster, unless this process is connected already."""
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address, logging_level="warning")
    markets: dict[str, Any] = {}

    def run_each(jobs: Sequence[Job], place: Place) -> Iterator[tuple[Job, str]]:
        for dataset in {job.dataset for job in jobs if job.suite.data} - markets.keys():
            markets[dataset] = ray.put(data(dataset))
        yield from _pass(ray, jobs, place, markets)

    try:
        yield run_each
    finally:
        if ours:
            ray.shutdown()


def _pass(ray: Any, jobs: Sequence[Job], place: Place, markets: dict[str, Any]) -> Iterator[tuple[Job, str]]:
    """Each job once, with its state as it ends."""
    actor = _actor(ray, place)
    task = ray.remote(num_cpus=1)(_task)
    pending = {
        task.options(name=job.name).remote(job, markets.get(job.dataset), actor, __version__): job for job in jobs
    }
    while pending:
        for ended in ray.wait(list(pending))[0]:
            job = pending.pop(ended)
            yield job, _state(ray, ended, job, Remote(actor))


def _actor(ray: Any, place: Place) -> Any:
    """The keeper of the files, on this machine."""
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    here = strategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1, "max_task_retries": -1}
    whole = Place(place.folder.absolute(), place.ledger.absolute(), place.suite)
    return ray.remote(**options)(Keeper).remote(whole)


def _task(job: Job, traded: Instruments | None, actor: Any, version: str) -> str:
    """Runs one job on a node."""
    if version != __version__:
        raise EngineError(f"a node has version {__version__} of trading-env, the study runs {version}")
    if traded is not None:
        provide(job.dataset, traded)
    return work(job, Remote(actor))


class Remote:
    """A `Keeper` that is an actor, with the same methods; each returns when the actor has done it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def claim(self, job: Job) -> str | None:
        """As `Keeper.claim`."""
        state: str | None = _got(self._actor.claim.remote(job))
        return state

    def append(self, **line: Any) -> None:
        """As `Keeper.append`."""
        _got(self._actor.append.remote(**line))

    def keep(self, job: Job, row: Row) -> None:
        """As `Keeper.keep`."""
        _got(self._actor.keep.remote(job, row))

    def fail(self, job: Job, error: str, trace: str) -> None:
        """As `Keeper.fail`."""
        _got(self._actor.fail.remote(job, error, trace))

    def release(self, job: Job) -> None:
        """As `Keeper.release`."""
        _got(self._actor.release.remote(job))


def _got(reference: Any) -> Any:
    """What the actor or the task returned; its own error if it raised one.

    Not by `ray.get`: a task that waits in it lends its core to another task, and both go on beside each other then.
    """
    import ray

    try:
        return reference.future().result()
    except ray.exceptions.RayTaskError as raised:
        error: Any = raised
        while isinstance(error, ray.exceptions.RayTaskError):
            error = error.cause
        raise error from None


def _state(ray: Any, ended: Any, job: Job, keeper: Remote) -> str:
    """The state of a task that has ended; failed if its processes died as often as Ray tries again."""
    try:
        return str(_got(ended))
    except ray.exceptions.RayError as error:
        keeper.fail(job, f"{type(error).__name__}: {error}", "")
        keeper.release(job)
        return FAILED
