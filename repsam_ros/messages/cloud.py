"""Scene clouds and grasp candidates as PointCloud2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.errors import FrameError
from repsam_ros.messages.image import stamp_to_ns
from repsam_ros.messages.types import PointCloud
from repsam_ros.structures import Grasp, Plane, SceneCloud

_UINT8, _UINT32, _FLOAT32 = 2, 6, 7  # sensor_msgs/PointField datatypes
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}
_NUMPY_TYPES = {_UINT8: "u1", _UINT32: "u4", _FLOAT32: "f4"}


class Field(NamedTuple):
    """One sensor_msgs/PointField of a single value."""

    name: str
    offset: int
    datatype: int


_CLOUD_FIELDS = (
    Field("x", 0, _FLOAT32),
    Field("y", 4, _FLOAT32),
    Field("z", 8, _FLOAT32),
    # The convention of PCL and RViz: the bits of 0x00RRGGBB in a float.
    Field("rgb", 12, _FLOAT32),
    Field("instance_id", 16, _UINT32),
    Field("score", 20, _FLOAT32),
    Field("flags", 24, _UINT8),
)
_CLOUD_POINT_BYTES = 28  # keeps every row on a multiple of 4 bytes

_GRASP_FIELDS = (
    *(
        Field(name, 4 * index, _FLOAT32)
        for index, name in enumerate(("x", "y", "z", "qx", "qy", "qz", "qw", "width", "score"))
    ),
    Field("instance_id", 36, _UINT32),
)
_GRASP_POINT_BYTES = 40


def cloud_fields() -> tuple[Field, ...]:
    """Layout of a scene cloud; ``rgb`` holds the bits of 0x00RRGGBB."""
    return _CLOUD_FIELDS


def grasp_fields() -> tuple[Field, ...]:
    """Layout of grasp candidates: position, quaternion, opening width, score, instance."""
    return _GRASP_FIELDS


def pack_cloud(cloud: SceneCloud) -> NDArray[np.void]:
    """(M,) structured rows in the layout of :func:`cloud_fields`; ``rgb`` as uint32."""
    rows = np.zeros(len(cloud.points_m), _row_dtype(_CLOUD_FIELDS, _CLOUD_POINT_BYTES))
    for axis, name in enumerate("xyz"):
        rows[name] = cloud.points_m[:, axis]
    red, green, blue = cloud.colors.astype(np.uint32).T
    rows["rgb"] = red << 16 | green << 8 | blue
    rows["instance_id"] = cloud.instance_ids
    rows["score"] = cloud.scores
    rows["flags"] = cloud.flags
    return rows


def unpack_cloud(
    msg: PointCloud,
    plane: Plane | None = None,
    viewpoint_m: NDArray[np.float64] | None = None,
) -> SceneCloud:
    """The scene cloud of a message; points that are not finite are left out.

    Fields may lie in any order and beside others; ``rgb`` may be a float or a uint32.

    Raises:
        FrameError: ``unknown_encoding`` when a field is missing or of another type, ``truncated``.
    """
    rows = _rows(msg, _CLOUD_FIELDS)
    points_m = np.stack([rows["x"], rows["y"], rows["z"]], axis=1).astype(np.float32, copy=False)
    finite = np.isfinite(points_m).all(axis=1)
    if not finite.all():
        rows, points_m = rows[finite], points_m[finite]
    rgb = rows["rgb"].astype(np.uint32)
    return SceneCloud(
        points_m=points_m,
        colors=np.stack([rgb >> 16, rgb >> 8, rgb], axis=1).astype(np.uint8),
        instance_ids=rows["instance_id"].astype(np.uint32),
        scores=rows["score"].astype(np.float32),
        flags=rows["flags"].astype(np.uint8),
        stamp_ns=stamp_to_ns(msg.header.stamp),
        frame_id=msg.header.frame_id,
        support_plane=plane,
        viewpoint_m=np.zeros(3) if viewpoint_m is None else viewpoint_m,
    )


def pack_grasps(grasps: Sequence[Grasp]) -> NDArray[np.void]:
    """(N,) structured rows in the layout of :func:`grasp_fields`, in the order given."""
    rows = np.zeros(len(grasps), _row_dtype(_GRASP_FIELDS, _GRASP_POINT_BYTES))
    if not len(rows):
        return rows
    positions_m = np.stack([grasp.position_m for grasp in grasps])
    quaternions = Rotation.from_matrix(np.stack([grasp.rotation for grasp in grasps])).as_quat()
    # q and -q are one rotation; a fixed sign keeps equal grasps equal on the wire.
    quaternions[quaternions[:, 3] < 0] *= -1
    for axis, name in enumerate("xyz"):
        rows[name] = positions_m[:, axis]
    for axis, name in enumerate(("qx", "qy", "qz", "qw")):
        rows[name] = quaternions[:, axis]
    rows["width"] = [grasp.width_m for grasp in grasps]
    rows["score"] = [grasp.score for grasp in grasps]
    rows["instance_id"] = [grasp.instance_id for grasp in grasps]
    return rows


def unpack_grasps(msg: PointCloud) -> list[Grasp]:
    """The grasps of a message, in its order.

    Raises:
        FrameError: ``unknown_encoding`` when a field is missing, of another type or a rotation
            is no quaternion, ``truncated``.
    """
    rows = _rows(msg, _GRASP_FIELDS)
    if not len(rows):
        return []
    quaternions = np.stack([rows[name] for name in ("qx", "qy", "qz", "qw")], axis=1)
    norms = np.linalg.norm(quaternions, axis=1)
    if not np.all(np.abs(norms - 1) < 1e-2):
        raise FrameError("unknown_encoding", "grasp candidates: a rotation is no unit quaternion")
    rotations = Rotation.from_quat(quaternions).as_matrix()
    return [
        Grasp(
            position_m=np.array([row["x"], row["y"], row["z"]], dtype=np.float64),
            rotation=rotation,
            width_m=float(row["width"]),
            score=float(row["score"]),
            instance_id=int(row["instance_id"]),
        )
        for row, rotation in zip(rows, rotations, strict=True)
    ]


def point_cloud(rows: NDArray[np.void], fields: Sequence[Field]) -> dict[str, Any]:
    """Fields of a PointCloud2 from packed rows; ``fields`` stay :class:`Field` tuples."""
    rows = np.ascontiguousarray(rows)
    return {
        "height": 1,
        "width": len(rows),
        "fields": tuple(fields),
        "is_bigendian": False,
        "point_step": rows.dtype.itemsize,
        "row_step": rows.nbytes,
        "data": rows.view(np.uint8),
        "is_dense": True,
    }


def _row_dtype(
    fields: Sequence[Field], point_bytes: int, byte_order: str = "<"
) -> np.dtype[np.void]:
    return np.dtype(
        {
            "names": [field.name for field in fields],
            # As a float the colour's bits would not survive every conversion.
            "formats": [
                byte_order + ("u4" if field.name == "rgb" else _NUMPY_TYPES[field.datatype])
                for field in fields
            ],
            "offsets": [field.offset for field in fields],
            "itemsize": point_bytes,
        }
    )


def _rows(msg: PointCloud, wanted: Sequence[Field]) -> NDArray[np.void]:
    """(height * width,) rows with the fields ``wanted``, at the offsets the message gives."""
    found = {field.name: Field(field.name, field.offset, field.datatype) for field in msg.fields}
    located = []
    for want in wanted:
        field = found.get(want.name)
        if field is None:
            have = ", ".join(found) or "none"
            raise FrameError("unknown_encoding", f"point cloud: no field {want.name}, has {have}")
        is_packed_color = want.name == "rgb" and field.datatype in (_UINT32, _FLOAT32)
        if field.datatype != want.datatype and not is_packed_color:
            raise FrameError(
                "unknown_encoding",
                f"point cloud: field {want.name} has datatype {field.datatype}, expected"
                f" {want.datatype}",
            )
        if field.offset + _ITEM_BYTES[field.datatype] > msg.point_step:
            raise FrameError(
                "truncated",
                f"point cloud: field {want.name} ends beyond point_step {msg.point_step}",
            )
        located.append(field)
    height, width = int(msg.height), int(msg.width)
    dtype = _row_dtype(located, int(msg.point_step), ">" if msg.is_bigendian else "<")
    if not height * width:
        return np.zeros(0, dtype)
    data = memoryview(msg.data)
    row_step = int(msg.row_step) if height > 1 else width * dtype.itemsize
    needed = row_step * (height - 1) + width * dtype.itemsize
    if row_step < width * dtype.itemsize or data.nbytes < needed:
        raise FrameError(
            "truncated",
            f"point cloud: {data.nbytes} bytes of data in rows of {row_step},"
            f" {width}x{height} points of {dtype.itemsize} bytes need {needed}",
        )
    strides = (row_step, dtype.itemsize)
    return np.ndarray((height, width), dtype, buffer=data, strides=strides).reshape(-1)
