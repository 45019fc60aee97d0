"""Shapes of the rendered world as flat convex faces: cars, people, trees and what stands beside a road.

A face has eight corners (faces with fewer repeat some), of which corners 0, 2 and 4 span its plane. Metres; x right, y up,
z forward. Every face has a role, the column of a palette that colours it. Solid faces turn outward and are seen from
that side only; the others are seen from both.
"""

from typing import NamedTuple

import numpy as np

CORNERS = 8
CAR_ROLES = ("body", "glass", "tyre", "hub", "headlight", "taillight", "trim", "plate")
FIGURE_ROLES = ("skin", "hair", "shirt", "trousers", "shoes", "extra", "metal", "tyre")


class Faces(NamedTuple):
    """``corners_F_8_3`` metres, ``role_F`` column of the palette, ``solid_F`` seen from outside only."""

    corners: np.ndarray
    role: np.ndarray
    solid: np.ndarray


def pad(points_P_3: np.ndarray) -> np.ndarray:
    """Convex polygon of 3 to 8 corners (..., P, 3) -> (..., 8, 3), the shape unchanged."""
    n = points_P_3.shape[-2]
    index = np.minimum(np.arange(CORNERS) // 2, 2) if n == 3 else np.arange(CORNERS) * n // CORNERS
    return points_P_3[..., index, :]


def normals(corners_F_8_3: np.ndarray) -> np.ndarray:
    """Normals (F,3) of length 1; of solid faces they point outward."""
    one = corners_F_8_3[:, 2] - corners_F_8_3[:, 0]
    two = corners_F_8_3[:, 4] - corners_F_8_3[:, 0]
    normal = one[:, [1, 2, 0]] * two[:, [2, 0, 1]] - one[:, [2, 0, 1]] * two[:, [1, 2, 0]]
    return normal / np.maximum(np.sqrt((normal**2).sum(1, keepdims=True)), 1e-9)


def extrude(profile_P_2, half_P) -> list[np.ndarray]:
    """Body with a convex side view: profile of (z, y) points, half the width at each; P faces around, then left and right."""
    profile, half = np.asarray(profile_P_2, float), np.broadcast_to(np.asarray(half_P, float), len(profile_P_2))
    left = np.column_stack([-half, profile[:, 1], profile[:, 0]])
    right = left * [-1, 1, 1]
    following = np.roll(np.arange(len(left)), -1)
    around = [np.stack([left[i], left[j], right[j], right[i]]) for i, j in enumerate(following)]
    centre = (left.mean(0) + right.mean(0)) / 2
    return [outward(face, centre) for face in [*around, left, right]]


def outward(face_P_3: np.ndarray, centre_3: np.ndarray) -> np.ndarray:
    """The same face, its corners in the order that makes the normal point away from a centre."""
    return face_P_3 if normals(pad(face_P_3)[None])[0] @ (face_P_3.mean(0) - centre_3) > 0 else face_P_3[::-1]


def box(x, y, z) -> list[np.ndarray]:
    """The six faces of an upright box given by its (from, to) along each axis."""
    faces = extrude([(z[0], y[0]), (z[0], y[1]), (z[1], y[1]), (z[1], y[0])], (x[1] - x[0]) / 2)
    return [face + [(x[0] + x[1]) / 2, 0, 0] for face in faces]


def gather(faces: list[tuple[np.ndarray, int]], solid: bool = True) -> Faces:
    """(polygon, role) pairs -> Faces."""
    return Faces(
        np.stack([pad(face) for face, _ in faces]), np.array([role for _, role in faces]), np.full(len(faces), solid)
    )


def _inset(quad_4_3: np.ndarray, u, v) -> np.ndarray:
    """Part of a four-cornered face: ``u`` along its first edge, ``v`` across, both (from, to) in 0..1."""
    a, b, c, d = quad_4_3
    return np.stack([
        (1 - s) * (1 - r) * a + s * (1 - r) * b + s * r * c + (1 - s) * r * d
        for s, r in [(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])]
    ])  # fmt: skip


