"""The nodes' graph, as the files of ``config/`` that name its topics have it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from repsam_ros.ros.live_run import PERCEPTION, PLANNER, started_nodes

pytestmark = pytest.mark.ros

CONFIG = Path(__file__).parents[2] / "config"
NAMESPACE = "/repsam"
NODES = ("perception", "grasp_planner")
KINDS = ("publisher", "subscriber", "service", "client")
# Only where their message packages are installed; RViz shows neither.
OPTIONAL = {"/repsam/perception/detections", "/repsam/grasp_planner/moveit_grasp"}

Graph = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """Full names of topics and services, by node and kind, with both nodes active."""
    with started_nodes(planner=True) as (_, session):
        session.bring_up(PERCEPTION, PLANNER)

        def names(node: str, kind: str) -> set[str]:
            ask = getattr(session.node, f"get_{kind}_names_and_types_by_node")
            return {name for name, _ in ask(node, NAMESPACE)}

        def is_complete() -> bool:
            return "/camera/color/image_raw" in names(
                "perception", "subscriber"
            ) and "/repsam/perception/points" in names("grasp_planner", "subscriber")

        session.wait_until(is_complete, 60, "the graph")
        yield {node: {kind: names(node, kind) for kind in KINDS} for node in NODES}


def policy() -> Graph:
    """What ``config/sros2`` allows, by full names."""
    root = ElementTree.parse(CONFIG / "sros2" / "repsam.policy.xml").getroot()
    kinds = {
        ("topics", "publish"): "publisher",
        ("topics", "subscribe"): "subscriber",
        ("services", "reply"): "service",
        ("services", "request"): "client",
    }
    allowed: Graph = {}
    for profile in root.iter("profile"):
        node, space = profile.attrib["node"], profile.attrib["ns"]
        names: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for rules in profile:
            for direction, qualifier in rules.attrib.items():
                assert qualifier == "ALLOW"
                found = {full_name(str(rule.text), space, node) for rule in rules}
                names[kinds[rules.tag, direction]] |= found
        allowed[node] = names
    return allowed


def full_name(name: str, space: str, node: str) -> str:
    if name.startswith("~/"):
        return f"{space}/{node}{name[1:]}"
    return name if name.startswith("/") else f"{space}/{name}"


def test_the_policy_allows_what_the_nodes_have_and_nothing_else(graph: Graph) -> None:
    allowed = policy()
    assert allowed.keys() == graph.keys()
    for node, kinds in allowed.items():
        for kind, names in kinds.items():
            assert graph[node][kind] <= names
            assert names - graph[node][kind] <= OPTIONAL


def test_the_policy_allows_the_optional_results() -> None:
    assert {name for node in policy().values() for name in node["publisher"]} >= OPTIONAL


def rviz_topics() -> dict[str, str]:
    """Topic by display class and name."""
    content: Any = yaml.safe_load((CONFIG / "repsam.rviz").read_text())
    displays = content["Visualization Manager"]["Displays"]
    return {item["Name"]: item["Topic"]["Value"] for item in displays}


def test_rviz_shows_every_result_that_it_can_show(graph: Graph) -> None:
    shown = set(rviz_topics().values())
    results = {
        name
        for node in NODES
        for name in graph[node]["publisher"]
        if name.startswith(f"{NAMESPACE}/{node}/")
    }
    # Ids and bare candidates are numbers for programs; RViz has the pictures made of them.
    numbers = {
        "/repsam/perception/labels",
        "/repsam/grasp_planner/grasp_candidates",
        "/repsam/perception/transition_event",
        "/repsam/grasp_planner/transition_event",
    }
    assert shown == results - numbers - OPTIONAL
