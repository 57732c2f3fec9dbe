"""Solids of which procedural objects are put together: box, ellipsoid, body of revolution.

Each solid says the same thing three times: as exact surfaces for the ray caster, as a closed
triangle mesh for other renderers, and as convex parts for physics (approximate where round).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from repsam_ros.simulation.meshes import TriangleMesh

BOX, ELLIPSOID, CONE, RING = range(4)
# Corners of the polygon that stands for a circle in a mesh: off by 0.2 % of the radius.
SEGMENTS = 48
# A mouth of smaller radius, or share of the widest radius, is closed for physics: hardly anything
# on a table falls through it.
NARROW_MOUTH_M, NARROW_MOUTH = 0.02, 0.8
STEP_M = 0.006

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """One ray-castable surface in the object frame.

    Attributes:
        kind: ``BOX`` (half sizes x y z), ``ELLIPSOID`` (radii x y z), ``CONE`` (r0 r1 z0 z1, the
            open side of a truncated cone about z) or ``RING`` (inner, outer radius, z).
        size: (4,) meaning depends on ``kind``, metres.
        pose: (3, 4) object_from_surface.
    """

    kind: int
    size: tuple[float, float, float, float]
    pose: Array = field(default_factory=lambda: np.eye(4)[:3])


@dataclass(frozen=True)
class CollisionPart:
    """One convex collision part.

    Attributes:
        kind: ``box``, ``cylinder``, ``ellipsoid`` or ``hull``.
        size: Sizes as MuJoCo takes them, metres; empty for a hull.
        pose: (3, 4) object_from_part.
        vertices: (V, 3) points whose convex hull it is, for a hull.
    """

    kind: str
    size: tuple[float, ...]
    pose: Array
    vertices: NDArray[np.float32] | None = None

    @property
    def volume_m3(self) -> float:
        """Volume of box, cylinder or ellipsoid; a hull counts as its bounding box."""
        if self.vertices is not None:
            return float(np.ptp(self.vertices, axis=0).prod())
        if self.kind == "cylinder":
            return float(2 * np.pi * self.size[0] ** 2 * self.size[1])
        share = 8.0 if self.kind == "box" else 4 / 3 * np.pi
        return float(share * np.prod(self.size))


def pose_at(x: float, y: float, z: float, axes: str = "", *angles_rad: float) -> Array:
    """(3, 4) pose at x y z, turned about ``axes`` one after the other, each as turned before."""
    pose = np.eye(4)[:3]
    if axes:
        pose[:, :3] = Rotation.from_euler(axes.upper(), np.array(angles_rad)).as_matrix()
    pose[:, 3] = x, y, z
    return pose


def _chained(outer: Array, inner: Array) -> Array:
    return np.column_stack([outer[:, :3] @ inner[:, :3], outer[:, :3] @ inner[:, 3] + outer[:, 3]])


@dataclass(frozen=True)
class Box:
    """A box of half sizes (3,) in metres, at ``pose`` (3, 4)."""

    half: tuple[float, float, float]
    pose: Array = field(default_factory=lambda: np.eye(4)[:3])

    def surfaces(self) -> list[Surface]:
        return [Surface(BOX, (*self.half, 0.0), self.pose)]

    def collision(self, fine: bool = False) -> list[CollisionPart]:
        return [CollisionPart("box", self.half, self.pose)]

    def reach(self) -> tuple[Array, Array]:
        """(3,) lower and (3,) upper corner of the bounding box in the object frame."""
        half = np.abs(self.pose[:, :3]) @ np.array(self.half)
        return self.pose[:, 3] - half, self.pose[:, 3] + half

    def volume_m3(self) -> float:
        return float(8 * np.prod(self.half))

    def mesh(self) -> TriangleMesh:
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        faces = [
            *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
            *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
        ]
        return _posed(corners * self.half, np.array(faces), self.pose)


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid of radii (3,) in metres, at ``pose`` (3, 4)."""

    radii: tuple[float, float, float]
    pose: Array = field(default_factory=lambda: np.eye(4)[:3])

    def surfaces(self) -> list[Surface]:
        return [Surface(ELLIPSOID, (*self.radii, 0.0), self.pose)]

    def collision(self, fine: bool = False) -> list[CollisionPart]:
        return [CollisionPart("ellipsoid", self.radii, self.pose)]

    def reach(self) -> tuple[Array, Array]:
        half = np.linalg.norm(self.pose[:, :3] * np.array(self.radii), axis=1)
        return self.pose[:, 3] - half, self.pose[:, 3] + half

    def volume_m3(self) -> float:
        return float(4 / 3 * np.pi * np.prod(self.radii))

    def mesh(self) -> TriangleMesh:
        polar = np.linspace(-0.5 * np.pi, 0.5 * np.pi, SEGMENTS // 2 + 1)
        profile = np.column_stack([np.cos(polar), np.sin(polar)])
        profile[[0, -1], 0] = 0.0
        vertices, faces = _revolved(profile)
        return _posed(vertices * self.radii, faces, self.pose)


@dataclass(frozen=True)
class Lathe:
    """A body of revolution about its z axis.

    Attributes:
        profile: (P, 2) radius and height of a polyline that bounds the material on its left:
            out along the bottom, up, and back in along the top or down inside. It begins and ends
            on the axis, or closes onto its first point (a ring).
        pose: (3, 4) object_from_lathe.
    """

    profile: Array
    pose: Array = field(default_factory=lambda: np.eye(4)[:3])

    def _segments(self) -> list[tuple[Array, Array]]:
        points = self.profile
        ends = points[1:] if points[0, 0] == 0 else np.roll(points, -1, axis=0)
        return list(zip(points[: len(ends)], ends, strict=True))

    def surfaces(self) -> list[Surface]:
        result = []
        for (r0, z0), (r1, z1) in self._segments():
            if z0 == z1:
                size = (min(r0, r1), max(r0, r1), z0, 0.0)
            elif z0 < z1:
                size = (r0, r1, z0, z1)
            else:
                size = (r1, r0, z1, z0)
            result.append(Surface(RING if z0 == z1 else CONE, size, self.pose))
        return result

    def reach(self) -> tuple[Array, Array]:
        axis, offset = self.pose[:, 2], self.pose[:, 3]
        across = np.sqrt(np.maximum(1 - axis**2, 0))
        centres = offset + self.profile[:, 1:] * axis
        radii = self.profile[:, :1] * across
        return (centres - radii).min(axis=0), (centres + radii).max(axis=0)

    def volume_m3(self) -> float:
        """Sum of truncated cones, those inside taken off."""
        return float(
            sum(
                np.pi / 3 * (z1 - z0) * (r0 * r0 + r0 * r1 + r1 * r1)
                for (r0, z0), (r1, z1) in self._segments()
            )
        )

    def mesh(self) -> TriangleMesh:
        vertices, faces = _revolved(self.profile)
        return _posed(vertices, faces, self.pose)

    def collision(self, fine: bool = False) -> list[CollisionPart]:
        """Convex parts; ``fine`` ones are rounder and leave every mouth open."""
        outer = [(a, b) for a, b in self._segments() if b[1] > a[1]]
        inner = [(a, b) for a, b in self._segments() if b[1] < a[1]]
        narrow = max(NARROW_MOUTH_M, NARROW_MOUTH * self.profile[:, 0].max())
        if not inner or (inner[0][0][0] < narrow and not fine):
            return self._discs(outer)
        floor = min(b[1] for _, b in inner)
        wall = outer[-1][1][0] - inner[0][0][0]
        parts = []
        if self.profile[0, 0] == 0:
            below = [(a, b) for a, b in outer if a[1] < floor - 1e-6]
            last = below[-1]
            below[-1] = (last[0], _at(last, min(floor, last[1][1])))
            parts += self._discs(below)
        return parts + self._panels(outer, floor, max(wall, 0.004), 2 if fine else 1)

    def _discs(self, segments: list[tuple[Array, Array]]) -> list[CollisionPart]:
        """A stack of cylinders, finer where the radius changes."""
        parts = []
        for (r0, z0), (r1, z1) in segments:
            count = int(np.clip(np.ceil(min(abs(r1 - r0), z1 - z0) / STEP_M), 1, 4))
            half = 0.5 * (z1 - z0) / count
            ends = np.linspace(r0, r1, count + 1)
            for i in range(count):
                pose = _chained(self.pose, pose_at(0, 0, z0 + (2 * i + 1) * half))
                # The wider end counts: what lies on its side touches with that.
                radius = float(max(ends[i], ends[i + 1]))
                parts.append(CollisionPart("cylinder", (radius, half), pose))
        return parts

    def _panels(
        self, outer: list[tuple[Array, Array]], floor: float, wall: float, detail: int
    ) -> list[CollisionPart]:
        """Walls above ``floor`` as rings of flat boards, one for each straight run."""
        heights = np.array([a[1] for a, _ in outer] + [outer[-1][1][1]])
        radii = np.array([a[0] for a, _ in outer] + [outer[-1][1][0]])
        top = heights[-1]
        bends = [z for z in heights if floor + STEP_M < z < top - STEP_M]
        levels = [floor, *bends, top]
        count = detail * (8 if radii.max() < 0.06 else 12)
        parts = []
        for low, high in zip(levels[:-1], levels[1:], strict=True):
            r0, r1 = np.interp([low, high], heights, radii)
            tilt, length = np.arctan2(r1 - r0, high - low), np.hypot(r1 - r0, high - low)
            radius = 0.5 * (r0 + r1) - 0.5 * wall * np.cos(tilt)
            height = 0.5 * (low + high) + 0.5 * wall * np.sin(tilt)
            half = (0.5 * wall, max(r0, r1) * np.tan(np.pi / count), 0.5 * length)
            for angle in np.arange(count) * 2 * np.pi / count:
                x, y = radius * np.cos(angle), radius * np.sin(angle)
                board = pose_at(x, y, height, "zy", angle, tilt)
                parts.append(CollisionPart("box", half, _chained(self.pose, board)))
        return parts


Solid = Box | Ellipsoid | Lathe


def _at(segment: tuple[Array, Array], height: float) -> Array:
    """The point of a rising segment at ``height``."""
    (r0, z0), (r1, z1) = segment
    return np.array([r0 + (r1 - r0) * (height - z0) / (z1 - z0), height])


def _revolved(profile: Array) -> tuple[Array, NDArray[np.int64]]:
    """Vertices and faces of a profile turned about z; see :class:`Lathe` for its direction."""
    angles = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    vertices: list[Array] = []
    rows: list[NDArray[np.int64]] = []
    used = 0
    for radius, height in profile:
        count = 1 if radius == 0 else SEGMENTS
        ring = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])[:count]
        vertices.append(np.column_stack([ring, np.full(count, height)]))
        rows.append(used + np.arange(SEGMENTS) % count)
        used += count
    if profile[0, 0] > 0:
        rows.append(rows[0])
    faces = []
    for low, high in zip(rows[:-1], rows[1:], strict=True):
        after_low, after_high = np.roll(low, -1), np.roll(high, -1)
        if low[0] != low[1]:
            faces.append(np.column_stack([low, after_low, after_high]))
        if high[0] != high[1]:
            faces.append(np.column_stack([low, after_high, high]))
    return np.concatenate(vertices), np.concatenate(faces)


def _posed(vertices: Array, faces: NDArray[np.int64], pose: Array) -> TriangleMesh:
    placed = vertices @ pose[:, :3].T + pose[:, 3]
    return TriangleMesh(placed.astype(np.float32), faces.astype(np.int32))
