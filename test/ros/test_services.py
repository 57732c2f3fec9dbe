"""Services answer with success and a reason in every state of a node."""

from __future__ import annotations

from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from std_srvs.srv import SetBool, Trigger

pytestmark = pytest.mark.ros

PERCEPTION, PLANNER = "/perception", "/grasp_planner"


def test_services_answer_in_every_state(rig: Any) -> None:
    rig.start_perception()
    rig.start("grasp_planner_node")

    def ask(name: str) -> tuple[bool, str]:
        answer = rig.session.call(Trigger, name, Trigger.Request())
        return answer.success, answer.message

    def expect_answers(active: bool) -> None:
        if not active:
            assert ask(f"{PERCEPTION}/segment") == (False, "the node is not active")
            assert ask(f"{PLANNER}/plan") == (False, "the node is not active")
        assert ask(f"{PERCEPTION}/reset")[0]
        for node in (PERCEPTION, PLANNER):
            for wanted, word in ((False, "disabled"), (True, "enabled")):
                request = SetBool.Request(data=wanted)
                answer = rig.session.call(SetBool, f"{node}/enable", request)
                assert answer.success and answer.message.startswith(word)

    expect_answers(active=False)
    rig.session.bring_up(PERCEPTION, PLANNER)
    expect_answers(active=True)
    assert ask(f"{PLANNER}/plan") == (False, "no cloud has come")
    client = rig.session.node.create_client(Trigger, f"{PERCEPTION}/segment")
    rig.wait_until(client.service_is_ready, "the service")
    waiting = client.call_async(Trigger.Request())  # for a frame that will not come
    expect_answers(active=True)
    assert not waiting.done()
    for node in (PERCEPTION, PLANNER):
        rig.session.transition(node, Transition.TRANSITION_DEACTIVATE, "deactivate")
    rig.wait_until(waiting.done, "the answer to who waited")
    assert not waiting.result().success and "deactivated" in waiting.result().message
    expect_answers(active=False)
    for node in (PERCEPTION, PLANNER):
        rig.session.transition(node, Transition.TRANSITION_CLEANUP, "cleanup")
    expect_answers(active=False)
