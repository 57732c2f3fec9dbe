"""Nodes in processes of their own, on a DDS domain of their own, and a scene to show them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: the package's extra 'ros' or a distribution")

with warnings.catch_warnings():
    # The wheels' old lark parser imports what Python 3.11 deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import rosidl_generator_py  # noqa: F401

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import Trigger

from repsam_ros.messages import labels_from_image, stamp_to_ns, unpack_cloud
from repsam_ros.ros.diagnostics import values_of
from repsam_ros.ros.processes import ChildProcess, ProcessError, ProcessGroup, node_command
from repsam_ros.ros.session import Session, environment_set, private_environment
from repsam_ros.structures import Intrinsics, RgbdFrame

WIDTH, HEIGHT = 160, 120
FOCAL_PX = 150.0
TABLE_M = 0.8
TOPICS = {
    "color": (Image, "/camera/color/image_raw"),
    "depth": (Image, "/camera/aligned_depth_to_color/image_raw"),
    "info": (CameraInfo, "/camera/color/camera_info"),
}
PATIENCE_S = 240.0  # only a broken node or a machine far too busy needs this long
RELIABLE = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)


@functools.cache
def boxes_on_a_table() -> RgbdFrame:
    """Three boxes, seen from above; noise keeps the surfaces from being exact planes."""
    rng = np.random.default_rng(5)
    color = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    depth_m = np.full((HEIGHT, WIDTH), TABLE_M, np.float32)
    for number, (x, y) in enumerate([(20, 20), (80, 30), (50, 75)]):
        color[y : y + 25, x : x + 30] = (60 * number + 100, 200 - 60 * number, 40)
        depth_m[y : y + 25, x : x + 30] = TABLE_M - 0.05
    depth_m += rng.normal(0, 0.0005, depth_m.shape).astype(np.float32)
    depth_m = np.round(depth_m, 3).astype(np.float32)
    camera = Intrinsics(FOCAL_PX, FOCAL_PX, (WIDTH - 1) / 2, (HEIGHT - 1) / 2, WIDTH, HEIGHT)
    return RgbdFrame(color, depth_m, camera, 1_000_000_000)


class Rig:
    """Publishes frames to a node in another process and notes what it answers."""

    def __init__(self, ros: SimpleNamespace, processes: ProcessGroup, session: Session) -> None:
        self.ros, self.processes, self.session = ros, processes, session
        self.labels: dict[int, Any] = {}
        self.clouds: dict[int, Any] = {}
        self.reports: list[dict[str, str]] = []
        self.node_name = "/perception"
        self._publishers: dict[str, Any] = {}
        self._stamp_ns = 1_700_000_000_000_000_000

    def start(self, module: str, **options: Any) -> ChildProcess:
        """Runs a node module of the package."""
        name = module.removesuffix("_node")
        return self.processes.start(name, node_command(module, **options))

    def start_perception(self, **parameters: str) -> ChildProcess:
        """Starts the perception node on the camera's topics, unconfigured."""
        values = {"qos.reliability": "reliable", "qos.depth": "20", "threads": "1"}
        remappings = {
            "color/image_raw": TOPICS["color"][1],
            "aligned_depth_to_color/image_raw": TOPICS["depth"][1],
            "color/camera_info": TOPICS["info"][1],
        }
        values |= {name.replace("__", "."): value for name, value in parameters.items()}
        return self.start("perception_node", parameters=values, remappings=remappings)

    def listen(self) -> None:
        """Notes label maps, clouds and diagnostics."""
        node = self.session.node
        node.create_subscription(Image, "/perception/labels", self._on_labels, RELIABLE)
        node.create_subscription(PointCloud2, "/perception/points", self._on_cloud, RELIABLE)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_report, 10)

    def connect(self, reliable: bool = True, depth: int = 20) -> None:
        """Publishes the camera's topics and waits until the node hears them."""
        policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=depth, reliability=policy)
        for stream, (kind, topic) in TOPICS.items():
            self._publishers[stream] = self.session.node.create_publisher(kind, topic, qos)
        if reliable:
            self.await_connection()

    def await_connection(self) -> None:
        """Waits until the node hears this process, and is heard."""
        self.wait_until(
            lambda: all(p.get_subscription_count() for p in self._publishers.values()),
            "subscriptions",
        )
        self.await_values(
            lambda values: (
                values.get("state") == "active"
                and values.get("subscribers_labels") == "1"
                and values.get("subscribers_points") == "1"
            ),
            "the node to find this process",
        )

    def disconnect(self) -> None:
        """Takes the camera's topics down."""
        for publisher in self._publishers.values():
            self.session.node.destroy_publisher(publisher)
        self._publishers.clear()

    def next_stamp_ns(self) -> int:
        self._stamp_ns += 500_000_000
        return self._stamp_ns

    def messages(self, stamp_ns: int, color_encoding: str = "rgb8") -> dict[str, Any]:
        """A whole frame of :func:`boxes_on_a_table`."""
        frame = boxes_on_a_table()
        millimetres = np.rint(frame.depth_m * 1000).astype(np.uint16)
        return {
            "info": self.ros.camera_info(WIDTH, HEIGHT, fx=FOCAL_PX, stamp_ns=stamp_ns),
            "depth": self.ros.image(millimetres, "16UC1", stamp_ns=stamp_ns),
            "color": self.ros.image(frame.color, color_encoding, stamp_ns=stamp_ns),
        }

    def wire_format(self, messages: dict[str, Any]) -> dict[str, bytes]:
        """Messages of the type store as bytes, so that broken ones can go out too."""
        serialize = self.ros.typestore.serialize_cdr
        return {name: bytes(serialize(msg, msg.__msgtype__)) for name, msg in messages.items()}

    def publish_bytes(self, messages: dict[str, bytes]) -> None:
        """Sends messages in their wire format."""
        for stream, data in messages.items():
            self._publishers[stream].publish(data)

    def publish(self, messages: dict[str, Any]) -> None:
        """Sends messages of the type store."""
        self.publish_bytes(self.wire_format(messages))

    def publish_frame(self) -> int:
        """Sends a good frame; returns its stamp."""
        stamp_ns = self.next_stamp_ns()
        self.publish(self.messages(stamp_ns))
        return stamp_ns

    def await_labels(self, stamp_ns: int) -> Any:
        """The label map message with this stamp."""
        self.await_values(lambda _: stamp_ns in self.labels, f"labels of {stamp_ns}")
        return self.labels[stamp_ns]

    def values(self) -> dict[str, str]:
        """The node's last diagnostics."""
        return self.session.diagnostics(self.node_name)

    def reset(self) -> None:
        """Sets the counters to zero once the node is idle; a result still counts when it is out."""
        self.await_idle()
        self.session.call(Trigger, f"{self.node_name}/reset", Trigger.Request())
        self.await_values(lambda values: values.get("published") == "0", "cleared counters")

    def await_idle(self) -> None:
        """Waits for diagnostics made after now that say that no frame is in work."""
        reported = len(self.reports)
        self.wait_until(
            lambda: len(self.reports) >= reported + 2 and self.reports[-1]["busy"] == "False",
            "an idle node",
        )

    def await_values(self, condition: Callable[[dict[str, str]], bool], what: str) -> None:
        """Waits for diagnostics that fulfil ``condition``."""
        try:
            self.wait_until(lambda: condition(self.values()), what)
        except ProcessError as error:
            pytest.fail(f"{error}; its last diagnostics: {self.values()}")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        self.session.wait_until(condition, PATIENCE_S, what)

    def _on_labels(self, msg: Image) -> None:
        self.labels[stamp_to_ns(msg.header.stamp)] = (msg, labels_from_image(msg))

    def _on_cloud(self, msg: PointCloud2) -> None:
        self.clouds[stamp_to_ns(msg.header.stamp)] = unpack_cloud(msg)

    def _on_report(self, msg: DiagnosticArray) -> None:
        values = values_of(msg, self.node_name)
        if values is not None:
            self.reports.append(values)


