"""Words under which hosts that know search aliases find the nodes."""

from __future__ import annotations

ALIASES: dict[str, tuple[str, ...]] = {
    "HiFiPortraitLoadFaceAnalyzer": ("insightface", "face detection", "antelopev2", "buffalo_l"),
    "HiFiPortraitLoadReferenceFaces": ("face reference", "faceid", "photos of a person"),
    "HiFiPortraitCompareFaces": ("face similarity", "likeness", "face distance"),
    "HiFiPortraitRefineFaces": ("face embedding", "merge faces", "identity embedding"),
    "HiFiPortraitMixIdentities": ("blend faces", "face interpolation", "subtract face"),
    "HiFiPortraitSaveIdentity": ("save face embedding", "save face model"),
    "HiFiPortraitLoadIdentity": ("load face embedding", "load face model"),
    "HiFiPortraitGenerateLandmarks": ("face pose", "expression editor", "head pose", "keypoints", "smile"),
    "HiFiPortraitLandmarksFromPhoto": ("face keypoints", "face mesh", "mediapipe"),
    "HiFiPortraitLandmarkSequence": ("live link face", "face capture", "video face", "arkit"),
    "HiFiPortraitInterpolateLandmarks": ("animate face", "morph expression"),
    "HiFiPortraitExpressionSheet": ("character sheet", "emotions"),
    "HiFiPortraitDrawLandmarks": ("draw keypoints", "instantid keypoints"),
    "HiFiPortraitLoadHiFiNet": ("instantid", "identitynet", "face controlnet"),
    "HiFiPortraitApplyHiFiNet": ("instantid", "ipadapter faceid", "pulid", "face swap", "same person"),
    "HiFiPortraitPreviewPeople": ("face masks", "who is where"),
    "HiFiPortraitFuseHead": ("3d head", "face texture", "uv unwrap", "photogrammetry", "avatar"),
    "HiFiPortraitRenderHead": ("turn head", "head pose", "3d face render", "relight face", "depth map"),
    "HiFiPortraitSaveHead": ("save 3d head", "save face"),
    "HiFiPortraitLoadHead": ("load 3d head", "load face"),
    "HiFiPortraitGuideWithHead": ("x0 guidance", "latent guidance", "img2img face", "face swap", "likeness"),
    "HiFiPortraitCropToFace": ("face detailer", "adetailer", "small faces", "crop face", "inpaint crop"),
    "HiFiPortraitPasteFaceBack": ("uncrop", "face detailer", "inpaint stitch"),
    "HiFiPortraitTransferSkinDetail": ("skin texture", "pores", "waxy skin", "frequency separation"),
    "HiFiPortraitSavePortrait": ("save image", "xmp", "iptc", "licence", "watermark", "generated"),
    "HiFiPortraitLoadTinyPortraitModel": ("tiny model", "demo model"),
}
