"""Scenes for Mitsuba 3: what a view shows, as meshes, materials and light of a path tracer.

The same surfaces, textures and camera as the fast renderer's. What differs is light: it comes
from a lamp and a room of finite size, bounces, and goes through glass as through glass.

Colours of views are display values; the path tracer computes with linear ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.errors import ConfigError
from repsam_ros.simulation.embree import view_triangles
from repsam_ros.simulation.mitsuba_mesh import (
    NOTHING,
    Shape,
    build_mesh,
    smooth_normals,
    textured_shape,
)
from repsam_ros.simulation.views import (
    AMBIENT,
    FILL,
    FILL_STRENGTH,
    GLASS,
    GLOSS,
    LAMP,
    LAMP_COLOR,
    LAMP_STRENGTH,
    SCALE,
    SHININESS,
    SKY,
    TEXTURE,
    TINT,
    TINT_SHARE,
    View,
)

Vector = NDArray[np.float64]

# Display value = linear value ** (1 / GAMMA).
GAMMA = 2.2
# A soda-lime glass.
GLASS_IOR = 1.52
# A square panel; a smaller lamp makes sharper shadows and noisier caustics.
LAMP_HALF_M = 0.2
# Half the opening angle of the disc that stands for the fill light.
FILL_RAD = 0.5
# The room far away has the colour of the sky up to here above the horizon.
HORIZON_RAD = 0.4
# Windows all around, most of the ambient light: what glass reflects. Their elevation, their
# number, and their radiance beside that of a white wall.
WINDOW_RAD = (0.44, 0.87)
WINDOWS = 5
WINDOW_BRIGHTNESS = 15.0
ROOM_ROWS = 64
# Paths end here: a hollow glass before another has 16 surfaces.
MAX_DEPTH = 18


def linear(display: NDArray[Any]) -> Vector:
    """Linear light of display values."""
    return np.asarray(np.clip(display, 0, None), float) ** GAMMA


def scene_dict(mi: Any, view: View, atlas: NDArray[np.uint8], samples: int) -> dict[str, Any]:
    """Mitsuba's description of ``view``.

    Args:
        mi: The mitsuba module with a variant set.
        view: One view.
        atlas: (count, T, T, 3) textures.
        samples: Paths per pixel.

    Raises:
        ConfigError: The pixels of the camera are not square.
    """
    scene: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": MAX_DEPTH, "hide_emitters": True},
        "sensor": _sensor(mi, view, samples),
        "room": _room(mi, view),
        "lamp": _lamp(mi, view),
    }
    materials = view.arrays["materials"]
    corners, rows, owners = view_triangles(view)
    whole = textured_shape(view, corners, rows, materials[owners, SCALE])
    for owner, material in enumerate(materials):
        mine = (owners == owner) & (material[GLASS] < 0.5)
        shape = Shape(*(array[mine] for array in whole)) if mine.any() else NOTHING
        scene[f"owner_{owner}"] = build_mesh(mi, shape, _opaque(mi, material, atlas))
    scene["glass"] = _glass_mesh(mi, view)
    return scene


def _sensor(mi: Any, view: View, samples: int) -> dict[str, Any]:
    height, width = view.size
    fx, fy, cx, cy = (float(value) for value in view.arrays["intrinsics"])
    if abs(fx - fy) > 1e-4 * fx:
        raise ConfigError(f"photorealistic pictures need square pixels, got fx {fx}, fy {fy}")
    pose = np.eye(4)
    pose[:3] = view.world_from_camera
    # Mitsuba's cameras have x to the left and y up.
    pose[:, :2] *= -1
    return {
        "type": "perspective",
        "fov_axis": "x",
        "fov": float(np.rad2deg(2 * np.arctan(0.5 * width / fx))),
        # Here the centre of the first pixel lies at 0, in Mitsuba at 0.5.
        "principal_point_offset_x": (0.5 * width - (cx + 0.5)) / width,
        "principal_point_offset_y": (0.5 * height - (cy + 0.5)) / height,
        "near_clip": 0.01,
        "far_clip": 100.0,
        "to_world": mi.ScalarTransform4f(pose.tolist()),
        "sampler": {"type": "independent", "sample_count": samples},
        "film": {
            "type": "hdrfilm",
            "width": width,
            "height": height,
            "pixel_format": "rgba",
            "component_format": "float32",
            # Other filters correlate the noise of neighbours, which the denoiser takes for signal.
            "rfilter": {"type": "box"},
        },
    }


def _strengths(light: NDArray[np.float32]) -> tuple[Vector, Vector, Vector]:
    """Linear radiance (3,) of a white matt surface by ambient light, by the lamp, by the fill.

    Chosen so that a surface in full light and one in the shadow have the display values that
    the fast renderer gives them.
    """
    levels = np.cumsum([light[AMBIENT], light[LAMP_STRENGTH], light[FILL_STRENGTH]])
    shades = linear(levels[:, None] * light[LAMP_COLOR : LAMP_COLOR + 3])
    ambient, lamp, fill = np.diff(shades, axis=0, prepend=0.0)
    return ambient, lamp, fill


def _room(mi: Any, view: View) -> dict[str, Any]:
    """The light from everywhere: walls in the sky's colour, ceiling, windows, the fill light."""
    light = view.arrays["light"]
    ambient, _, fill = _strengths(light)
    sky = linear(light[SKY : SKY + 3])
    step = np.pi / ROOM_ROWS
    elevation = 0.5 * np.pi - step * (np.arange(ROOM_ROWS) + 0.5)[:, None]
    azimuth = step * (np.arange(2 * ROOM_ROWS) + 0.5)[None]
    # Direction of each pixel in Mitsuba's frame of a room, y up.
    x, y = np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    z = -np.cos(elevation) * np.cos(azimuth)
    image = np.ones((ROOM_ROWS, 2 * ROOM_ROWS, 3))
    # Pale, so that the light keeps about its colour.
    image[elevation[:, 0] < HORIZON_RAD] = 0.7 + 0.3 * sky / sky.mean()
    turn = azimuth - np.arctan2(light[FILL], light[FILL + 1])
    in_row = (elevation > WINDOW_RAD[0]) & (elevation < WINDOW_RAD[1])
    image[in_row & (np.cos(WINDOWS * turn) > 0.3)] = WINDOW_BRIGHTNESS
    # What a surface that looks up receives of each pixel, one of white walls all around being 1.
    received = np.clip(y, 0, None) * np.cos(elevation) * step**2 / np.pi
    image *= ambient / np.sum(received * image.transpose(2, 0, 1), axis=(1, 2))
    towards = x * light[FILL] + y * light[FILL + 2] - z * light[FILL + 1]
    image += (towards > np.cos(FILL_RAD))[..., None] * fill / np.sin(FILL_RAD) ** 2
    return {
        "type": "envmap",
        "bitmap": mi.Bitmap(image.astype(np.float32)),
        "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),
    }