@contextmanager
def running_rig(ros: SimpleNamespace) -> Iterator[Rig]:
    environment = private_environment()
    with (
        environment_set(environment),
        ProcessGroup({**environment, "OMP_NUM_THREADS": "1"}) as processes,
        Session("test", processes.check) as session,
    ):
        yield Rig(ros, processes, session)


@pytest.fixture
def rig(ros: SimpleNamespace) -> Iterator[Rig]:
    """A domain with nothing in it yet."""
    with running_rig(ros) as rig:
        yield rig


@pytest.fixture(scope="module")
def module_rig(ros: SimpleNamespace) -> Iterator[Rig]:
    """A domain for all tests of a file."""
    with running_rig(ros) as rig:
        yield rig


@pytest.fixture(scope="module")
def perception(ros: SimpleNamespace) -> Iterator[Rig]:
    """An active perception node with the embedded model."""
    with running_rig(ros) as rig:
        rig.start_perception()
        rig.session.bring_up(rig.node_name)
        rig.listen()
        rig.connect()
        yield rig


@pytest.fixture(scope="module")
def patient_perception(ros: SimpleNamespace) -> Iterator[Rig]:
    """An active perception node that works on every frame, however long that takes."""
    with running_rig(ros) as rig:
        # Deep enough for what a busy machine has to send again, which may take seconds.
        rig.start_perception(max_waiting="100000", qos__depth="1000")
        rig.session.bring_up(rig.node_name)
        rig.listen()
        rig.connect(depth=1000)
        yield rig


@pytest.fixture(scope="session")
def scene() -> RgbdFrame:
    """Boxes on a table."""
    return boxes_on_a_table()


@pytest.fixture(scope="session")
def small_bag(tmp_path_factory: pytest.TempPathFactory, scene: RgbdFrame) -> Path:
    """Four frames at 2 Hz, each with the boxes elsewhere."""
    from repsam_ros.bags import write_bag

    path = tmp_path_factory.mktemp("bags") / "boxes"
    samples = [
        SimpleNamespace(
            name=f"boxes{shift}",
            frame=RgbdFrame(
                np.roll(scene.color, shift, axis=1),
                np.roll(scene.depth_m, shift, axis=1),
                scene.intrinsics,
            ),
        )
        for shift in (0, 10, 20, 30)
    ]
    write_bag(path, samples, rate_hz=2.0)
    return path
