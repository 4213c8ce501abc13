"""Faces: masks in relief, each with its own proportions, nose, mouth, brow and turn of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redepth.scenes.draws import chance, choice, uniform
from redepth.scenes.fields import Grid, Pose, bell, dome, ridge, smoothstep, turned
from redepth.scenes.relief import Field, Material, Relief, mixed, on_table, one_colour
from redepth.scenes.scene import Array

MATERIALS = (
    Material("plaster", (0.80, 0.78, 0.73)),
    Material("terracotta", (0.56, 0.26, 0.14)),
    Material("bronze", (0.42, 0.27, 0.12), 0.6),
    Material("gold", (0.80, 0.58, 0.18), 0.7),
    Material("wooden", (0.40, 0.23, 0.11), 0.15),
    Material("marble", (0.72, 0.73, 0.76), 0.3),
)
NOSES = {"a long nose": (0.52, 0.085), "a broad nose": (0.40, 0.125), "a small nose": (0.32, 0.085)}
MOUTHS = {"a smile": 0.55, "a straight mouth": 0.0, "a sad mouth": -0.55}


@dataclass(frozen=True, slots=True)
class Face:
    """Proportions in the head's own coordinates: x to its left, y up, the head from -1 to 1."""

    pose: Pose
    turn: float  # of the head to the side: how far features move with the depth below them
    width: float
    taper: float  # how much narrower the chin is
    depth: float
    eye_x: float
    eye_y: float
    eye_size: float
    brow: float
    brow_angle_deg: float
    nose_length: float
    nose_width: float
    nose_height: float
    mouth_y: float
    mouth_width: float
    mouth_curve: float
    lips: float
    cheeks: float
    chin: float

    def inside(self, place: Grid) -> Array:
        """Return 1 - r^2, r the head's own radius: 1 in the middle, 0 at the outline."""
        return 1.0 - self._squared_radius(*self.pose.local(place))

    def height(self, place: Grid) -> Array:
        """Return the height over the plate the mask lies on."""
        x, y = self.pose.local(place)
        squared = self._squared_radius(x, y)
        head = dome(squared, 0.06)
        x = x - self.turn * head
        features = self._eyes(x, y) + self._nose(x, y) + self._mouth(x, y) + self._bones(x, y)
        return self.depth * head + smoothstep(1.0 - squared, 0.0, 0.35) * features

    def _squared_radius(self, x: Array, y: Array) -> Array:
        down = np.clip(-y, 0.0, 1.0)
        return (x / (self.width * (1.0 - self.taper * down**2))) ** 2 + y**2

    def _eyes(self, x: Array, y: Array) -> Array:
        total = np.zeros_like(x)
        for side in (-1.0, 1.0):
            dx, dy = x - side * self.eye_x, y - self.eye_y
            size = self.eye_size
            total = total - 0.13 * bell(dx, dy, 0.19, 0.13)
            total = total + 0.12 * dome((dx / size) ** 2 + (dy / (0.62 * size)) ** 2, 0.25)
            across, along = turned(dx, dy - 0.19, side * self.brow_angle_deg)
            total = total + self.brow * bell(across, along, 0.22, 0.065)
        return total

    def _nose(self, x: Array, y: Array) -> Array:
        top, tip = self.eye_y + 0.08, self.eye_y + 0.08 - self.nose_length
        share = np.clip((top - y) / self.nose_length, 0.0, 1.0)
        ends = smoothstep(y, tip - 0.09, tip + 0.02)
        width = self.nose_width * (0.6 + 0.4 * share)
        bridge = self.nose_height * (0.25 + 0.75 * share) * ends * (y < top + 0.2)
        bridge = bridge * smoothstep(-y, -top - 0.12, -top + 0.08) * np.exp(-((x / width) ** 2))
        wing = 0.055
        wings = bell(abs(x) - 1.15 * self.nose_width, y - tip - 0.03, wing, wing)
        return bridge + 0.35 * self.nose_height * wings

    def _mouth(self, x: Array, y: Array) -> Array:
        line = y - self.mouth_y - self.mouth_curve * x**2
        within = np.exp(-((x / self.mouth_width) ** 4))
        upper, lower = ridge(line - 0.055, 0.05), ridge(line + 0.065, 0.055)
        return within * (self.lips * (upper + 1.15 * lower) - 0.11 * ridge(line, 0.03))

    def _bones(self, x: Array, y: Array) -> Array:
        sides = bell(abs(x) - 0.42, y + 0.12, 0.2, 0.17)
        chin = bell(x, y + 0.80, 0.17, 0.12)
        forehead = bell(x, y - 0.58, 0.40, 0.26)
        return self.cheeks * sides + self.chin * chin + 0.05 * forehead


def draw_face(rng: np.random.Generator) -> Relief:
    """Draw a mask that lies on a table."""
    nose, mouth = choice(rng, tuple(NOSES)), choice(rng, tuple(MOUTHS))
    face = _draw_proportions(rng, *NOSES[nose], MOUTHS[mouth])
    material = choice(rng, MATERIALS)
    skin = one_colour(rng, material.colour, uniform(rng, 0.03, 0.08))
    painted = _painted(face, skin) if chance(rng, 0.25) else skin
    albedo, _ = on_table(rng, painted, lambda place: smoothstep(face.inside(place), -0.04, 0.04))
    words = f"a {material.name} mask of a face with {nose} and {mouth}"
    return Relief(words, face.height, albedo, face.inside, material.gloss)


def _draw_proportions(
    rng: np.random.Generator, nose_length: float, nose_width: float, mouth_curve: float
) -> Face:
    shift_u, shift_v = rng.uniform(-0.08, 0.08, 2)
    pose = Pose(
        float(shift_u), float(shift_v), float(rng.normal(0.0, 8.0)), uniform(rng, 0.80, 0.95)
    )
    return Face(
        pose=pose,
        turn=uniform(rng, -0.16, 0.16),
        width=uniform(rng, 0.70, 0.84),
        taper=uniform(rng, 0.10, 0.40),
        depth=uniform(rng, 0.40, 0.58),
        eye_x=uniform(rng, 0.26, 0.33),
        eye_y=uniform(rng, 0.10, 0.22),
        eye_size=uniform(rng, 0.10, 0.14),
        brow=uniform(rng, 0.05, 0.12),
        brow_angle_deg=uniform(rng, -22.0, 22.0),
        nose_length=nose_length * uniform(rng, 0.9, 1.1),
        nose_width=nose_width * uniform(rng, 0.9, 1.1),
        nose_height=uniform(rng, 0.22, 0.34),
        mouth_y=uniform(rng, -0.56, -0.46),
        mouth_width=uniform(rng, 0.20, 0.32),
        mouth_curve=mouth_curve * uniform(rng, 0.8, 1.4),
        lips=uniform(rng, 0.05, 0.10),
        cheeks=uniform(rng, 0.04, 0.11),
        chin=uniform(rng, 0.06, 0.13),
    )


def _painted(face: Face, skin: Field) -> Field:
    """Return the skin with red lips: colour that is no shape."""

    def albedo(place: Grid) -> Array:
        x, y = face.pose.local(place)
        line = y - face.mouth_y - face.mouth_curve * x**2
        lips = np.exp(-((x / face.mouth_width) ** 4)) * smoothstep(-abs(line), -0.13, -0.09)
        bare = skin(place)
        return mixed(bare, bare * np.array([0.8, 0.25, 0.3]), lips)

    return albedo
