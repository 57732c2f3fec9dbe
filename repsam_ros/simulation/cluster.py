"""Scenes made on several machines, by Dask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from importlib import import_module, metadata
from typing import Any, TypeVar

from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.simulation.workers import map_with

Item = TypeVar("Item")
Result = TypeVar("Result")

LOCAL = "local:"
# Those whose version may change a byte of the result.
_PACKAGES = (
    "repsam_ros",
    "numpy",
    "torch",
    "scipy",
    "mujoco",
    "embreex",
    "mitsuba",
    "pyoidn",
    "trimesh",
    "opencv-python-headless",
)


def map_on_cluster(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    address: str,
    *,
    single_threaded: bool = False,
) -> Generator[Result, None, None]:
    """Results in the order in which they are done.

    Results travel over the network, so the machines need not share a file system.

    Args:
        address: Of a Dask scheduler (``tcp://host:8786``), or ``local:N`` for N processes here.
        single_threaded: Refuse workers with several threads, for a function that sets what belongs
            to the whole process, such as PyTorch's random state.

    Raises:
        BackendError: Dask is missing, no worker is there, or one has other package versions.
    """
    try:
        distributed: Any = import_module("distributed")
    except ImportError as error:
        raise BackendError("--cluster needs Dask: pip install 'repsam_ros[cluster]'") from error
    # Dask tells about every connection; what fails comes back as an exception.
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with ExitStack() as stack:
        target: Any = address
        if address.startswith(LOCAL):
            options = {"threads_per_worker": 1, "dashboard_address": ":0"}
            cluster = distributed.LocalCluster(n_workers=_count(address), **options)
            target = stack.enter_context(cluster)
        try:
            client = stack.enter_context(distributed.Client(target))
        except (OSError, ValueError) as error:
            raise BackendError(f"no Dask scheduler at {address}: {error}") from error
        workers = _checked_workers(client, address)
        if single_threaded and max(client.nthreads().values()) > 1:
            raise BackendError("start Dask workers with --nthreads 1: one job a process")
        try:
            yield from map_with(client.get_executor(pure=False), function, items, 2 * workers)
        except distributed.KilledWorker as error:
            raise BackendError(
                f"Dask workers died: {error}; start the same command again and it goes on"
            ) from error


def _count(address: str) -> int:
    text = address.removeprefix(LOCAL)
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--cluster {address}: expected local:N with N processes")
    return int(text)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def _checked_workers(client: Any, address: str) -> int:
    """The number of threads of all workers, which must have the package versions of this side."""
    threads: int = sum(client.nthreads().values())
    if not threads:
        raise BackendError(f"the Dask scheduler at {address} has no workers")
    here = _versions()
    for worker, there in client.run(_versions).items():
        for name, version in here.items():
            if there[name] != version:
                raise BackendError(
                    f"worker {worker} has {name} {there[name]}, this side {version}; "
                    "the same bytes need the same versions"
                )
    return threads
