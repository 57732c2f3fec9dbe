"""A node that asks for TensorRT serves at once, whatever comes of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

pytestmark = pytest.mark.ros


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    """The small graphs that the tests of the backends are made with."""
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    source = Path(__file__).parents[1] / "backends" / "conftest.py"
    spec = importlib.util.spec_from_file_location("small_graphs", source)
    assert spec is not None and spec.loader is not None
    small_graphs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(small_graphs)
    small_graphs.write_graphs(tmp_path)
    small_graphs.write_manifest(tmp_path)
    return tmp_path


def test_onnx_runtime_serves_where_tensorrt_cannot_and_diagnostics_say_why(
    rig: Any, graphs: Path
) -> None:
    rig.start_perception(backend="tensorrt", model=str(graphs), device="cuda", backend_swap="false")
    rig.listen()
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    configured = rig.session.call(ChangeState, "/perception/change_state", request)
    if configured.success:
        pytest.skip("this machine has a GPU with TensorRT")
    rig.await_values(lambda values: "configure: " in values.get("last_error", ""), "the reason")
    parameter = Parameter("backend_swap", value=True).to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    answer = rig.session.call(SetParameters, "/perception/set_parameters", request)
    assert answer.results[0].successful
    rig.session.bring_up(rig.node_name)
    rig.connect()
    warnings: list[str] = []

    def keep(msg: DiagnosticArray) -> None:
        warnings.extend(s.message for s in msg.status if s.level == DiagnosticStatus.WARN)

    rig.session.node.create_subscription(DiagnosticArray, "/diagnostics", keep, 10)
    rig.await_labels(rig.publish_frame())
    rig.await_values(lambda values: values["backend_swap"].startswith("failed: "), "the failure")

    def is_said() -> bool:
        rig.publish_frame()  # a silent camera would be the first thing to say
        return any(line.startswith("tensorrt failed: ") for line in warnings)

    rig.wait_until(is_said, "the warning")
    assert rig.values()["backend"] == "onnxruntime"
