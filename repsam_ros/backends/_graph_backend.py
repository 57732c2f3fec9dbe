"""What backends that run exported graphs share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from repsam_ros.backends import BackendInfo, Decoded, Encoded
from repsam_ros.backends._graph_folder import GraphFolder
from repsam_ros.backends._prompt_batches import decode_in_batches

Arrays = Mapping[str, NDArray[Any]]
# Runs one graph: outputs by name from inputs by name, in arrays that the caller may keep.
Run = Callable[[Arrays], Arrays]


def encoder_inputs(
    color: NDArray[np.uint8], depth_m: NDArray[np.float32], intrinsics: NDArray[np.float32]
) -> Arrays:
    """A canvas as the encoder's graph takes it, a batch of one."""
    return {"color": color[None], "depth_m": depth_m[None], "intrinsics": intrinsics[None]}


class GraphBackend:
    """Two graphs behind the protocol; see :class:`repsam_ros.backends.Backend`."""

    def __init__(self, folder: GraphFolder, encoder: Run, decoder: Run, info: BackendInfo) -> None:
        self._folder, self._encoder, self._decoder, self._info = folder, encoder, decoder, info

    @property
    def canvas_px(self) -> tuple[int, int]:
        """(height, width) of the image that the network sees."""
        return self._folder.canvas_px

    def encode(
        self,
        color: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        intrinsics: NDArray[np.float32],
    ) -> Encoded:
        """See :meth:`repsam_ros.backends.Backend.encode`."""
        outputs = self._encoder(encoder_inputs(color, depth_m, intrinsics))
        return Encoded(outputs["heatmap"][0], {name: outputs[name] for name in self._folder.state})

    def decode(self, encoded: Encoded, points_px: NDArray[np.float32]) -> Decoded:
        """See :meth:`repsam_ros.backends.Backend.decode`."""
        state = cast(Arrays, encoded.state)

        def decode(points: NDArray[np.float32]) -> Decoded:
            outputs = self._decoder({**state, "points_px": points})
            return Decoded(outputs["mask_logits"], outputs["predicted_iou"])

        return decode_in_batches(decode, points_px, self.canvas_px)

    def info(self) -> BackendInfo:
        """What is really running."""
        return self._info

    def close(self) -> None:
        """Frees the graphs."""
        del self._encoder, self._decoder