def _lamp(mi: Any, view: View) -> Any:
    """A panel that faces the scene, where it is as bright as the fast renderer's lamp."""
    light = view.arrays["light"]
    _, lamp, _ = _strengths(light)
    position = light[LAMP : LAMP + 3].astype(float)
    way = view.scene.positions_m.mean(axis=0) - position
    distance = np.linalg.norm(way)
    normal = way / distance
    side = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    side *= LAMP_HALF_M / np.linalg.norm(side)
    up = np.cross(normal, side)
    corners = position + np.array(
        [[-side - up, side - up, side + up], [-side - up, side + up, up - side]]
    )
    radiance = lamp * np.pi * distance**2 / (2 * LAMP_HALF_M) ** 2
    emitter = {"type": "area", "radiance": {"type": "rgb", "value": radiance.tolist()}}
    shape = Shape(corners, np.broadcast_to(normal, (2, 3, 3)), np.zeros((2, 3, 2)))
    return build_mesh(mi, shape, {"type": "diffuse"}, emitter)


def _opaque(mi: Any, material: NDArray[np.float32], atlas: NDArray[np.uint8]) -> dict[str, Any]:
    share = material[TINT_SHARE]
    colors = atlas[int(material[TEXTURE])] / 255 * (1 - share)
    colors = colors + material[TINT : TINT + 3] * share
    # Blinn's exponent to the roughness of a microfacet model.
    alpha = np.sqrt(2 / (material[SHININESS] + 2))
    return {
        "type": "twosided",
        "material": {
            "type": "principled",
            "base_color": {
                "type": "bitmap",
                "bitmap": mi.Bitmap(linear(colors).astype(np.float32)),
                "raw": True,
            },
            "roughness": float(np.sqrt(alpha)),
            "specular": float(np.clip(0.05 + material[GLOSS], 0, 1)),
        },
    }


def _glass_mesh(mi: Any, view: View) -> Any:
    """The closed solids of all glass objects, clear and slightly tinted."""
    shapes, tints = [NOTHING], [np.ones((1, 3))]
    for index in np.flatnonzero(view.slots >= 0):
        material = view.arrays["materials"][view.slots[index]]
        if material[GLASS] < 0.5:
            continue
        rotation = Rotation.from_quat(np.roll(view.scene.quaternions[index], -1)).as_matrix()
        for solid in view.scene.objects[index].meshes():
            placed = solid.vertices @ rotation.T + view.scene.positions_m[index]
            normals = smooth_normals(placed, solid.faces)
            shapes.append(Shape(placed[solid.faces], normals, np.zeros((len(normals), 3, 2))))
            # A look through takes four surfaces, in and out of two walls.
            tint = linear(0.85 + 0.15 * material[TINT : TINT + 3]) ** 0.25
            tints.append(np.broadcast_to(tint, (len(normals), 3)))
    bsdf = {
        "type": "dielectric",
        "int_ior": GLASS_IOR,
        "ext_ior": 1.0,
        "specular_transmittance": {"type": "mesh_attribute", "name": "face_tint"},
    }
    whole = Shape(*(np.concatenate(arrays) for arrays in zip(*shapes, strict=True)))
    mesh = build_mesh(mi, whole, bsdf)
    mesh.add_attribute("face_tint", 3, np.concatenate(tints).reshape(-1).astype(np.float32))
    return mesh
