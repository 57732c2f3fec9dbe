from __future__ import annotations

import array
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from repsam_ros import messages
from repsam_ros.errors import ConfigError, FrameError
from repsam_ros.structures import Grasp, SceneCloud

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
# Channel of R, G, B in the encoding's own order.
CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0)}


@given(st.data(), SIZES, st.sampled_from(sorted(CHANNELS)), st.integers(0, 7))
def test_color_of_every_encoding_is_rgb(ros, data, size, encoding, padding):
    count = len(encoding) - 1
    pixels = data.draw(hnp.arrays(np.uint8, (*size, count)))
    color = messages.color_from_image(ros.image(pixels, encoding, padding=padding))
    np.testing.assert_array_equal(color, pixels[..., CHANNELS[encoding]])
    assert color.flags.c_contiguous
    assert color.flags.writeable


@given(hnp.arrays(np.uint8, SIZES), st.integers(0, 7))
def test_mono_is_repeated_in_all_channels(ros, pixels, padding):
    color = messages.color_from_image(ros.image(pixels, "mono8", padding=padding))
    np.testing.assert_array_equal(color, np.stack([pixels] * 3, axis=-1))


@given(
    hnp.arrays(np.uint16, SIZES),
    st.integers(0, 7),
    st.booleans(),
    st.sampled_from(["16UC1", "mono16"]),
)
def test_integer_depth_is_millimetres(ros, pixels, padding, big_endian, encoding):
    msg = ros.image(pixels, encoding, padding=padding, big_endian=big_endian)
    depth_m = messages.depth_from_image(msg)
    np.testing.assert_array_equal(depth_m, (pixels / 1000).astype(np.float32))
    assert depth_m.dtype.isnative


@given(
    hnp.arrays(np.float32, SIZES, elements=st.floats(width=32)), st.integers(0, 7), st.booleans()
)
def test_float_depth_is_metres_and_unusable_values_are_zero(ros, pixels, padding, big_endian):
    depth_m = messages.depth_from_image(
        ros.image(pixels, "32FC1", padding=padding, big_endian=big_endian)
    )
    usable = np.isfinite(pixels) & (pixels > 0)
    np.testing.assert_array_equal(depth_m, np.where(usable, pixels, 0))


@given(hnp.arrays(np.uint16, SIZES))
def test_millimetre_and_metre_cameras_agree(ros, pixels):
    metres = (pixels / 1000).astype(np.float32)
    np.testing.assert_array_equal(
        messages.depth_from_image(ros.image(pixels, "16UC1")),
        messages.depth_from_image(ros.image(metres, "32FC1")),
    )


def test_depth_scale_overrides_the_encoding(ros):
    tenth_millimetres = np.array([[10000, 5000]], np.uint16)
    depth_m = messages.depth_from_image(ros.image(tenth_millimetres, "16UC1"), scale_m=1e-4)
    np.testing.assert_array_equal(depth_m, np.array([[1.0, 0.5]], np.float32))
    millimetres = np.array([[1500, np.nan]], np.float32)
    depth_m = messages.depth_from_image(ros.image(millimetres, "32FC1"), scale_m=1e-3)
    np.testing.assert_allclose(depth_m, [[1.5, 0]])
    with pytest.raises(ConfigError, match="-1"):
        messages.depth_from_image(ros.image(tenth_millimetres, "16UC1"), scale_m=-1.0)


@given(hnp.arrays(np.uint16, SIZES))
def test_depth_image_round_trip(pixels):
    depth_m = (pixels / 1000).astype(np.float32)
    fields = messages.depth_image(depth_m)
    assert fields["encoding"] == "16UC1"
    np.testing.assert_array_equal(messages.depth_from_image(SimpleNamespace(**fields)), depth_m)


def test_depth_image_leaves_out_what_16_bits_cannot_hold():
    depth_m = np.array([[np.nan, np.inf, -1.0, 65.535, 65.5361]], np.float32)
    fields = messages.depth_image(depth_m)
    np.testing.assert_array_equal(fields["data"].view("<u2"), [0, 0, 0, 65535, 0])


@given(hnp.arrays(np.uint16, SIZES))
def test_label_image_round_trip(labels):
    fields = messages.label_image(labels)
    assert fields["step"] == 2 * labels.shape[1]
    np.testing.assert_array_equal(messages.labels_from_image(SimpleNamespace(**fields)), labels)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_color_image_round_trip(color):
    fields = messages.color_image(color)
    np.testing.assert_array_equal(messages.color_from_image(SimpleNamespace(**fields)), color)