# side views (z, y) from the lower edge of the tail round over the roof; the cabin from tail to windscreen, then its top
_CARS = (
    {"half": 0.86, "wheel": 0.31, "axles": (-1.2, 1.2),
     "body": [(-1.85, 0.25), (-1.93, 0.55), (-1.86, 0.9), (0.8, 0.95), (1.75, 0.78), (1.93, 0.55), (1.85, 0.25)],
     "cabin": [(-1.82, 0.9), (0.95, 0.92), (0.2, 1.45), (-1.5, 1.48)]},
    {"half": 0.9, "wheel": 0.32, "axles": (-1.38, 1.4),
     "body": [(-2.2, 0.25), (-2.3, 0.55), (-2.22, 0.9), (0.9, 0.92), (2.1, 0.75), (2.3, 0.55), (2.2, 0.25)],
     "cabin": [(-1.65, 0.88), (1.05, 0.9), (0.3, 1.4), (-1.0, 1.42)]},
    {"half": 0.96, "wheel": 0.38, "axles": (-1.4, 1.42),
     "body": [(-2.15, 0.32), (-2.25, 0.65), (-2.2, 1.08), (1.0, 1.1), (2.05, 0.98), (2.22, 0.65), (2.15, 0.32)],
     "cabin": [(-2.18, 1.06), (1.1, 1.08), (0.5, 1.72), (-2.0, 1.76)]},
    {"half": 1.0, "wheel": 0.34, "axles": (-1.5, 1.6),
     "body": [(-2.5, 0.3), (-2.55, 0.6), (-2.52, 1.1), (1.6, 1.12), (2.4, 0.95), (2.55, 0.6), (2.45, 0.3)],
     "cabin": [(-2.52, 1.08), (1.75, 1.08), (1.15, 2.05), (-2.48, 2.1)]},
)  # fmt: skip
CAR_SHAPES = len(_CARS)


def car(shape: int) -> Faces:
    """One of `CAR_SHAPES` cars (hatchback, saloon, off-roader, van), standing at the origin and facing +z, in CAR_ROLES.

    In drawing order: wherever two faces overlap in a view from above the bonnet, the later is in front.
    """
    body, glass, tyre, hub, head, tail, trim, plate = range(8)
    kind = _CARS[shape]
    half, radius, (rear, front) = kind["half"], kind["wheel"], kind["axles"]
    back, nose = min(z for z, _ in kind["body"]) - 0.01, max(z for z, _ in kind["body"]) + 0.01
    waist = kind["body"][2][1]

    def panel(x0, x1, y0, y1, z, role):
        points = np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)])
        return outward(points, np.array([(x0 + x1) / 2, (y0 + y1) / 2, 0])), role

    faces = [
        panel(s * (half - 0.28), s * (half - 0.04), 0, 0.4, z, tyre)
        for s in (-1, 1)
        for z in (rear - radius, front + radius)
    ]
    faces += [(face, body) for face in extrude(kind["body"], half)]
    for z, role in ((back, tail), (nose, head)):
        faces.append(panel(-half, half, 0.27, 0.42, z, trim))
        faces.append(panel(-0.26, 0.26, 0.46, 0.56, z, plate))
        faces += [panel(s * (half - 0.34), s * (half - 0.04), 0.6, waist - 0.1, z, role) for s in (-1, 1)]
    faces.append(panel(-half + 0.4, half - 0.4, 0.58, 0.7, nose, trim))
    angle = np.arange(8) * np.pi / 4 + np.pi / 8
    for side in (-1, 1):
        for z in (rear, front):
            for size, role, gap in ((1.0, tyre, 0.01), (0.55, hub, 0.02)):
                ring = np.column_stack([
                    np.full(8, side * (half + gap)), radius * (1 + size * np.sin(angle)), z + size * radius * np.cos(angle)
                ])  # fmt: skip
                faces.append((outward(ring, np.array([0, radius, z])), role))
    cabin = extrude(kind["cabin"], [half - 0.04, half - 0.04, half - 0.18, half - 0.18])
    faces += [(face, body) for face in cabin]
    faces += [(_inset(cabin[i], (0.1, 0.92), (0.08, 0.92)), glass) for i in (1, 3)]
    van = shape == CAR_SHAPES - 1
    for face in cabin[4:]:
        # the corners run from the tail's lower edge, or back from there where the face was turned round
        forward = face[1, 2] > face[0, 2]
        quad = face if forward else face[::-1]
        windows = [(0.68, 0.95)] if van else [(0.08, 0.49), (0.54, 0.93)]
        for u in windows:
            window = _inset(quad, u, (0.12, 0.86))
            faces.append((window if forward else window[::-1], glass))
    return gather(faces)


