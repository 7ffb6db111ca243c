"""From reference faces to an `Identity`: the paper's face refiner, with the 3D shape for the landmarks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..boundary.licences import merged
from ..faces.records import FaceRecord, ReferenceFaces
from ..head.uv import head_textures
from ..landmarks.canonical import crop_canonical_map, moved
from ..landmarks.fit import fit_faces
from ..landmarks.fit_result import FaceFit
from ..landmarks.head import HeadSurface
from ..landmarks.model import FaceModel
from ..models.config import HEAD, HiFiNetConfig
from ..models.merge import CONCAT, MEAN, check_merge, token_bias
from ..models.portrait import HiFiPortrait
from ..models.refiner import CLIP_TOKENS
from ..models.tokens import FaceBatch
from .identity import Identity

MAX_FACES = 64


def refine_faces(
    faces: ReferenceFaces,
    network: HiFiPortrait,
    *,
    merge: str = MEAN,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    encode_image: Callable[[Tensor], Tensor] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Identity:
    """Turn the references of one person into an identity.

    Parameters
    ----------
    faces
        References; those of weight 0 are left out.
    network
        The checkpoint's networks.
    merge
        How references become identity tokens, one of `models.merge.MERGES`.
    device, dtype
        Where and in what precision to compute; None: as the network's weights.
    encode_image
        For checkpoints with CLIP tokens: ``(N, 3, 224, 224)`` crops in -1..1 to ``(N, 257, d)``.
    report
        Called with (done, all) steps.

    Returns
    -------
    Identity
        On the CPU, in float32.

    Raises
    ------
    ValueError
        No usable reference, no such merge, or another recognizer than the checkpoint's; one line with the
        remedy.
    """
    config = network.config
    check_merge(merge)
    # By content, so that the order of references changes nothing, bit for bit.
    used = sorted((face for face in faces.faces if face.weight > 0), key=_digest)
    _check(faces, used, config)
    report = report or (lambda done, total: None)
    report(0, 2)
    model = FaceModel.load()
    weights = np.array([face.weight for face in used], np.float64)
    fits = _fit(used, weights, model)
    report(1, 2)

    first = next(network.parameters())
    device, dtype = device or first.device, dtype or first.dtype
    batch = face_batch(used, fits, model, config)
    if config.clip_dim:
        batch = replace(batch, clip_hidden=_clip_hidden(used, encode_image, config.clip_dim))
    exact = (batch.coords, batch.weights)
    batch = batch.each(lambda tensor: tensor.to(device, dtype))
    batch = replace(batch, coords=exact[0].to(device), weights=exact[1].to(device))
    with torch.no_grad():
        tokens, detail = network.refiner(batch, merge)
    report(2, 2)

    share = weights / weights.sum()
    mean = (np.stack([face.embedding for face in used]) * share[:, None]).sum(0)
    mean = mean / max(float(np.linalg.norm(mean)), 1e-12)
    expression = sum(s * fit.expression for s, fit in zip(share, fits, strict=True))
    return Identity(
        tokens=tokens.float().cpu(),
        detail=detail.to(torch.device("cpu"), torch.float32),
        embedding=torch.from_numpy(mean.astype(np.float32)),
        shape=fits[0].shape.astype(np.float32),
        recognizer=faces.recognizer,
        checkpoint=network.checkpoint_id,
        sources=tuple(face.source for face in faces.faces),
        weights=tuple(float(face.weight) for face in faces.faces),
        fingerprint=fingerprint(faces, network.checkpoint_id, merge),
        licences=merged(faces.licences, network.licences),
        expression=np.asarray(expression, np.float32),
        token_bias=token_bias(exact[1], config.identity_tokens) if merge == CONCAT else None,
    )


def _clip_hidden(
    faces: list[FaceRecord], encode_image: Callable[[Tensor], Tensor] | None, dim: int
) -> Tensor:
    if encode_image is None:
        raise ValueError("this HiFi-Net reads CLIP image tokens; connect a CLIP vision model to clip_vision")
    hidden = encode_image(_crops(faces, 224))
    if tuple(hidden.shape[1:]) != (CLIP_TOKENS, dim):
        raise ValueError(
            f"this HiFi-Net reads {CLIP_TOKENS} x {dim} CLIP image tokens, the CLIP vision model gives "
            f"{' x '.join(map(str, hidden.shape[1:]))}; load the one that the checkpoint names"
        )
    return hidden


def face_batch(
    faces: list[FaceRecord], fits: list[FaceFit], model: FaceModel, config: HiFiNetConfig
) -> FaceBatch:
    """Return what the refiner reads, float32 on the CPU.

    Parameters
    ----------
    faces
        Of one person, each with weight > 0.
    fits
        The 3D face in each picture, in source px.
    """
    size = config.crop_size
    points = [fit.points(model, as_detected=True) for fit in fits]
    coords = np.stack(
        [
            crop_canonical_map(shown, face.crop_matrix, size, model)
            for face, shown in zip(faces, points, strict=True)
        ]
    )
    embeddings = np.stack([face.embedding for face in faces])
    if config.embedding_kind == "raw":
        embeddings = embeddings * np.array([[face.embedding_norm] for face in faces])
    return FaceBatch(
        crops=_crops(faces, size),
        coords=torch.from_numpy(coords).permute(0, 3, 1, 2).contiguous(),
        embeddings=torch.from_numpy(embeddings.astype(np.float32)),
        weights=torch.tensor([float(face.weight) for face in faces]),
        textures=_textures(faces, points, model, config) if config.texture_size else None,
    )


def fingerprint(faces: ReferenceFaces, checkpoint: str, merge: str = MEAN) -> str:
    """Return a hash of everything that an identity depends on; the order of references does not matter."""
    rows = [_digest(face) for face in faces.faces]
    # The usual way is not named: identities saved before there were others stay the same.
    rows += [merge] if merge != MEAN else []
    text = "\n".join([faces.recognizer, faces.analyzer, checkpoint, *sorted(rows)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _digest(face: FaceRecord) -> str:
    row = hashlib.sha256()
    for array in (face.crop, face.crop_matrix, face.landmarks, face.embedding):
        row.update(np.ascontiguousarray(array).tobytes())
    row.update(repr((float(face.weight), float(face.embedding_norm))).encode())
    return row.hexdigest()


def _check(faces: ReferenceFaces, used: list[FaceRecord], config: HiFiNetConfig) -> None:
    if not faces.faces:
        raise ValueError(
            "there are no reference faces; see Load Reference Faces for why pictures were dropped"
        )
    if not used:
        raise ValueError("every reference face has weight 0; give at least one a weight above 0")
    if len(used) > MAX_FACES:
        raise ValueError(f"{len(used)} reference faces are too many; use at most {MAX_FACES}")
    if faces.recognizer != config.recognizer:
        raise ValueError(
            f"the faces were read with recognizer '{faces.recognizer}', but this HiFi-Net needs "
            f"'{config.recognizer}'; load the faces with an analyzer that has it, or another HiFi-Net"
        )
    for face in used:
        if len(face.embedding) != config.embedding_dim:
            raise ValueError(
                f"{face.source}: its embedding has {len(face.embedding)} numbers, this HiFi-Net needs "
                f"{config.embedding_dim}; load the faces with recognizer '{config.recognizer}'"
            )


def _fit(faces: list[FaceRecord], weights: np.ndarray, model: FaceModel) -> list[FaceFit]:
    try:
        return fit_faces([face.landmarks for face in faces], weights.tolist(), model)
    except ValueError as error:
        names = ", ".join(face.source for face in faces[:4])
        raise ValueError(f"the 3D face cannot be fitted to {names}: {error}") from error


def _textures(
    faces: list[FaceRecord], points: list[np.ndarray], model: FaceModel, config: HiFiNetConfig
) -> Tensor:
    """UV textures ``(N, 4, R, R)``: colours in -1..1, and the visibility of each texel, 0..1."""
    size = config.texture_size
    if config.uv_layout == HEAD:
        return texture_tensor(head_textures(faces, size))
    surface = HeadSurface.of(model)
    heads = np.stack(
        [
            surface.extract_texture(face.crop, face.mask * 255, moved(shown, face.crop_matrix), size)
            for face, shown in zip(faces, points, strict=True)
        ]
    )
    return texture_tensor(heads)


def texture_tensor(heads: np.ndarray) -> Tensor:
    """UV textures ``(..., R, R, 4)`` uint8 as the networks read them, ``(..., 4, R, R)`` float32."""
    tensor = torch.from_numpy(np.moveaxis(heads, -1, -3).astype(np.float32))
    return torch.cat([tensor[..., :3, :, :] / 127.5 - 1, tensor[..., 3:, :, :] / 255], -3)


def _crops(faces: list[FaceRecord], size: int) -> Tensor:
    """Canonical crops ``(N, 3, size, size)`` in -1..1."""
    crops = torch.from_numpy(np.stack([face.crop for face in faces])).permute(0, 3, 1, 2).float()
    if crops.shape[-1] != size:
        crops = F.interpolate(crops, size=(size, size), mode="area")
    return crops / 127.5 - 1.0
