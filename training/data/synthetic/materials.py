"""Colours of the head's surface: skin, lips, beard, brows, hair, clothes, glasses, eyes. *Ours*."""

from __future__ import annotations

import numpy as np

from .hair import hairline
from .mesh import EYE, HAIR_SHEET, LASHES, SKIN, TEETH, TONGUE, HeadMesh
from .patterns import look_up, noise, smoothstep
from .people import Person
from .scenes import Scene


class Surface:
    """Points of the surface that are seen, and their material as it is built up layer by layer.

    Parameters
    ----------
    person, scene
        Who, and how.
    place : np.ndarray
        (N, 3) canonical places of the points, decimetres.
    kind : np.ndarray
        (N,) kind of the triangle that shows.
    masks : np.ndarray
        (N, 4) shares of lips, eyelids, ears and inside of the mouth.
    """

    def __init__(
        self, person: Person, scene: Scene, place: np.ndarray, kind: np.ndarray, masks: np.ndarray
    ) -> None:
        self.person, self.scene, self.place, self.kind, self.masks = person, scene, place, kind, masks
        x, y, z = place.T
        fine_tile, coarse_tile = noise()
        self.fine = look_up(fine_tile, x * 150 + z * 60, y * 150)
        self.coarse = look_up(coarse_tile, x * 75 + 30, y * 75 + z * 50)
        self.colour = person.skin[None] * (1 + 0.012 * self.fine + 0.02 * self.coarse)[:, None]
        """(N, 3) albedo, sRGB 0..255."""
        self.gloss = self.hair = self.frame = np.zeros(len(place), np.float32)
        """(N,) strength of reflections, share of hair, share of the glasses' frame."""

    def mix(self, target: np.ndarray, share: np.ndarray) -> None:
        """Blend a colour (3,) or (N, 3) in by shares (N,)."""
        self.colour = self.colour + (target - self.colour) * share[:, None]

    def add_skin(self) -> None:
        """Flushed cheeks and nose, freckles, wrinkles, marks, lips and eyelids."""
        person, (x, y, z) = self.person, self.place.T
        away = np.abs(x)
        lips, lids, ears, _ = self.masks.T
        fine_tile, skin = noise()[0], person.skin
        flush = (
            np.exp(-(((away - 0.42) / 0.22) ** 2 + ((y - 6.92) / 0.2) ** 2)) * 0.5 * smoothstep(0.6, 1.1, z)
        )
        flush += (
            np.exp(-((away / 0.14) ** 2 + ((y - 6.9) / 0.14) ** 2)) * 0.35 * smoothstep(1.25, 1.5, z)
            + ears * 0.3
        )
        self.colour *= 1 - (person.ruddiness * flush)[:, None] * np.array([0.0, 0.15, 0.14], np.float32)
        if person.freckles:
            spots = (look_up(fine_tile, x * 330 + 11, y * 330 + 5) > 1.25) * np.exp(
                -(((y - 6.98) / 0.24) ** 2)
            )
            self.mix(
                skin * np.array([0.72, 0.6, 0.5], np.float32),
                spots * smoothstep(0.8, 1.1, z) * 0.6 * person.freckles,
            )
        self._add_wrinkles(away, y, z)
        for mark in person.marks:
            mx, my = 0.5 * mark[0], 6.9 + 0.62 * mark[1]
            spot = np.exp(-((((x - mx) ** 2 + (y - my) ** 2) / (0.035 + 0.012 * mark[2]) ** 2) ** 2)) * (
                z > 0.8
            )
            self.mix(np.array([58, 34, 28], np.float32), spot * 0.85)
        self.mix(person.lips, np.clip(lips * 1.3, 0, 1) * 0.85)
        self.colour *= (1 - 0.22 * np.clip(lids, 0, 1) * (0.5 + person.lashes / 2))[:, None]

    def _add_wrinkles(self, away: np.ndarray, y: np.ndarray, z: np.ndarray) -> None:
        person = self.person
        if person.wrinkles:
            fold = np.exp(-(((away - 0.2 - 0.55 * (6.98 - y)) / 0.035) ** 2)) * smoothstep(6.55, 6.65, y)
            fold *= smoothstep(7.0, 6.9, y) * smoothstep(0.9, 1.2, z)
            brow_lines = np.maximum(0, np.sin((y + 0.05 * away) * 68)) ** 3 * smoothstep(7.62, 7.68, y)
            brow_lines *= smoothstep(7.9, 7.85, y) * smoothstep(0.5, 0.3, away) * 0.5
            bags = np.exp(-((((y - 7.16) / 0.035) ** 2) + ((away - 0.3) / 0.14) ** 2)) * (z > 0.9) * 0.8
            self.colour *= (1 - 0.26 * person.wrinkles * np.clip(fold + brow_lines + bags, 0, 1))[:, None]

    def add_beard(self) -> None:
        """Beard, moustache or goatee."""
        person, (x, y, z) = self.person, self.place.T
        away, not_lips, fine_tile = np.abs(x), 1 - np.clip(self.masks[:, 0] * 2, 0, 1), noise()[0]
        if person.beard != "none":
            cheek = smoothstep(6.76, 6.52, y - 0.38 * smoothstep(0.35, 0.75, away)) * smoothstep(
                0.45, 0.65, z
            )
            chin = smoothstep(5.98, 6.2, y + 0.12 * (z - 0.9))
            moustache = np.exp(-(((y - 6.79) / 0.055) ** 2)) * smoothstep(0.32, 0.26, away) * (z > 1.15)
            goatee = smoothstep(0.27, 0.2, away) * smoothstep(6.86, 6.8, y) * chin * (z > 0.9)
            area = {"moustache": moustache, "goatee": np.maximum(goatee, moustache * 0.9)}.get(
                person.beard, np.clip(cheek * chin + moustache * 0.9, 0, 1)
            )
            strands = look_up(fine_tile, (away + z) * 330, y * 110)
            self.mix(
                person.hair * 0.85,
                area * not_lips * person.beard_density * np.clip(0.88 + 0.15 * strands, 0, 1),
            )

    def add_brows(self) -> None:
        """Eyebrows."""
        person, (x, y, z) = self.person, self.place.T
        away, fine_tile, skin = np.abs(x), noise()[0], person.skin
        along = (away - 0.10) / 0.5
        height = (
            7.50
            + person.brow_height
            + person.brow_arch
            * (0.05 * np.sin(np.clip(along, 0, 1) * 2.6) - 0.03 * np.clip(along, 0, 1) ** 2)
        )
        thick = person.brow_thickness * (1 - 0.55 * np.clip(along, 0, 1))
        brow = (
            np.exp(-(((y - height) / thick) ** 2) * 1.2)
            * smoothstep(-0.05, 0.08, along)
            * smoothstep(1.05, 0.85, along)
        )
        strands = look_up(fine_tile, away * 420 + y * 120, y * 60)
        share = (
            np.clip(brow * 1.25, 0, 1)
            * person.brow_darkness
            * np.clip(0.9 + 0.14 * strands, 0, 1)
            * (z > 0.9)
        )
        self.mix(np.minimum(person.hair * 0.72, skin * 0.55), share)

    def add_hair(self) -> None:
        """Hair of the head, strand by strand."""
        person, kind, place = self.person, self.kind, self.place
        (x, y, z), ears = place.T, self.masks[:, 2]
        (fine_tile, coarse_tile), fine, coarse = noise(), self.fine, self.coarse
        hair = np.zeros(len(place), np.float32)
        turn = np.arctan2(x - 0.4 * person.parting * (y > 7.6), z - 0.5)
        strands = look_up(fine_tile, turn * 120 + person.seed % 61, y * (9 + 14 * person.hair_wave)) * 0.10
        strands += look_up(coarse_tile, turn * 150, y * 22) * 0.10
        if person.hair_style == "afro":
            strands = 0.6 * strands + 0.09 * look_up(fine_tile, turn * 90, y * 150)
        if person.hair_style != "bald":
            edge = hairline(place, person) + 0.012 * fine + 0.025 * coarse
            hair = smoothstep(-0.05, 0.09, edge) * (1 - np.clip(ears * 3, 0, 1)) * (kind == SKIN)
            hair *= 0.72 if person.hair_style == "buzz" else 1.0
        hair = np.maximum(hair, kind == HAIR_SHEET).astype(np.float32)
        self.mix(person.hair * (1 + strands)[:, None], hair)
        self.hair = hair

    def add_rest(self) -> None:
        """Clothes, inside of the mouth, teeth, tongue, lashes; and how all of it shines."""
        person, scene, kind = self.person, self.scene, self.kind
        (x, y, z), (lips, _, _, mouth) = self.place.T, self.masks.T
        away, not_lips, coarse, hair = np.abs(x), 1 - np.clip(lips * 2, 0, 1), self.coarse, self.hair
        skin = person.skin
        collar = 5.58 + 0.25 * np.minimum(away, 0.8) - 0.16 * smoothstep(0.3, 1.3, z)
        cloth = smoothstep(0.0, 0.04, collar - y) * (kind == SKIN)
        self.mix(scene.clothes * (1 + 0.02 * coarse)[:, None], cloth)
        self.mix(np.array([95, 38, 38], np.float32), np.clip(mouth * 1.2, 0, 1) * not_lips)
        self.gloss = np.where(hair > 0.5, 0.30, 0.16) * (1 - cloth) + 0.35 * np.clip(lips, 0, 1)
        self.colour[kind == TEETH] = (226, 217, 203)
        self.colour[kind == TONGUE] = (165, 80, 80)
        self.colour[kind == LASHES] = skin * (1 - person.lashes) * 0.8 + person.hair * 0.3 * person.lashes

    def add_glasses(self) -> None:
        """Glasses, where the person has some."""
        person, kind, hair = self.person, self.kind, self.hair
        if person.glasses is None:
            return
        x, y, z = self.place.T
        away = np.abs(x)
        half_width, half_height, power = person.glasses
        u, v = (away - 0.325) / half_width, (y - 7.25) / half_height
        ring = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
        frame = smoothstep(0.17, 0.10, np.abs(ring - 1)) * (z > 0.7)
        bridge = smoothstep(0.03, 0.018, np.abs(y - 7.3)) * (away < 0.34 - half_width) * (z > 1.0)
        temple = (
            smoothstep(0.035, 0.022, np.abs(y - 7.3)) * (away > 0.3 + half_width) * (z > 0.45) * (hair < 0.5)
        )
        frame = np.maximum(np.maximum(frame, bridge), temple) * np.isin(kind, (SKIN, LASHES, EYE))
        glass = (ring < 1) * (z > 0.7) * 0.07
        self.mix(np.array([214, 226, 236], np.float32), glass)
        self.mix(person.glasses_colour, frame)
        self.frame = frame