class Figure(NamedTuple):
    """Plan of a person: capsules (joint, joint, half width, half width, role, brightness), round blobs (joint, half width,
    half height, role), and flat plates (8 corners, role), for the joints of a posture function."""

    capsules: tuple
    blobs: tuple
    plates: tuple = ()


_SK, _HA, _SH, _TR, _FE, _EX, _ME, _TY = range(8)
_UPPER = ((0, 1, 0.105, 0.135, _SH, 1.0), (2, 3, 0.075, 0.075, _SH, 1.0), (1, 16, 0.055, 0.05, _SK, 0.9))
_ARMS = (
    (2, 4, 0.055, 0.045, _SH, 0.85),
    (4, 6, 0.042, 0.036, _SK, 0.85),
    (3, 5, 0.055, 0.045, _SH, 1.1),
    (5, 7, 0.042, 0.036, _SK, 1.0),
)
_LEGS = ((8, 10, 0.085, 0.065, _TR, 0.85), (10, 12, 0.062, 0.045, _TR, 0.85), (12, 14, 0.045, 0.04, _FE, 1.0),
         (9, 11, 0.085, 0.065, _TR, 1.1), (11, 13, 0.062, 0.045, _TR, 1.1), (13, 15, 0.045, 0.04, _FE, 1.0))  # fmt: skip
_HEAD = ((17, 0.098, 0.125, _HA), (16, 0.085, 0.11, _SK))


def _wheel(x: float, y: float, z: float, radius: float, hub: float) -> tuple:
    """Narrow wheel in the plane x: tyre, inner disc and the tread that is seen from before or behind."""
    angle = np.arange(8) * np.pi / 4 + np.pi / 8
    disc = np.column_stack([np.full(8, x), y + radius * np.sin(angle), z + radius * np.cos(angle)])
    tread = pad(
        np.array(
            [
                (x - 0.025, y - radius, z),
                (x + 0.025, y - radius, z),
                (x + 0.025, y + radius, z),
                (x - 0.025, y + radius, z),
            ]
        )
    )
    return (tread, _TY), (disc, _TY), (disc * [1, hub, hub] + [0, y * (1 - hub), z * (1 - hub)], _ME)


def _bicycle_wheel(z: float, y: float = 0.34, rim: float = 0.86) -> tuple:
    """Wheel of spokes in the middle plane, which one sees through: tread, eight parts of the tyre and the spokes."""
    angle = np.arange(9) * np.pi / 4 + np.pi / 8
    ring = np.column_stack([np.zeros(9), np.sin(angle), np.cos(angle)]) * y
    place = np.array([0, y, z])
    tyre = [pad(place + np.stack([ring[i], ring[i + 1], rim * ring[i + 1], rim * ring[i]])) for i in range(8)]
    thin = 0.012 * np.column_stack([np.zeros(4), np.cos(angle[:4]), -np.sin(angle[:4])])
    spokes = [
        pad(
            place
            + np.stack(
                [
                    rim * ring[i] - thin[i],
                    rim * ring[i] + thin[i],
                    rim * ring[i + 4] + thin[i],
                    rim * ring[i + 4] - thin[i],
                ]
            )
        )
        for i in range(4)
    ]
    return _wheel(0.0, y, z, y, 1)[0], *((part, _TY) for part in tyre), *((part, _ME) for part in spokes)


