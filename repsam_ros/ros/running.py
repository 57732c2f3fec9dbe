"""Runs one node until it is told to stop; the exit code says how it ended."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import rclpy
import rclpy.utilities
from rclpy.exceptions import ParameterException
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.signals import SignalHandlerOptions

from repsam_ros.errors import RepsamError
from repsam_ros.ros.executor_thread import ExecutorThread
from repsam_ros.ros.managed_node import ManagedNode
from repsam_ros.ros.patient_answers import PatientAnswers
from repsam_ros.ros.processes import stop_event
from repsam_ros.ros.shared_memory import enlarge_shared_memory

EXIT_FAILURE = 1
EXIT_BAD_SETUP = 2

# What a transition or frame in work gets at the end; ros2 launch gets rough after 5 s.
_LAST_WORK_S = 2.0


def run_node(make_node: Callable[[], ManagedNode], argv: Sequence[str] | None = None) -> NoReturn:
    """Makes and spins a node, and ends the process.

    The exit code is 0 after SIGINT, SIGTERM or a shutdown from outside, 1 after an unexpected
    error, 2 when the node cannot be made (bad parameters, no keystore for security).
    """
    code = _run(make_node, argv)
    # The interpreter's own end takes apart what PyTorch loaded, for seconds on a busy machine, and
    # aborts the process where a thread is still inside a C++ library.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(make_node: Callable[[], ManagedNode], argv: Sequence[str] | None) -> int:
    stop = stop_event()
    enlarge_shared_memory()
    # PyTorch's threads wait in a loop unless told otherwise. On a busy machine they take the CPU
    # from those they wait for: a frame took 20 seconds instead of half a second.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        rclpy.init(
            args=None if argv is None else list(argv),
            signal_handler_options=SignalHandlerOptions.NO,
        )
        node = make_node()
    except (RepsamError, ParameterException, _rclpy.RCLError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        rclpy.utilities.try_shutdown()
        return EXIT_BAD_SETUP
    handler = RosLogHandler(node.get_logger())
    core_logger = logging.getLogger("repsam_ros")
    core_logger.setLevel(logging.INFO)
    core_logger.addHandler(handler)
    try:
        return _spin(node, stop)
    finally:
        core_logger.removeHandler(handler)
        rclpy.utilities.try_shutdown()


class RosLogHandler(logging.Handler):
    """Forwards the core's log records to a node's logger."""

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.INFO)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Logs one record."""
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(text)
        else:
            self._logger.info(text)


def _spin(node: ManagedNode, stop: threading.Event) -> int:
    """Runs the node; the exit code."""
    node.failed = stop.set
    PatientAnswers(node)
    # The main thread only waits: a Python signal handler runs there at once, while inside
    # the executor it would run after the next message.
    executor = ExecutorThread(node, ended=stop.set)
    if node.value("autostart"):
        # Not here: a signal has to end it while a model loads.
        threading.Thread(target=node.autostart, name="autostart", daemon=True).start()
    stop.wait()
    errors: list[Exception] = []
    closing = threading.Thread(target=_close, args=(node, errors), name="close", daemon=True)
    closing.start()
    closing.join(_LAST_WORK_S)
    executor.stop()
    if executor.crash is not None:
        errors.append(executor.crash)
    for error in errors:
        trace = "".join(traceback.format_exception(error))
        node.get_logger().fatal(f"stopped by an unexpected error:\n{trace}")
    code = EXIT_FAILURE if errors or node.failure is not None else 0
    node.destroy_node()
    return code


def _close(node: ManagedNode, errors: list[Exception]) -> None:
    try:
        node.close()
    except Exception as error:  # noqa: BLE001 - kept for the main thread
        errors.append(error)