def surface_of(
    person: Person, scene: Scene, place: np.ndarray, kind: np.ndarray, masks: np.ndarray
) -> Surface:
    """Return all layers of some points of the surface; parameters as `Surface`."""
    surface = Surface(person, scene, place, kind, masks)
    surface.add_skin()
    surface.add_beard()
    surface.add_brows()
    surface.add_hair()
    surface.add_rest()
    surface.add_glasses()
    return surface


def eye_colours(mesh: HeadMesh, person: Person, place: np.ndarray) -> np.ndarray:
    """Albedo (N, 3) of places on the eyeballs."""
    left, right = (mesh.base[mesh.eye_vertices(side)] for side in (True, False))
    radius = (left[:, 0].max() - left[:, 0].min()) / 2
    offset = (place - np.where(place[:, :1] > 0, left.mean(0), right.mean(0)))[:, :2] / radius
    r, angle = np.hypot(offset[:, 0], offset[:, 1]), np.arctan2(offset[:, 1], offset[:, 0])
    colour = 234 - (r**2)[:, None] * np.array([10, 34, 34], np.float32)
    rays = 0.88 + 0.2 * np.sin(angle * 23) * np.sin(angle * 7 + 1)
    iris = person.iris[None] * (rays * (1.15 - 0.9 * np.clip((r - 0.2) / 0.22, 0, 1) ** 3))[:, None]
    colour = colour + (iris - colour) * smoothstep(0.46, 0.41, r)[:, None]
    return (colour * (1 - smoothstep(0.20, 0.165, r) * 0.93)[:, None]).astype(np.float32)