WALKER = Figure((*_UPPER, *_ARMS, *_LEGS), _HEAD)
_COAT = ((0, 18, 0.13, 0.2, _SH, 0.95),)
_PACK = ((19, 20, 0.13, 0.13, _EX, 1.0),)
WALKERS = (WALKER, Figure((*WALKER.capsules, *_COAT), _HEAD), Figure((*WALKER.capsules, *_PACK), _HEAD))
CYCLIST = Figure(
    (*_UPPER, *_ARMS, *_LEGS,
     (18, 19, 0.025, 0.025, _EX, 1.0), (19, 20, 0.025, 0.025, _EX, 1.0), (18, 20, 0.025, 0.025, _EX, 0.9),
     (18, 21, 0.02, 0.02, _EX, 0.9), (20, 22, 0.02, 0.02, _ME, 1.0), (23, 24, 0.022, 0.022, _TY, 1.0)),
    (*_HEAD, (25, 0.105, 0.075, _EX)),
    (*_bicycle_wheel(-0.54), *_bicycle_wheel(0.54)),
)  # fmt: skip
WHEELCHAIR = Figure(
    (*_UPPER, *_ARMS, *_LEGS, (18, 19, 0.025, 0.025, _ME, 1.0), (20, 21, 0.025, 0.025, _ME, 1.0)),
    _HEAD,
    (*_wheel(-0.31, 0.31, -0.05, 0.31, 0.82), *_wheel(0.31, 0.31, -0.05, 0.31, 0.82),
     *_wheel(-0.24, 0.09, 0.42, 0.09, 0.6), *_wheel(0.24, 0.09, 0.42, 0.09, 0.6),
     (pad(np.array([(-0.24, 0.42, -0.27), (0.24, 0.42, -0.27), (0.24, 0.95, -0.33), (-0.24, 0.95, -0.33)])), _EX),
     (pad(np.array([(-0.24, 0.45, -0.27), (0.24, 0.45, -0.27), (0.24, 0.47, 0.25), (-0.24, 0.47, 0.25)])), _EX)),
)  # fmt: skip


def _joints(n: int, columns: dict[int, tuple]) -> np.ndarray:
    joints_n_J_3 = np.zeros((n, max(columns) + 1, 3))
    for joint, place in columns.items():
        for axis, value in enumerate(place):
            joints_n_J_3[:, joint, axis] = value
    return joints_n_J_3


def walking(phase_n: np.ndarray, swing_n: np.ndarray) -> np.ndarray:
    """Joints (n,21,3) of a person 1.75 m tall facing +z; ``phase`` of the stride in radians, ``swing`` 0 standing .. 1 walking."""
    columns = {0: (0, 0.95, 0), 1: (0, 1.36, 0.02), 2: (-0.17, 1.4, 0), 3: (0.17, 1.4, 0), 16: (0, 1.6, 0.05), 17: (0, 1.63, -0.02),
               18: (0, 0.55, 0), 19: (0, 1.38, -0.19), 20: (0, 1.05, -0.2)}  # fmt: skip
    for side in (0, 1):
        x = 0.2 * side - 0.1
        stride = phase_n + np.pi * side
        thigh = 0.5 * swing_n * np.sin(stride)
        knee = swing_n * (0.35 - 0.35 * np.cos(stride - 1.2)) + 0.05
        columns[8 + side] = (x, 0.93, 0)
        z, y = 0.44 * np.sin(thigh), 0.93 - 0.44 * np.cos(thigh)
        columns[10 + side] = (x, y, z)
        z, y = z + 0.42 * np.sin(thigh - knee), y - 0.42 * np.cos(thigh - knee)
        columns[12 + side] = (x, y, z)
        columns[14 + side] = (1.3 * x, y - 0.03, z + 0.13)
        arm = -0.45 * swing_n * np.sin(stride)
        z, y = 0.28 * np.sin(arm), 1.4 - 0.28 * np.cos(arm)
        columns[4 + side] = (2.2 * x, y, z)
        columns[6 + side] = (2.3 * x, y - 0.25 * np.cos(arm + 0.35), z + 0.25 * np.sin(arm + 0.35))
    return _joints(len(phase_n), columns)