def test_live_messages_hold_their_data_in_an_array():
    fields = messages.color_image(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    live = SimpleNamespace(**{**fields, "data": array.array("B", fields["data"].tobytes())})
    color = messages.color_from_image(live)
    np.testing.assert_array_equal(color.ravel(), np.arange(24))


@pytest.mark.parametrize("decode", [messages.color_from_image, messages.depth_from_image])
def test_unknown_encoding_is_named(ros, decode):
    with pytest.raises(FrameError, match="'yuv422'") as error:
        decode(ros.image(np.zeros((2, 2), np.uint8), "yuv422"))
    assert error.value.cause == "unknown_encoding"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"height": 0}, "empty_image"),
        ({"width": 0}, "empty_image"),
        ({"step": 3}, "truncated"),
        ({"step": 0}, "truncated"),
        ({"height": 5}, "truncated"),
        ({"data": np.zeros(0, np.uint8)}, "truncated"),
    ],
)
@pytest.mark.parametrize(
    ("decode", "encoding"),
    [(messages.color_from_image, "rgb8"), (messages.depth_from_image, "32FC1")],
)
def test_broken_images_are_frame_errors(ros, change, cause, decode, encoding):
    pixels = np.zeros((4, 4, 3), np.uint8) if encoding == "rgb8" else np.ones((4, 4), np.float32)
    msg = ros.image(pixels, encoding)
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(FrameError) as error:
        decode(msg)
    assert error.value.cause == cause


def test_last_row_needs_no_padding(ros):
    msg = ros.image(np.full((3, 2, 3), 7, np.uint8), "rgb8", padding=2)
    msg.data = msg.data[:-2]
    assert messages.color_from_image(msg).shape == (3, 2, 3)


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamp_round_trip(ros, stamp_ns):
    sec, nanosec = messages.ns_to_stamp(stamp_ns)
    assert 0 <= nanosec < 10**9
    stamp = ros.typestore.types["builtin_interfaces/msg/Time"](sec, nanosec)
    assert messages.stamp_to_ns(stamp) == stamp_ns


def test_intrinsics_come_from_k(ros):
    intrinsics = messages.intrinsics_from_camera_info(ros.camera_info(640, 480, fx=525.0))
    assert (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy) == (525, 525, 319.5, 239.5)
    assert (intrinsics.width, intrinsics.height) == (640, 480)


@pytest.mark.parametrize("k", [np.zeros(9), np.full(9, np.nan), np.zeros(0)])
def test_unset_intrinsics_are_a_frame_error(ros, k):
    info = ros.camera_info(640, 480)
    info.k = k
    with pytest.raises(FrameError) as error:
        messages.intrinsics_from_camera_info(info)
    assert error.value.cause == "bad_intrinsics"


FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def clouds(draw):
    count = draw(st.integers(0, 12))
    return SceneCloud(
        points_m=draw(hnp.arrays(np.float32, (count, 3), elements=FINITE)),
        colors=draw(hnp.arrays(np.uint8, (count, 3))),
        instance_ids=draw(hnp.arrays(np.uint32, count)),
        scores=draw(hnp.arrays(np.float32, count, elements=FINITE)),
        flags=draw(hnp.arrays(np.uint8, count)),
        stamp_ns=draw(st.integers(1, 2**31 * 10**9 - 1)),
        frame_id="camera_color_optical_frame",
    )


def assert_same_cloud(got, want):
    for name in ("points_m", "colors", "instance_ids", "scores", "flags"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    assert (got.stamp_ns, got.frame_id) == (want.stamp_ns, want.frame_id)


def cloud_message(ros, cloud):
    content = messages.point_cloud(messages.pack_cloud(cloud), messages.cloud_fields())
    return ros.point_cloud2(content, cloud.stamp_ns)


@given(clouds())
def test_cloud_round_trip_is_exact(ros, cloud):
    assert_same_cloud(messages.unpack_cloud(cloud_message(ros, cloud)), cloud)


@given(clouds())
def test_cloud_survives_the_wire(ros, cloud):
    name = "sensor_msgs/msg/PointCloud2"
    raw = ros.typestore.serialize_cdr(cloud_message(ros, cloud), name)
    assert_same_cloud(messages.unpack_cloud(ros.typestore.deserialize_cdr(raw, name)), cloud)


@given(clouds(), st.booleans(), st.integers(0, 5))
def test_cloud_of_another_layout_is_read(ros, cloud, big_endian, padding):
    """An organised cloud of another writer: uint32 rgb, own offsets, a field more, padded rows."""
    order = ">" if big_endian else "<"
    layout = np.dtype(
        {
            "names": ["flags", "rgb", "normal_x", "z", "y", "x", "score", "instance_id"],
            "formats": ["u1", *(f"{order}{t}" for t in ("u4", "f4", "f4", "f4", "f4", "f4", "u4"))],
            "offsets": [1, 2, 6, 12, 16, 20, 24, 30],
            "itemsize": 37,
        }
    )
    packed = messages.pack_cloud(cloud)
    doubled = np.zeros((2, len(packed)), layout)
    for name in packed.dtype.names:
        doubled[name] = packed[name]
    rows = doubled.reshape(2, -1).view(np.uint8).reshape(2, -1)
    datatypes = {"flags": 2, "rgb": 6, "instance_id": 6}
    content = {
        "height": 2,
        "width": len(packed),
        "fields": [
            messages.Field(name, layout.fields[name][1], datatypes.get(name, 7))
            for name in layout.names
        ],
        "is_bigendian": big_endian,
        "point_step": 37,
        "row_step": rows.shape[1] + padding,
        "data": np.pad(rows, ((0, 0), (0, padding)), constant_values=255).reshape(-1),
        "is_dense": True,
    }
    got = messages.unpack_cloud(ros.point_cloud2(content, cloud.stamp_ns))
    np.testing.assert_array_equal(got.points_m, np.concatenate([cloud.points_m] * 2))
    np.testing.assert_array_equal(got.colors, np.concatenate([cloud.colors] * 2))
    np.testing.assert_array_equal(got.instance_ids, np.concatenate([cloud.instance_ids] * 2))


def small_cloud():
    return SceneCloud(
        points_m=np.array([[0, 0, 1], [np.nan, 0, 1], [0, 0, 2]], np.float32),
        colors=np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8),
        instance_ids=np.arange(3, dtype=np.uint32),
        scores=np.ones(3, np.float32),
        flags=np.zeros(3, np.uint8),
        stamp_ns=1,
        frame_id="camera",
    )


