"""Runs the nodes as processes on a bag and records what they publish."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from repsam_ros.bags import BagTopics, bag_info, find_topics
from repsam_ros.evaluation.soak.measures import unaccounted_clouds
from repsam_ros.images import write_png
from repsam_ros.messages.compressed import TRANSPORT_SUFFIXES
from repsam_ros.paths import share_dir
from repsam_ros.replay.results import instance_count
from repsam_ros.ros.camera_inputs import CAMERA_INFO, IMAGES
from repsam_ros.ros.processes import ChildProcess, ProcessGroup, node_command
from repsam_ros.ros.recorder import Recorder
from repsam_ros.ros.session import Session, environment_set, private_environment
from repsam_ros.structures import Grasp, SceneCloud

_logger = logging.getLogger(__name__)

NAMESPACE = "/repsam"
PERCEPTION = f"{NAMESPACE}/perception"
PLANNER = f"{NAMESPACE}/grasp_planner"
_STALL_S = 60.0
_QUEUE = 50
_ALL = 500  # a bound for the memory, 700 MB of 640x480 frames


@dataclass
class LiveResults:
    """What the recorder got, by stamp.

    Attributes:
        scores: (N,) float32, of the instances of a frame; 0 for one without a point in the cloud.
        instance_counts: Of the label maps.
        clouds: Kept only where asked for.
        grasps: Best first.
        perception: Last diagnostics of the perception node.
        planner: Likewise of the planner.
    """

    scores: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    instance_counts: dict[int, int] = field(default_factory=dict)
    clouds: dict[int, SceneCloud] = field(default_factory=dict)
    grasps: dict[int, list[Grasp]] = field(default_factory=dict)
    perception: dict[str, str] = field(default_factory=dict)
    planner: dict[str, str] = field(default_factory=dict)


def run_nodes_on(
    bag: Path,
    out: Path,
    *,
    parameters: dict[str, str] | None = None,
    planner: bool = False,
    keep_clouds: bool = False,
    every_frame: bool = False,
    rate_factor: float = 1.0,
    topics: BagTopics | None = None,
    on_line: Callable[[str, str], None] | None = None,
) -> LiveResults:
    """Runs perception (and the planner) as processes on a bag; writes ``labels/<stamp_ns>.png``.

    Args:
        parameters: Of the perception node, on top of its file; values as YAML.
        every_frame: Frames wait for the nodes where these are too slow; else the nodes drop
            them as stale, as on a robot.
    """
    topics = find_topics(bag_info(bag), topics or BagTopics())
    results = LiveResults()

    def on_labels(stamp_ns: int, labels: NDArray[np.uint16]) -> None:
        write_png(out / "labels" / f"{stamp_ns}.png", labels)
        results.instance_counts[stamp_ns] = instance_count(labels)

    def on_cloud(cloud: SceneCloud) -> None:
        scores = np.zeros(int(cloud.instance_ids.max(initial=0)) + 1, np.float32)
        scores[cloud.instance_ids] = cloud.scores
        results.scores[cloud.stamp_ns] = scores[1:]
        if keep_clouds:
            results.clouds[cloud.stamp_ns] = cloud

    names = [PERCEPTION, PLANNER] if planner else [PERCEPTION]
    with started_nodes(
        planner=planner,
        parameters=parameters,
        every_frame=every_frame,
        topics=topics,
        on_line=on_line,
    ) as (processes, session):
        recorder = Recorder(
            session.node,
            PERCEPTION,
            on_labels,
            on_cloud,
            PLANNER if planner else None,
            results.grasps.__setitem__,
        )
        session.bring_up(*names)
        await_recorder(session, planner)
        player = processes.start("bag player", _player_command(bag, topics, rate_factor))
        _await_end(session, player, bag, recorder, topics, planner)
        results.perception = session.diagnostics(PERCEPTION)
        results.planner = session.diagnostics(PLANNER)
    for text in recorder.broken:
        _logger.warning("could not decode a message: %s", text)
    return results


@contextmanager
def started_nodes(
    *,
    planner: bool = False,
    parameters: dict[str, str] | None = None,
    every_frame: bool = False,
    topics: BagTopics | None = None,
    on_line: Callable[[str, str], None] | None = None,
) -> Iterator[tuple[ProcessGroup, Session]]:
    """The nodes' processes, unconfigured, and a session, on a domain of their own.

    For the arguments see :func:`run_nodes_on`; ``topics`` are those that are really there.
    """
    topics = topics or BagTopics()
    environment = private_environment()
    reliable = {"qos.reliability": "reliable", "qos.depth": str(_QUEUE)}
    if every_frame:
        reliable["max_waiting"] = str(_ALL)
    with (
        environment_set(environment),
        ProcessGroup(environment, on_line or _log_trouble) as processes,
    ):
        command = node_command(
            "perception_node",
            namespace=NAMESPACE,
            params_file=share_dir() / "config" / "perception.yaml",
            parameters={
                **reliable,
                "qos.output_depth": str(_QUEUE),
                "backend_swap": "false",  # one backend for all frames
                **_transports(topics),
                **(parameters or {}),
            },
            remappings=_remappings(topics),
        )
        processes.start("perception node", command)
        if planner:
            command = node_command(
                "grasp_planner_node",
                namespace=NAMESPACE,
                params_file=share_dir() / "config" / "grasp_planner.yaml",
                parameters=reliable,
            )
            processes.start("grasp planner node", command)
        with Session("live_replay", processes.check) as session:
            yield processes, session


def _transports(topics: BagTopics) -> dict[str, str]:
    """What the perception node has to know of the topics."""
    images = {f"{stream}_transport": kind for stream, kind in topics.transports().items()}
    return {**images, "depth_info_topic": json.dumps(topics.depth_info)}


def _remappings(topics: BagTopics) -> dict[str, str]:
    """From the perception node's names to those of the bag."""
    names = {CAMERA_INFO: topics.info}
    for stream, name in IMAGES.items():
        is_raw = topics.transports()[stream] == "raw"
        own = name if is_raw else f"{name}/{TRANSPORT_SUFFIXES[stream]}"
        names[own] = topics.by_stream()[stream]
    return names


