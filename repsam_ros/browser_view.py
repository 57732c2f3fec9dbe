"""Masks, clouds and grasps in a web browser, served by this process (viser)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import viser
from numpy.typing import NDArray

from repsam_ros.presentation.overlay import gripper_lines, instance_color, score_color
from repsam_ros.structures import Grasp, SceneCloud

_POINT_M = 0.003
_LINE_M = 0.001


class BrowserView:
    """What was shown last, in every browser that is open on it.

    Args:
        host: Address to serve at; 0.0.0.0 lets other machines look.
        port: Of the page.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 8080) -> None:
        self.server = viser.ViserServer(host, port, label="repsam_ros", verbose=False)
        self.server.scene.set_up_direction("-y")
        # The optical frame: the camera stands at the origin and looks along z.
        self.server.initial_camera.position = (0.0, -0.4, -0.3)
        self.server.initial_camera.look_at = (0.0, 0.0, 0.8)
        self._state = self.server.gui.add_markdown("waiting for the nodes")
        self._by_instance = self.server.gui.add_checkbox("colour by instance", initial_value=True)
        self._picture = self.server.gui.add_image(
            np.zeros((3, 4, 3), np.uint8), label="masks", format="jpeg"
        )

    @property
    def port(self) -> int:
        """Where it really serves: the next free port where the one asked for is taken."""
        return int(self.server.get_port())

    def show_masks(self, picture: NDArray[np.uint8]) -> None:
        """Shows an (H, W, 3) RGB picture beside the scene."""
        self._picture.image = picture

    def show_cloud(self, cloud: SceneCloud) -> None:
        """Replaces the cloud; objects have the colours of the masks, or their own."""
        colors = cloud.colors
        if self._by_instance.value:
            colors = colors.copy()
            for instance_id in np.unique(cloud.instance_ids[cloud.instance_ids > 0]).tolist():
                colors[cloud.instance_ids == instance_id] = instance_color(instance_id)
        self.server.scene.add_point_cloud(
            "/cloud", cloud.points_m, colors, point_size=_POINT_M, precision="float32"
        )
        objects = len(np.unique(cloud.instance_ids[cloud.instance_ids > 0]))
        stamp_s = cloud.stamp_ns / 1e9
        self._state.content = f"{objects} objects, {len(cloud.points_m)} points, {stamp_s:.3f} s"

    def show_grasps(self, grasps: Sequence[Grasp]) -> None:
        """Replaces the grasps; green is the best score, red the worst."""
        segments, colors = [], []
        for grasp in grasps:
            for line in gripper_lines(grasp):
                pairs = np.stack([line[:-1], line[1:]], axis=1)
                segments.append(pairs)
                colors.append(np.broadcast_to(score_color(grasp.score), pairs.shape))
        points = np.concatenate(segments) if segments else np.zeros((0, 2, 3))
        inks = np.concatenate(colors) if colors else np.zeros((0, 2, 3))
        self.server.scene.add_line_segments(
            "/grasps", points.astype(np.float32), inks.astype(np.uint8), thickness=_LINE_M
        )

    def close(self) -> None:
        """Ends the server."""
        self.server.stop()