def test_points_that_are_not_finite_are_left_out(ros):
    cloud = messages.unpack_cloud(cloud_message(ros, small_cloud()))
    np.testing.assert_array_equal(cloud.instance_ids, [0, 2])
    np.testing.assert_array_equal(cloud.points_m[:, 2], [1, 2])


def test_rgb_follows_the_convention_of_rviz():
    packed = messages.pack_cloud(small_cloud())
    assert [hex(value) for value in packed["rgb"]] == ["0xff0000", "0xff00", "0xff"]


@pytest.mark.parametrize(
    ("change", "cause", "named"),
    [
        ({"fields": []}, "unknown_encoding", "no field x"),
        ({"fields": [messages.Field("x", 0, 8)]}, "unknown_encoding", "datatype 8"),
        ({"point_step": 8}, "truncated", "point_step 8"),
        ({"data": np.zeros(10, np.uint8)}, "truncated", "10 bytes"),
        ({"height": 2, "row_step": 10}, "truncated", "rows of 10"),
    ],
)
def test_broken_clouds_are_frame_errors(ros, change, cause, named):
    content = messages.point_cloud(messages.pack_cloud(small_cloud()), messages.cloud_fields())
    with pytest.raises(FrameError, match=named) as error:
        messages.unpack_cloud(ros.point_cloud2({**content, **change}))
    assert error.value.cause == cause


@st.composite
def grasps(draw):
    quaternion = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 4)))
    norm = np.linalg.norm(quaternion)
    x, y, z, w = quaternion / norm if norm > 1e-3 else (0.0, 0.0, 0.0, 1.0)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return Grasp(
        position_m=draw(hnp.arrays(np.float64, 3, elements=st.floats(-5, 5))),
        rotation=rotation,
        width_m=draw(st.floats(0, 0.125, width=32)),
        score=draw(st.floats(0, 1, width=32)),
        instance_id=draw(st.integers(0, 2**32 - 1)),
    )


def grasp_message(ros, candidates):
    return ros.point_cloud2(
        messages.point_cloud(messages.pack_grasps(candidates), messages.grasp_fields())
    )


@given(st.lists(grasps(), max_size=5))
def test_grasp_round_trip(ros, candidates):
    unpacked = messages.unpack_grasps(grasp_message(ros, candidates))
    assert len(unpacked) == len(candidates)
    for got, want in zip(unpacked, candidates, strict=True):
        np.testing.assert_allclose(got.position_m, want.position_m, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(got.rotation, want.rotation, atol=1e-6)
        assert (got.width_m, got.score, got.instance_id) == (
            want.width_m,
            want.score,
            want.instance_id,
        )


def test_grasp_rows_keep_their_order_and_a_positive_qw():
    turned = np.diag([-1.0, -1.0, 1.0])
    candidates = [
        Grasp(np.zeros(3), rotation, 0.05, score, 1)
        for rotation, score in ((np.eye(3), 0.9), (turned, 0.8))
    ]
    packed = messages.pack_grasps(candidates)
    np.testing.assert_allclose(packed["score"], [0.9, 0.8])
    assert (packed["qw"] >= 0).all()


def test_a_zero_quaternion_is_a_frame_error(ros):
    packed = messages.pack_grasps([Grasp(np.zeros(3), np.eye(3), 0.05, 1.0, 1)])
    packed["qw"] = 0
    msg = ros.point_cloud2(messages.point_cloud(packed, messages.grasp_fields()))
    with pytest.raises(FrameError, match="quaternion"):
        messages.unpack_grasps(msg)