def cycling(phase_n: np.ndarray, swing_n: np.ndarray) -> np.ndarray:
    """Joints (n,26,3) of a cyclist facing +z whose pedals stand at ``phase`` radians."""
    del swing_n
    columns = {0: (0, 0.98, -0.22), 1: (0, 1.38, 0.08), 2: (-0.17, 1.4, 0.1), 3: (0.17, 1.4, 0.1), 16: (0, 1.6, 0.2),
               17: (0, 1.63, 0.14), 18: (0, 0.3, -0.05), 19: (0, 0.85, 0.4), 20: (0, 0.88, -0.22), 21: (0, 0.34, -0.54),
               22: (0, 0.95, -0.23), 23: (-0.25, 1.02, 0.42), 24: (0.25, 1.02, 0.42), 25: (0, 1.7, 0.15),
               4: (-0.24, 1.2, 0.22), 5: (0.24, 1.2, 0.22), 6: (-0.22, 1.04, 0.42), 7: (0.22, 1.04, 0.42)}  # fmt: skip
    for side in (0, 1):
        x, turn = 0.2 * side - 0.1, phase_n + np.pi * side
        foot_y, foot_z = 0.32 + 0.16 * np.cos(turn), -0.03 + 0.16 * np.sin(turn)
        columns[8 + side] = (x, 0.96, -0.2)
        columns[10 + side] = (1.2 * x, (0.96 + foot_y) / 2 + 0.1, (-0.2 + foot_z) / 2 + 0.24)
        columns[12 + side] = (x, foot_y + 0.06, foot_z - 0.04)
        columns[14 + side] = (1.1 * x, foot_y, foot_z + 0.12)
    return _joints(len(phase_n), columns)


def sitting(phase_n: np.ndarray, swing_n: np.ndarray) -> np.ndarray:
    """Joints (n,22,3) of a person in a wheelchair facing +z, the hands pushing the wheels at ``phase`` radians."""
    columns = {0: (0, 0.55, -0.12), 1: (0, 0.98, -0.16), 2: (-0.17, 1.02, -0.15), 3: (0.17, 1.02, -0.15), 16: (0, 1.22, -0.08),
               17: (0, 1.25, -0.15), 18: (-0.24, 0.95, -0.33), 19: (-0.24, 0.95, -0.47), 20: (0.24, 0.95, -0.33),
               21: (0.24, 0.95, -0.47)}  # fmt: skip
    push = swing_n * np.sin(phase_n)
    for side in (0, 1):
        x = 0.2 * side - 0.1
        columns[8 + side] = (x, 0.55, -0.1)
        columns[10 + side] = (1.1 * x, 0.58, 0.32)
        columns[12 + side] = (1.1 * x, 0.18, 0.44)
        columns[14 + side] = (1.2 * x, 0.13, 0.58)
        columns[4 + side] = (2.9 * x, 0.8, -0.22 + 0.06 * push)
        columns[6 + side] = (3.2 * x, 0.62 - 0.04 * abs(push), 0.02 + 0.14 * push)
    return _joints(len(phase_n), columns)


