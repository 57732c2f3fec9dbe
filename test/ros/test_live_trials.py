"""The loops of trials with the running nodes for a chain."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from repsam_ros.config import build_config
from repsam_ros.messages import depth_from_image, depth_image
from repsam_ros.ros.live_trials import LiveChain, live_chain
from repsam_ros.trials.chains import Answer, OfflineChain, Wanted
from repsam_ros.trials.configuration import TrialsConfig
from repsam_ros.trials.object_set import objects_sha256
from repsam_ros.trials.protocol import clear_table, single_shot
from repsam_ros.trials.sensing import View

pytestmark = pytest.mark.ros

SCENE = {"kind": "packed", "materials": "opaque", "objects": [2, 2]}
CONFIG = build_config(
    TrialsConfig,
    {
        "protocol": "single_shot",
        "scenes": 1,
        "objects_sha256": objects_sha256(),
        "strata": {"packed": {"first_seed": 1900, "scene": SCENE}},
        "variants": [{"name": "net", "model": "repsam_tiny"}],
        "camera": {"size": [320, 240]},
    },
    "live",
)


class InMillimetres:
    """The offline chain on pictures as they come out of an image message."""

    def __init__(self) -> None:
        self._chain = OfflineChain(CONFIG.variants[0], CONFIG)

    def __call__(self, view: View, wanted: Wanted, /) -> Answer:
        sent = depth_from_image(SimpleNamespace(**depth_image(view.frame.depth_m)))
        return self._chain(replace(view, frame=replace(view.frame, depth_m=sent)), wanted)


def test_nodes_answer_as_the_offline_chain_does_and_clear_the_table() -> None:
    """One start of the nodes for both loops."""
    with live_chain() as chain:
        _same_single_shot(chain)
        _table_is_cleared(chain)


def _same_single_shot(chain: LiveChain) -> None:
    live, offline = single_shot(
        CONFIG, "packed", 1900, {"live": chain, "off": InMillimetres()}
    ).rows
    assert live.outcome == offline.outcome == "success"
    assert (live.mask_iou, live.instances) == (offline.mask_iou, offline.instances)
    assert live.grasps == offline.grasps > 0
    names = ("x_m", "y_m", "z_m", "qx", "qy", "qz", "qw", "width_m", "score")
    found, wanted = ([getattr(row, name) for name in names] for row in (live, offline))
    np.testing.assert_allclose(found, wanted, atol=2e-6)  # messages hold float32


def _table_is_cleared(chain: LiveChain) -> None:
    """Each picture follows from what the grasp before did."""
    config = replace(CONFIG, protocol="clutter")
    rows = clear_table(config, "packed", 1900, {"live": chain}).rows
    assert [row.objects for row in rows if row.outcome == "success"] == [2, 1]