def _player_command(bag: Path, topics: BagTopics, rate_factor: float) -> list[str]:
    command = [sys.executable, "-m", "repsam_ros.cli.main", "bag", "play", str(bag)]
    command += ["--rate-factor", str(rate_factor)]
    for stream, topic in topics.by_stream().items():  # found: the name says how images come
        command += [f"--{stream.replace('_', '-')}-topic", topic]
    return command


def await_recorder(session: Session, planner: bool) -> None:
    """Waits until the nodes know the recorder (and each other): earlier results would be lost."""
    links = [(PERCEPTION, "points", 2 if planner else 1), (PERCEPTION, "labels", 1)]
    links += [(PERCEPTION, name, 1) for name in ("support_plane", "view_pose") if planner]
    links += [(PLANNER, "grasp_candidates", 1)] if planner else []

    def are_linked() -> bool:
        return all(
            int(session.diagnostics(node).get(f"subscribers_{topic}", 0)) >= count
            for node, topic, count in links
        )

    session.wait_until(are_linked, 30.0, "the nodes and the recorder to find each other")


def _await_end(
    session: Session,
    player: ChildProcess,
    bag: Path,
    recorder: Recorder,
    topics: BagTopics,
    planner: bool,
) -> None:
    """Waits for the player, then until the nodes are through, or for a while where they stall."""
    info = bag_info(bag)
    session.wait_until(
        lambda: player.exit_code is not None,
        3600.0 + 10 * info.duration_ns / 1e9,
        "the end of the bag",
    )
    session.check()
    images = sum(topic.count for topic in info.topics if topic.name == topics.color)
    seen, end_s = -1, 0.0
    while not _is_through(session, recorder, images, planner):
        session.check()
        progress = len(recorder.label_stamps_ns) + len(recorder.grasp_stamps_ns)
        if progress > seen:
            seen, end_s = progress, time.monotonic() + _STALL_S
        if time.monotonic() > end_s:
            _logger.warning("nothing came for %g s, going on without the rest", _STALL_S)
            return
        time.sleep(0.1)


def _is_through(session: Session, recorder: Recorder, images: int, planner: bool) -> bool:
    """Whether the nodes took everything, and the recorder has all that they published."""
    perception = session.diagnostics(PERCEPTION)
    published = int(perception["published"])
    is_through = int(perception["received_color"]) >= images and perception["busy"] == "False"
    is_through = is_through and len(recorder.label_stamps_ns) >= published
    if not planner:
        return is_through
    planned = session.diagnostics(PLANNER)
    is_through = is_through and planned["busy"] == "False"
    is_through = is_through and int(planned["received_points"]) >= published
    is_through = is_through and unaccounted_clouds(planned) == 0
    return is_through and len(recorder.grasp_stamps_ns) >= int(planned["published"])


def _log_trouble(label: str, line: str) -> None:
    if any(word in line for word in ("[WARN]", "[ERROR]", "[FATAL]")):
        _logger.warning("%s: %s", label, line)