def turn(points: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Points (n,...,3) turned about the y axis so that +z points along ``heading`` (n,), radians from +z towards +x."""
    heading = heading.reshape(-1, *[1] * (points.ndim - 2))
    cos, sin = np.cos(heading), np.sin(heading)
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([x * cos + z * sin, y, z * cos - x * sin], -1)


def figure(plan: Figure, joints_n_J_3, place_n_3, heading_n, size_n) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Faces of n persons: corners (n,F,8,3), roles (F,), brightness (F,).

    Limbs are capsules and heads discs in a plane across the road, so they are seen whole by a camera that looks along it; joints and plates
    turn with the person. The half of each that is turned away from the sun (to the left) is drawn before it, darker.
    """
    scale, joints = size_n[:, None, None], turn(joints_n_J_3, heading_n)
    first, second, wide, thin, role, shade = (np.array(column) for column in zip(*plan.capsules, strict=True))
    one, two = joints[:, first], joints[:, second]
    along = (two - one)[..., :2]
    along = along / np.maximum(np.sqrt((along**2).sum(-1, keepdims=True)), 0.02)
    along = np.concatenate([along, np.zeros_like(along[..., :1])], -1)[:, :, None]
    across = along[..., [1, 0, 2]] * [1, -1, 0]
    side, out = np.array([1, 0.6, -0.6, -1])[:, None], np.array([0, 0.7, 0.7, 0])[:, None]
    dark = across * np.where(across[..., :1] > 0, -1, 1)
    edge, cap = np.array([1, 0.6, 0.1, 0.1])[:, None], np.array([0, 0.7, 0.7, 0.7])[:, None]
    start = np.stack([across * side - along * out, dark * edge - along * cap], 2) * wide[:, None, None, None]
    end = (
        np.stack([-across * side + along * out, (dark * edge + along * cap)[:, :, ::-1]], 2) * thin[:, None, None, None]
    )
    limbs = np.concatenate([one[:, :, None, None] + start, two[:, :, None, None] + end], 3)
    nearer = np.array([0, -0.02])[:, None, None] * [0, 0, 1]
    limbs = (limbs + nearer).reshape(len(size_n), -1, CORNERS, 3)

    joint, half, tall, blob_role = (np.array(column) for column in zip(*plan.blobs, strict=True))
    angle = np.arange(8) * np.pi / 4 + np.pi / 8
    x, y = np.cos(angle) * half[:, None], np.sin(angle) * tall[:, None]
    disc = np.stack([np.stack([x, y, 0 * x], -1), np.stack([np.minimum(x, -0.1 * half[:, None]), y, 0 * x], -1)], 1)
    heads = (joints[:, joint][:, :, None, None] + disc + nearer).reshape(len(size_n), -1, CORNERS, 3)
    light = np.array([1, 0.78])
    corners, roles, shades = (
        [limbs, heads],
        [role.repeat(2), blob_role.repeat(2)],
        [np.outer(shade, light).ravel(), np.tile(light, len(half))],
    )
    if plan.plates:
        plates = np.stack([corners_8_3 for corners_8_3, _ in plan.plates])
        corners.append(turn(np.broadcast_to(plates, (len(size_n), *plates.shape)), heading_n))
        roles.append(np.array([plate_role for _, plate_role in plan.plates]))
        shades.append(np.ones(len(plates)))
    return (
        np.concatenate(corners, 1) * scale[..., None] + place_n_3[:, None, None],
        np.concatenate(roles),
        np.concatenate(shades),
    )


def quad(x, y, z: float = 0.0) -> np.ndarray:
    """Upright rectangle (4,3) facing the camera."""
    return np.array([(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)], float)


def blob(rng: np.random.Generator, centre_3, radius: float) -> np.ndarray:
    """Irregular octagon (8,3) facing the camera."""
    angle, reach = np.arange(8) * np.pi / 4 + rng.uniform(0, 0.7), radius * rng.uniform(0.75, 1.15, 8)
    return np.column_stack([reach * np.cos(angle), reach * np.sin(angle), np.zeros(8)]) + centre_3


_CROWN = 20


def tree(rng: np.random.Generator, bare: bool, height: float) -> tuple[list, np.ndarray]:
    """Tree of a given height: polygons and, for each, a shade of 0..1 (crown) or -1 (wood), farthest first."""
    trunk, spread = 0.03 * height, 0.27 * height
    polygons, shades = [quad((-trunk, trunk), (0, 0.6 * height))], [-1.0]
    if bare:
        for level in np.linspace(0.35, 0.95, 11):
            sign, reach = rng.choice([-1, 1]), spread * rng.uniform(0.6, 1.2) * (1.25 - level)
            start, tip = (
                np.array([0, level * height * 0.8, 0]),
                np.array([sign * reach, level * height + 0.3 * reach, 0]),
            )
            polygons.append(np.stack([start - [0, 0.05, 0], start + [0, 0.09, 0], tip]))
            shades.append(-1.0)
        polygons.append(np.array([(-trunk, 0.6 * height, 0), (trunk, 0.6 * height, 0), (0, 0.98 * height, 0)]))
        shades.append(-1.0)
    angle = rng.uniform(0, 2 * np.pi, _CROWN)
    reach = np.sqrt(rng.uniform(0, 1, _CROWN)) * spread
    level = 0.66 * height + np.sin(angle) * reach
    for index in np.argsort(level + rng.normal(0, 0.5, _CROWN)):
        size = (0.1 if bare else 1) * spread * rng.uniform(0.28, 0.5)
        polygons.append(blob(rng, [np.cos(angle[index]) * reach[index], level[index], 0], size))
        shades.append(np.clip(0.25 + 0.5 * (level[index] / height - 0.4) / 0.5 + rng.normal(0, 0.12), 0, 1))
    return polygons, np.array(shades)
