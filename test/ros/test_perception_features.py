"""Two cameras, each with its perception node in a namespace of its own, over real DDS.

The left one sends raw images, the right one compressed images and intrinsics of depth.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Point32, PointStamped, Polygon, PolygonStamped
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_srvs.srv import Trigger

from repsam_ros.messages import labels_from_image, stamp_to_ns, unpack_cloud
from repsam_ros.ros.supervisor import RunSettings
from repsam_ros.structures import RgbdFrame

pytestmark = pytest.mark.ros

RELIABLE = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
PATIENCE_S = 240.0
WIDTH, HEIGHT = 160, 120
BOXES = [(20, 20), (80, 30), (50, 75)]  # left, top; 30 x 25 pixels each
PARAMETERS = {"qos.reliability": "reliable", "qos.depth": "20", "threads": "1"}
COMPRESSED = {
    "color_transport": "compressed",
    "depth_transport": "compressed",
    "depth_info_topic": "/right_camera/depth/camera_info",
}
RAW_TOPICS = {
    "info": (CameraInfo, "color/camera_info"),
    "depth": (Image, "aligned_depth_to_color/image_raw"),
    "color": (Image, "color/image_raw"),
}
COMPRESSED_TOPICS = {
    "info": (CameraInfo, "color/camera_info"),
    "depth_info": (CameraInfo, "depth/camera_info"),
    "depth": (CompressedImage, "aligned_depth_to_color/image_raw/compressedDepth"),
    "color": (CompressedImage, "color/image_raw/compressed"),
}


class Camera:
    """Publishes one camera's topics and notes what its node answers."""

    def __init__(
        self, rig: Any, name: str, topics: dict[str, tuple[type, str]], frame: RgbdFrame
    ) -> None:
        self.rig, self.frame, self.node_name = rig, frame, f"/{name}/perception"
        self.labels: dict[int, np.ndarray] = {}
        self.clouds: dict[int, Any] = {}
        node = rig.session.node
        self.publishers = {
            stream: node.create_publisher(kind, f"/{name}_camera/{topic}", RELIABLE)
            for stream, (kind, topic) in topics.items()
        }
        self.hints = {
            "mask": node.create_publisher(Image, f"/{name}/ignore_mask", RELIABLE),
            "point": node.create_publisher(PointStamped, f"{self.node_name}/prompt", RELIABLE),
            "polygon": node.create_publisher(
                PolygonStamped, f"{self.node_name}/prompt_polygon", RELIABLE
            ),
        }
        node.create_subscription(Image, f"{self.node_name}/labels", self._on_labels, RELIABLE)
        node.create_subscription(PointCloud2, f"{self.node_name}/points", self._on_cloud, RELIABLE)

    def connect(self) -> None:
        everyone = [*self.publishers.values(), *self.hints.values()]
        self.rig.wait_until(
            lambda: all(item.get_subscription_count() for item in everyone), "subscriptions"
        )
        self.await_values(
            lambda values: (
                values.get("subscribers_labels") == "1" and values.get("subscribers_points") == "1"
            ),
            "the node to find this process",
        )

    def publish(self, **messages: Any) -> None:
        for stream, msg in messages.items():
            data = self.rig.ros.typestore.serialize_cdr(msg, msg.__msgtype__)
            self.publishers[stream].publish(bytes(data))

    def publish_raw(self, depth_m: np.ndarray | None = None, color: Any = None) -> int:
        frame, ros, stamp_ns = self.frame, self.rig.ros, self.rig.next_stamp_ns()
        depth_m = frame.depth_m if depth_m is None else depth_m
        self.publish(
            info=ros.camera_info(WIDTH, HEIGHT, fx=frame.intrinsics.fx, stamp_ns=stamp_ns),
            depth=ros.image(millimetres(depth_m), "16UC1", stamp_ns=stamp_ns),
            color=ros.image(frame.color if color is None else color, "rgb8", stamp_ns=stamp_ns),
        )
        return stamp_ns

    def publish_compressed(self, depth: bytes, codec: str, fraction: int = 1) -> int:
        ros, stamp_ns = self.rig.ros, self.rig.next_stamp_ns()
        fx = self.frame.intrinsics.fx
        color = cv2.imencode(".png", self.frame.color[..., ::-1])[1]
        data = np.frombuffer(struct.pack("<iff", 1, 0, 0) + depth, np.uint8)
        size = (WIDTH // fraction, HEIGHT // fraction)
        self.publish(
            info=ros.camera_info(WIDTH, HEIGHT, fx=fx, stamp_ns=stamp_ns),
            depth_info=ros.camera_info(*size, fx=fx / fraction, stamp_ns=stamp_ns),
            depth=ros.compressed_image(data, f"16UC1; compressedDepth {codec}", stamp_ns=stamp_ns),
            color=ros.compressed_image(color, "rgb8; png compressed bgr8", stamp_ns=stamp_ns),
        )
        return stamp_ns

    def await_labels(self, stamp_ns: int) -> np.ndarray:
        self.rig.wait_until(lambda: stamp_ns in self.labels, f"labels of {stamp_ns}")
        return self.labels[stamp_ns]

    def await_cloud(self, stamp_ns: int) -> Any:
        self.rig.wait_until(lambda: stamp_ns in self.clouds, f"points of {stamp_ns}")
        return self.clouds[stamp_ns]

    def await_values(self, condition: Any, what: str) -> None:
        session = self.rig.session
        session.wait_until(lambda: condition(session.diagnostics(self.node_name)), PATIENCE_S, what)

    def set_parameters(self, **values: Any) -> None:
        parameters = [
            RclpyParameter(name.replace("__", "."), value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        request = SetParameters.Request(parameters=parameters)
        answer = self.rig.session.call(SetParameters, f"{self.node_name}/set_parameters", request)
        assert all(result.successful for result in answer.results), answer.results

    def reset(self) -> None:
        answer = self.rig.session.call(Trigger, f"{self.node_name}/reset", Trigger.Request())
        assert answer.success
        # Diagnostics of before would be taken for those of after.
        counts = ("received_prompt", "received_prompt_polygon", "received_ignore_mask")
        self.await_values(lambda values: all(values[key] == "0" for key in counts), "zeros")

    def hint(self, kind: str, msg: Any) -> None:
        """Sends a hint and waits until the node has it: topics come in no order."""
        stream = {"mask": "ignore_mask", "point": "prompt", "polygon": "prompt_polygon"}[kind]
        before = int(self.rig.session.diagnostics(self.node_name).get(f"received_{stream}", 0))
        if kind == "mask":
            msg = bytes(self.rig.ros.typestore.serialize_cdr(msg, msg.__msgtype__))
        self.hints[kind].publish(msg)
        self.await_values(lambda values: int(values[f"received_{stream}"]) > before, stream)

    def click(self, x: float, y: float, frame_id: str = "", z: float = 0.0) -> None:
        msg = PointStamped()
        msg.header.frame_id, msg.point.x, msg.point.y = frame_id, float(x), float(y)
        msg.point.z = z
        self.hint("point", msg)

    def outline(self, *corners: tuple[float, float]) -> None:
        points = [Point32(x=float(x), y=float(y)) for x, y in corners]
        self.hint("polygon", PolygonStamped(polygon=Polygon(points=points)))

    def mask(self, ignored: np.ndarray) -> None:
        self.hint("mask", self.rig.ros.image(ignored.astype(np.uint8) * 255, "mono8"))

    def _on_labels(self, msg: Image) -> None:
        self.labels[stamp_to_ns(msg.header.stamp)] = labels_from_image(msg)

    def _on_cloud(self, msg: PointCloud2) -> None:
        self.clouds[stamp_to_ns(msg.header.stamp)] = unpack_cloud(msg)


def millimetres(depth_m: np.ndarray) -> np.ndarray:
    return np.rint(depth_m * 1000).astype(np.uint16)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def box(number: int) -> np.ndarray:
    x, y = BOXES[number]
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + 25, x : x + 30] = True
    return mask


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.fixture(scope="module")
def cameras(module_rig: Any, scene: RgbdFrame) -> tuple[Camera, Camera]:
    """Two nodes as ``repsam run`` starts them, and their cameras."""
    rig = module_rig
    for name, extra in (("left", {}), ("right", COMPRESSED)):
        settings = RunSettings(
            nodes=("perception",),
            namespace=name,
            camera=f"{name}_camera",
            parameters={"perception": PARAMETERS | extra},
        )
        rig.processes.start(name, settings.command("perception"))
    left = Camera(rig, "left", RAW_TOPICS, scene)
    right = Camera(rig, "right", COMPRESSED_TOPICS, scene)
    rig.session.bring_up(left.node_name, right.node_name)
    for camera in (left, right):
        camera.connect()
    return left, right


@pytest.fixture
def left(cameras: tuple[Camera, Camera]) -> Iterator[Camera]:
    yield cameras[0]
    cameras[0].reset()


@pytest.fixture
def right(cameras: tuple[Camera, Camera]) -> Camera:
    return cameras[1]


def test_each_camera_is_served_by_its_own_node(left: Camera, right: Camera) -> None:
    expected = left.await_labels(left.publish_raw())
    stamp_ns = right.publish_compressed(png(millimetres(left.frame.depth_m)), "png")
    np.testing.assert_array_equal(right.await_labels(stamp_ns), expected)
    assert expected.max() == 3
    assert stamp_ns not in left.labels, "the right camera's frame went to the left node"
    assert len(left.labels) == len(right.labels) == 1


def test_compressed_depth_of_half_the_size_is_registered(left: Camera, right: Camera) -> None:
    depth_m = left.frame.depth_m
    expected = left.await_labels(left.publish_raw())
    half = millimetres(depth_m)[::2, ::2]
    labels = right.await_labels(right.publish_compressed(png(half), "png", fraction=2))
    for number in range(3):
        k = expected[box(number)].max()
        other = labels[box(number)].max()
        assert iou(labels == other, expected == k) > 0.8


def test_broken_compressed_depth_is_counted_and_the_next_frame_published(right: Camera) -> None:
    depth = png(millimetres(right.frame.depth_m))
    # One after the other: the second would overtake the first.
    right.publish_compressed(depth[:-20], "png")
    right.await_values(lambda values: values.get("dropped.truncated") == "1", "the first cause")
    right.publish_compressed(depth, "zstd")
    right.await_values(lambda values: values.get("dropped.unknown_encoding") == "1", "the second")
    right.await_labels(right.publish_compressed(depth, "png"))


def test_a_silent_compressed_topic_is_named_in_full(right: Camera) -> None:
    topic = "/right_camera/aligned_depth_to_color/image_raw/compressedDepth"
    right.await_values(lambda values: topic in values["silent_topics"], "the topic")


def test_a_click_and_a_polygon_give_one_object_until_they_end(left: Camera) -> None:
    x, y = BOXES[1]
    left.click(x + 12, y + 10, "camera_color_optical_frame")
    for _ in range(2):
        stamp_ns = left.publish_raw()
        labels = left.await_labels(stamp_ns)
        assert labels.max() == 1 and iou(labels == 1, box(1)) > 0.8
    assert set(np.unique(left.await_cloud(stamp_ns).instance_ids)) == {0, 1}
    x, y = BOXES[2]
    left.outline((x - 3, y - 3), (x + 33, y - 3), (x + 33, y + 28), (x - 3, y + 28))
    labels = left.await_labels(left.publish_raw())
    assert labels.max() == 1 and iou(labels == 1, box(2)) > 0.8
    left.outline()
    assert left.await_labels(left.publish_raw()).max() == 3
    left.click(x + 12, y + 10)
    left.reset()
    assert left.await_labels(left.publish_raw()).max() == 3


def test_a_prompt_that_cannot_be_used_is_counted_and_changes_nothing(left: Camera) -> None:
    left.click(WIDTH + 5, 3)
    assert left.await_labels(left.publish_raw()).max() == 3
    left.click(30, 30, "base_link")
    assert left.await_labels(left.publish_raw()).max() == 3
    left.click(0.03, 0.01, left.frame.frame_id, z=0.75)
    left.await_values(lambda values: values.get("rejected.bad_prompt") == "3", "the count")


def test_ignored_pixels_stay_empty_until_the_mask_is_replaced(left: Camera) -> None:
    left.mask(box(0))
    for _ in range(2):
        stamp_ns = left.publish_raw()
        labels = left.await_labels(stamp_ns)
        assert not labels[box(0)].any() and labels.max() == 2
    points_m = left.await_cloud(stamp_ns).points_m.astype(float)
    camera = left.frame.intrinsics
    x = points_m[:, 0] / points_m[:, 2] * camera.fx + camera.cx
    y = points_m[:, 1] / points_m[:, 2] * camera.fy + camera.cy
    assert not ((x > 21) & (x < 48) & (y > 21) & (y < 43)).any()
    left.mask(np.ones((HEIGHT // 2, WIDTH), bool))
    labels = left.await_labels(left.publish_raw())
    assert not labels[box(0)].any(), "the mask before stays in force"
    left.await_values(lambda values: values.get("rejected.ignore_mask_size") == "1", "the count")
    left.mask(np.zeros((HEIGHT, WIDTH), bool))
    assert left.await_labels(left.publish_raw()).max() == 3


def test_region_and_workspace_change_live(left: Camera) -> None:
    left.set_parameters(region__x=70, region__width=60, region__y=20, region__height=45)
    try:
        labels = left.await_labels(left.publish_raw())
        assert labels[box(1)].any() and not labels[:, :70].any() and not labels[65:].any()
    finally:
        left.set_parameters(region__x=0, region__y=0, region__width=0, region__height=0)
    limits = {"workspace__low_m": [-1.0, -1.0, 0.0], "workspace__high_m": [0.0, 1.0, 2.0]}
    left.set_parameters(workspace__enabled=True, **limits)
    try:
        cloud = left.await_cloud(left.publish_raw())
        context_m = cloud.points_m[cloud.instance_ids == 0]
        assert len(context_m) and context_m[:, 0].max() <= 0
        assert 0 < len(np.unique(cloud.instance_ids)) - 1 < 3
    finally:
        left.set_parameters(workspace__enabled=False)


def test_ids_stay_with_their_objects_when_tracking(left: Camera) -> None:
    frame = left.frame
    left.set_parameters(tracking__enabled=True)
    try:
        before = left.await_labels(left.publish_raw())
        ids = [int(before[box(number)].max()) for number in range(3)]
        gone_m, gone_color = frame.depth_m.copy(), frame.color.copy()
        lost = ids.index(1)
        gone_m[box(lost)], gone_color[box(lost)] = 0.8, 90
        stamp_ns = left.publish_raw(gone_m, gone_color)
        labels = left.await_labels(stamp_ns)
        assert set(np.unique(labels)) == {0, 2, 3}
        for number in set(range(3)) - {lost}:
            assert iou(labels == ids[number], box(number)) > 0.7
        assert set(np.unique(left.await_cloud(stamp_ns).instance_ids)) <= {0, 2, 3}
    finally:
        left.set_parameters(tracking__enabled=False)


def test_frames_beyond_the_rate_are_counted_by_cause(left: Camera) -> None:
    left.set_parameters(frame_step=2, max_rate_hz=0.5)  # the stamps are 0.5 s apart
    try:
        stamps = [left.publish_raw() for _ in range(9)]
        left.await_values(
            lambda values: (
                values.get("dropped.skipped") == "4" and values.get("dropped.rate_limit") == "2"
            ),
            "both causes",
        )
    finally:
        left.set_parameters(frame_step=1, max_rate_hz=0.0)
    left.await_labels(stamps[8])
    assert not {stamps[2], stamps[6], *stamps[1::2]} & left.labels.keys()


def test_a_storm_of_broken_hints_stops_no_frame(left: Camera) -> None:
    rng = np.random.default_rng(7)
    ros, kinds = left.rig.ros, tuple(left.hints)
    nan, huge = float("nan"), 1e30

    def broken_mask(number: int) -> Any:
        pixels = np.ones((number % 4 + 1, number % 7 + 1), np.uint8)
        mask = ros.image(pixels, ["rgb8", "mono8", "16UC1"][number % 3])
        mask.step = [mask.step, 0, 2**31][number % 3]
        return mask

    for number in range(60):
        spoiled = b"\x00\x01\x00\x00" + rng.bytes(int(rng.integers(0, 60)))
        left.hints[kinds[number % 3]].publish(spoiled)
        point = PointStamped()
        point.point.x, point.point.y = [nan, huge, -5.0][number % 3], [3.0, -huge, nan][number % 3]
        left.hints["point"].publish(point)
        corners = rng.choice([nan, huge, -huge, -1.0], (number % 5 + 2, 2)).tolist()
        points = [Point32(x=x, y=y) for x, y in corners]
        left.hints["polygon"].publish(PolygonStamped(polygon=Polygon(points=points)))
        mask = broken_mask(number)
        left.hints["mask"].publish(bytes(ros.typestore.serialize_cdr(mask, mask.__msgtype__)))
        if number % 20 == 0:
            assert left.await_labels(left.publish_raw()).max() == 3
    # In a storm only the newest of each kind is looked at; each of these is.
    left.hint("mask", broken_mask(0))
    left.click(nan, 3)
    left.hints["point"].publish(b"\x00\x01\x00\x00\x07")
    assert left.await_labels(left.publish_raw()).max() == 3
    left.await_values(
        lambda values: (
            int(values.get("rejected.bad_prompt", 0)) >= 1
            and int(values.get("rejected.ignore_mask_unknown_encoding", 0)) >= 1
            and int(values.get("dropped.undecodable_prompt", 0)) >= 1
        ),
        "the causes",
    )
