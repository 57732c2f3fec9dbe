"""The perception node in its process, with the embedded model and real DDS traffic."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool, Trigger

from repsam_ros.messages import stamp_to_ns
from repsam_ros.perception.pipeline import open_pipeline

pytestmark = pytest.mark.ros


def dropped(values: dict[str, str], cause: str) -> int:
    return int(values.get(f"dropped.{cause}", 0))


def set_parameter(rig: Any, name: str, value: Any) -> Any:
    parameter = RclpyParameter(name, value=value).to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    return rig.session.call(SetParameters, "/perception/set_parameters", request).results[0]


def test_pair_gives_labels_and_points_with_the_stamp_of_the_color_image(
    perception: Any, scene: Any
) -> None:
    stamp_ns = perception.publish_frame()
    msg, labels = perception.await_labels(stamp_ns)
    frame = dataclasses.replace(scene, stamp_ns=stamp_ns)
    expected = open_pipeline(threads=1).perceive(frame)
    np.testing.assert_array_equal(labels, expected.instances.labels)
    assert (msg.encoding, msg.header.frame_id) == ("16UC1", scene.frame_id)
    perception.wait_until(lambda: stamp_ns in perception.clouds, "points")
    cloud = perception.clouds[stamp_ns]
    assert cloud.frame_id == scene.frame_id
    np.testing.assert_allclose(cloud.points_m, expected.cloud.points_m, atol=1e-6)
    np.testing.assert_array_equal(cloud.instance_ids, expected.cloud.instance_ids)


def _without_rows(image: Any) -> None:
    image.data = image.data[: len(image.data) // 2]


def _zero_stamp(image: Any) -> None:
    image.header.stamp.sec = image.header.stamp.nanosec = 0


def _zero_k(info: Any) -> None:
    info.k[:] = 0


BAD_INPUTS: dict[str, tuple[str, str, Callable[[Any], None]]] = {
    "truncated color": ("truncated", "color", _without_rows),
    "truncated depth": ("truncated", "depth", _without_rows),
    "unknown color encoding": (
        "unknown_encoding",
        "color",
        lambda msg: setattr(msg, "encoding", "yuv422"),
    ),
    "unknown depth encoding": (
        "unknown_encoding",
        "depth",
        lambda msg: setattr(msg, "encoding", "8UC1"),
    ),
    "size": ("size_mismatch", "depth", lambda msg: setattr(msg, "height", msg.height // 2)),
    "frame": (
        "frame_mismatch",
        "depth",
        lambda msg: setattr(msg.header, "frame_id", "camera_depth_optical_frame"),
    ),
    "K of zeros": ("bad_intrinsics", "info", _zero_k),
    "empty depth": ("empty_depth", "depth", lambda msg: msg.data.fill(0)),
    "zero stamp": ("zero_stamp", "color", _zero_stamp),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_counted_and_the_next_frame_published(perception: Any, name: str) -> None:
    cause, stream, spoil = BAD_INPUTS[name]
    perception.reset()
    messages = perception.messages(perception.next_stamp_ns())
    spoil(messages[stream])
    perception.publish(messages)
    perception.await_values(lambda values: dropped(values, cause) == 1, cause)
    perception.await_labels(perception.publish_frame())


def test_float_depth_with_nan_and_millimetres_give_the_same_labels(perception: Any) -> None:
    stamp_ns = perception.publish_frame()
    _, expected = perception.await_labels(stamp_ns)
    stamp_ns = perception.next_stamp_ns()
    messages = perception.messages(stamp_ns)
    pixels = messages["depth"].data.view(np.uint16).reshape(messages["depth"].height, -1)
    meters = pixels.astype(np.float32) / np.float32(1000)
    messages["depth"] = perception.ros.image(meters, "32FC1", stamp_ns=stamp_ns, padding=8)
    perception.publish(messages)
    np.testing.assert_array_equal(perception.await_labels(stamp_ns)[1], expected)
    stamp_ns = perception.next_stamp_ns()
    meters[:10] = np.nan
    meters[10:20] = np.inf
    messages = perception.messages(stamp_ns)
    messages["depth"] = perception.ros.image(meters, "32FC1", stamp_ns=stamp_ns, big_endian=True)
    perception.publish(messages)
    assert perception.await_labels(stamp_ns)[1].shape == expected.shape


def test_stamps_that_jump_back_do_not_stop_it(perception: Any) -> None:
    late_ns = perception.publish_frame()
    perception.await_labels(late_ns)
    early_ns = late_ns - 100_000_000_000
    for index in range(3):
        perception.publish(perception.messages(early_ns + index * 500_000_000))
        perception.await_labels(early_ns + index * 500_000_000)
    # The other fixtures' stamps go on from the later time.
    perception.await_labels(perception.publish_frame())


def test_newest_frame_is_worked_on_and_older_ones_are_counted_stale(perception: Any) -> None:
    perception.reset()
    stamps = [perception.next_stamp_ns() for _ in range(8)]
    # Made before the first goes out: they have to arrive faster than the model works.
    frames = [perception.wire_format(perception.messages(stamp_ns)) for stamp_ns in stamps]
    for frame in frames:
        perception.publish_bytes(frame)
    perception.await_labels(stamps[-1])

    def is_settled(values: dict[str, str]) -> bool:
        stale = dropped(values, "stale")
        return values["pairs"] == "8" and int(values["published"]) + stale == 8 and stale >= 1

    perception.await_values(is_settled, "every frame published or counted as stale")


def test_disabled_node_segments_on_demand_only(perception: Any) -> None:
    call = perception.session.call
    assert call(SetBool, "/perception/enable", SetBool.Request(data=False)).success
    try:
        perception.reset()
        stamp_ns = perception.publish_frame()
        perception.await_values(lambda values: dropped(values, "disabled") == 1, "a drop")
        assert stamp_ns not in perception.labels
        node = perception.session.node
        client = node.create_client(Trigger, "/perception/segment")
        perception.wait_until(client.service_is_ready, "the service")
        future = client.call_async(Trigger.Request())

        def publish_until_answered() -> bool:
            # The first frame may be older than the request, and then is no answer to it.
            perception.publish_frame()
            time.sleep(1.0)
            return future.done()

        perception.wait_until(publish_until_answered, "an answer")
        assert future.result().success, future.result().message
        assert "instances at" in future.result().message
        node.destroy_client(client)
    finally:
        assert call(SetBool, "/perception/enable", SetBool.Request(data=True)).success
    perception.await_labels(perception.publish_frame())


def test_parameters_are_checked_with_a_reason(perception: Any) -> None:
    too_high = set_parameter(perception, "masks.min_score", 1.5)
    assert not too_high.successful and "masks.min_score" in too_high.reason
    together = set_parameter(perception, "cloud.max_depth_m", 0.1)
    assert not together.successful and "min_depth_m" in together.reason
    fixed = set_parameter(perception, "model", "another")
    assert not fixed.successful and "only while the node is unconfigured" in fixed.reason
    read_only = set_parameter(perception, "autostart", True)
    assert not read_only.successful
    request = DescribeParameters.Request(names=["masks.min_score", "autostart"])
    described = perception.session.call(
        DescribeParameters, "/perception/describe_parameters", request
    ).descriptors
    assert described[0].floating_point_range[0].to_value == 1.0
    assert "next frame" in described[0].description
    assert described[1].read_only


def test_live_parameter_takes_effect_with_the_next_frame(perception: Any) -> None:
    stamp_ns = perception.publish_frame()
    perception.wait_until(lambda: stamp_ns in perception.clouds, "points")
    fine = len(perception.clouds[stamp_ns].points_m)
    assert set_parameter(perception, "cloud.context_voxel_m", 0.05).successful
    try:
        stamp_ns = perception.publish_frame()
        perception.wait_until(lambda: stamp_ns in perception.clouds, "points")
        assert len(perception.clouds[stamp_ns].points_m) < fine / 2
    finally:
        assert set_parameter(perception, "cloud.context_voxel_m", 0.006).successful


def test_diagnostics_name_a_silent_topic_and_the_model(perception: Any) -> None:
    perception.await_labels(perception.publish_frame())
    assert set_parameter(perception, "max_silence_s", 0.5).successful
    try:
        perception.await_values(
            lambda values: "/camera/aligned_depth_to_color/image_raw" in values["silent_topics"],
            "the silent topic's name",
        )
    finally:
        set_parameter(perception, "max_silence_s", 2.0)
    values = perception.values()
    assert values["model"] == "repsam_tiny" and len(values["model_sha256"]) == 64
    for stage in ("latency", "compute", "conversion", "publishing"):
        p50, p95, p99 = (float(values[f"{stage}_p{n}_ms"]) for n in (50, 95, 99))
        assert 0 < p50 <= p95 <= p99
    assert 0 < float(values["sync_yield"]) <= 1
    assert float(values["rate_published_hz"]) >= 0


def test_reset_clears_the_counters(perception: Any) -> None:
    perception.await_labels(perception.publish_frame())
    answer = perception.session.call(Trigger, "/perception/reset", Trigger.Request())
    assert answer.success and answer.message
    perception.await_values(lambda values: values["published"] == "0", "cleared counters")
    perception.await_labels(perception.publish_frame())


def test_lifecycle_goes_round_ten_times_and_refuses_illegal_transitions(rig: Any) -> None:
    child = rig.start_perception()
    rig.listen()
    transitions = [
        (Transition.TRANSITION_CONFIGURE, "inactive"),
        (Transition.TRANSITION_ACTIVATE, "active"),
        (Transition.TRANSITION_DEACTIVATE, "inactive"),
        (Transition.TRANSITION_CLEANUP, "unconfigured"),
    ]
    for _ in range(10):
        for number, state in transitions:
            rig.session.transition("/perception", number, str(number))
            assert rig.session.state("/perception") == state
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
    assert not rig.session.call(ChangeState, "/perception/change_state", request).success
    assert rig.session.state("/perception") == "unconfigured"
    rig.session.bring_up("/perception")
    rig.connect()
    rig.await_labels(rig.publish_frame())
    child.send(signal.SIGINT)
    child.send(signal.SIGINT)
    assert child.wait(120) == 0, child.last_words()


def test_what_was_said_before_it_was_active_holds(rig: Any) -> None:
    """A setting that was changed while the model loaded, and an ignore mask that is latched."""
    mask = np.zeros((120, 160), np.uint8)
    mask[:60, :53] = 255  # one of the three boxes
    latched = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    publisher = rig.session.node.create_publisher(Image, "/ignore_mask", latched)
    message = rig.ros.image(mask, "mono8", stamp_ns=1_000_000_000)
    publisher.publish(rig.wire_format({"mask": message})["mask"])
    rig.start_perception(qos__ignore_mask_latched="true")
    rig.listen()
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    client = rig.session.node.create_client(ChangeState, "/perception/change_state")
    rig.wait_until(client.service_is_ready, "the service")
    loaded = client.call_async(request)
    rig.wait_until(lambda: rig.session.state("/perception") != "unconfigured", "the loading")
    assert set_parameter(rig, "masks.min_score", 1.0).successful
    rig.wait_until(loaded.done, "the model")
    rig.session.transition("/perception", Transition.TRANSITION_ACTIVATE, "activate")
    rig.connect()
    assert not rig.await_labels(rig.publish_frame())[1].any()
    assert set_parameter(rig, "masks.min_score", 0.3).successful
    rig.await_values(lambda values: values["received_ignore_mask"] == "1", "the mask")
    labels = rig.await_labels(rig.publish_frame())[1]
    assert not labels[mask > 0].any() and labels.max() == 2


def test_failed_configure_says_why_and_can_be_repeated(rig: Any) -> None:
    child = rig.start_perception(model="no_such_model")
    rig.listen()
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    assert not rig.session.call(ChangeState, "/perception/change_state", request).success
    assert rig.session.state("/perception") == "unconfigured"
    rig.await_values(lambda values: "no_such_model" in values["last_error"], "the reason")
    assert any("no_such_model" in line for line in child.lines)
    assert set_parameter(rig, "model", "repsam_tiny").successful
    rig.session.bring_up("/perception")


def test_target_frame_without_tf2_is_refused_by_name(rig: Any) -> None:
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        rig.start_perception(target_frame="base_link")
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
        assert not rig.session.call(ChangeState, "/perception/change_state", request).success
        rig.await_values(lambda values: "tf2_ros" in values.get("last_error", ""), "the reason")
    else:
        pytest.skip("tf2_ros is there")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"qos__reliability": "sometimes"}, "one of best_effort, reliable"),
        ({"slop_s": "7.0"}, "slop_s"),
        ({"masks__min_scroe": "0.5"}, "unknown parameter masks.min_scroe"),
    ],
)
def test_bad_start_parameter_ends_the_node_with_the_reason(
    rig: Any, parameters: dict[str, str], reason: str
) -> None:
    child = rig.start_perception(**parameters)
    assert child.wait(240) == 2
    assert reason in child.last_words()


def test_autostart_and_incompatible_qos_named_with_the_topic(rig: Any) -> None:
    child = rig.start_perception(autostart="true")
    rig.listen()
    rig.connect(reliable=False)
    topic = "/camera/color/image_raw"
    rig.await_values(lambda values: topic in values.get("incompatible_qos", ""), "the topic")
    warning = [line for line in child.lines if "incompatible QoS" in line and topic in line]
    assert warning and "RELIABILITY" in warning[0]


def test_type_of_every_parameter_message_is_set(perception: Any) -> None:
    """A value of another type is refused and does not end the node."""
    value = ParameterValue(type=4, string_value="much")
    request = SetParameters.Request(parameters=[Parameter(name="masks.min_score", value=value)])
    result = perception.session.call(SetParameters, "/perception/set_parameters", request).results
    assert not result[0].successful
    assert stamp_to_ns(perception.await_labels(perception.publish_frame())[0].header.stamp) > 0
