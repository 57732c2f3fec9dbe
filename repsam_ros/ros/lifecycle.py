"""A lifecycle node whose transitions neither fail in silence nor end the process."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.task import Future

from repsam_ros.errors import RepsamError

Result = TypeVar("Result")


class SafeLifecycleNode(LifecycleNode):
    """Runs transitions in a thread, logs what fails in them and refuses illegal ones.

    rclpy runs transitions in the executor's thread, so that nothing answers while a model loads,
    swallows their exceptions, and ends the process with an RCLError after an illegal one.

    A subclass fills in :meth:`configure`, :meth:`activate`, :meth:`deactivate` and
    :meth:`cleanup`; an exception there makes the transition fail.

    Attributes:
        transition_error: What made the last transition fail.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.transition_error = ""
        self._transition_lock = threading.RLock()
        self._is_closed = False
        service = self._service_change_state
        self._change_state = service.callback
        service.callback_group = MutuallyExclusiveCallbackGroup()
        service.callback_group.add_entity(service)
        # rclpy awaits coroutines; its annotations do not say so.
        service.callback = cast(Any, self._serve_transition)

    def configure(self) -> None:
        """Loads what frames need; creates publishers."""

    def activate(self) -> None:
        """Starts to work."""

    def deactivate(self) -> None:
        """Ends what :meth:`activate` began; also after its failure, also when it never ran."""

    def cleanup(self) -> None:
        """Frees what :meth:`configure` made; also after its failure, also when it never ran."""

    @property
    def state(self) -> str:
        """Label of the lifecycle state."""
        return str(self._state_machine.current_state[1])

    def autostart(self) -> bool:
        """Configures and activates; False when one of them failed, or someone else was first."""
        with self._transition_lock:
            if self._is_closed or self.state != "unconfigured":
                return False
            done = self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            return done and self.trigger_activate() == TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Ends and frees everything, for good; waits for a transition in work."""
        with self._transition_lock:
            self._is_closed = True
            self.deactivate()
            self.cleanup()

    def destroy_node(self) -> None:
        """Leaves the graph.

        rclpy's state machine would hold the node there until it is collected as garbage.
        """
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    async def in_thread(self, name: str, work: Callable[[], Result]) -> Result:
        """What ``work`` returns or raises, from a thread of its own.

        For services: executors of this package have one thread, so that nothing else of the node
        would be served meanwhile. The service needs a callback group of its own: a mutually
        exclusive one stays taken until the answer.
        """
        done = Future()

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                done.set_exception(error)
                self._wake()
            else:
                self.finish(done, result)

        threading.Thread(target=run, name=name, daemon=True).start()
        return cast(Result, await done)

    def finish(self, future: Future, result: Any = None) -> None:
        """Completes a future that a service waits for, from any thread."""
        future.set_result(result)
        self._wake()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("configure", self.configure, self.cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        def work() -> None:
            # Publishers first: the first result may be there before activate returns.
            super(SafeLifecycleNode, self).on_activate(state)
            self.activate()

        return self._transition("activate", work, self.deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        def work() -> None:
            self.deactivate()
            super(SafeLifecycleNode, self).on_deactivate(state)

        return self._transition("deactivate", work)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("cleanup", self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._transition("shutdown", self.close)

    def _transition(
        self, name: str, work: Callable[[], None], undo: Callable[[], None] = lambda: None
    ) -> TransitionCallbackReturn:
        try:
            work()
        except RepsamError as error:
            reason = str(error)
        except Exception:  # noqa: BLE001 - logged in full; the node can be configured again
            reason = traceback.format_exc()
        else:
            self.transition_error = ""
            self.get_logger().info(f"{name}: done")
            return TransitionCallbackReturn.SUCCESS
        undo()
        self.transition_error = f"{name}: {reason.strip().splitlines()[-1]}"
        self.get_logger().error(f"{name} failed: {reason}")
        return TransitionCallbackReturn.FAILURE

    async def _serve_transition(self, request: Any, response: Any) -> Any:
        def change_state() -> None:
            try:
                with self._transition_lock:
                    if self._is_closed:
                        response.success = False
                    else:
                        self._change_state(request, response)
            except _rclpy.RCLError as error:
                response.success = False
                self.get_logger().error(f"transition refused in state {self.state}: {error}")

        await self.in_thread("transition", change_state)
        return response

    def _wake(self) -> None:
        if self.executor is not None:
            self.executor.wake()
