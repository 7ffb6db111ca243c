# ruff: noqa: E501 - texts
"""What the help pages say: what each node is for, and what to do when something goes wrong."""

from __future__ import annotations

PAGES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "HiFiPortraitLoadFaceAnalyzer": (
        "The first node of every graph. It loads the models that find faces, place 3D landmarks on them and tell people apart.\n\n"
        "*open (YuNet + SFace)* is the one to start with: it needs 12 MB of files, no account and no compiler, and may be used commercially. "
        "Choose *antelopev2* only for SDXL with InstantID's weights, which were trained with it; its licence is non-commercial.",
        (
            (
                "a file is missing",
                "Set `missing_files` to `automatic`, or put the file where the message says.",
            ),
            (
                "an InsightFace pack is not found",
                "Put its `.onnx` files into `models/insightface/models/antelopev2` (not one folder deeper) and install the package `insightface`.",
            ),
            (
                "it runs on the CPU although there is a GPU",
                "Look at the output `about`: it says what really runs. Install `onnxruntime-gpu` *instead of* `onnxruntime`, not beside it.",
            ),
        ),
    ),
    "HiFiPortraitLoadReferenceFaces": (
        "Give it one to 64 photos of **one** person. It finds that person in every picture, cuts the face out, removes the background, and rates each photo: "
        "size, sharpness, exposure, frontality, completeness, and agreement with the others. The bars in the preview show the rating, and photos of somebody else are set aside with the reason.\n\n"
        "Three or four *different* photos (angles, light, expressions) help more than ten of the same kind.",
        (
            (
                "'no face found'",
                "The message names the picture. Crop closer, turn it upright, or use a larger one: faces under 40 pixels are lost.",
            ),
            (
                "the wrong person is picked in a group photo",
                "Leave `pick` at `common person` and give at least two photos; or use `index, left to right`.",
            ),
            (
                "a photo of the right person is dropped",
                "It may be far younger, very dark, or half hidden. Set `other_people` to `keep`, or give it a weight of your own in `weights`.",
            ),
            (
                "one photo should count more",
                "Write `weights`, one number a photo: `2, 1, 1, 0.5`. 0 is exactly as if the photo were not there.",
            ),
        ),
    ),
    "HiFiPortraitCompareFaces": (
        "Says in figures how much generated pictures look like the person, and how well they follow the landmarks.\n\n"
        "Likeness to the references alone rewards copying one of them. Keep one photo out of the references, give it as `held_out`, and look at both numbers: they should be close to each other.",
        (
            (
                "the numbers are low although the picture looks right",
                "Small faces and synthetic looks lower them. Compare pictures with each other, not with 1.0: two real photos of one person often reach 0.6 only.",
            ),
            ("NaN", "There was nothing to compare with: no `held_out` photo or no `target` landmarks."),
            (
                "no face in a picture",
                "Nothing was recognised there. Look at the picture: lower `identity_strength`, or more steps.",
            ),
        ),
    ),
    "HiFiPortraitRefineFaces": (
        "Turns the references into one **identity**: what the person looks like in general, the details of each photo, and the 3D shape of the face. Better photos count more.",
        (
            (
                "'made with another recognizer'",
                "Checkpoint and analyzer must fit: *tiny* goes with the open analyzer, InstantID's weights with antelopev2.",
            ),
            ("the person looks averaged", "Fewer, better photos; give the sharpest a higher weight."),
            (
                "one photo pulls the likeness off",
                "Set *merge* to *best of each token*, which leaves out what only one photo says, or lower its weight.",
            ),
            (
                "you want the person again tomorrow",
                "Connect *Save Identity*; *Load Identity* needs no photos.",
            ),
        ),
    ),
    "HiFiPortraitMixIdentities": (
        "Makes a person between two: with an amount of .4, 60 % of the first and 40 % of the second. *b, away from a* goes the other way: what the first has in common with the second is taken out of the second, for instance to keep a character apart from an actor. Connect both from *Refine Faces* or *Load Identity* with the same HiFi-Net, and the result to *Apply HiFi-Net*.",
        (
            (
                "the two have different numbers of tokens",
                "Refine both with the same *merge*; with *concat* also from as many photos.",
            ),
            ("the face falls apart", "Away from a person: .1 to .4 is usually enough."),
        ),
    ),
    "HiFiPortraitSaveIdentity": (
        "Keeps an identity as a small file in `models/hifi_portrait/identities`. It holds no photos, but it describes a real person's face; with the tiny model it even holds the face's colours, as a UV texture. Share it only with that person's consent, and note that consent in `consent`: the note stays in the file, and *Load Identity* shows it.\n\nConnect `head` to keep the textured head in the same file. That **is** a photograph: whoever opens the file sees the face. Without it, none is put in.",
        (
            ("the name is refused", "Use letters, digits, blanks, - _ ( ) and the full stop; no folders."),
            ("Load Identity does not list it", "Press **R** in ComfyUI: lists are read again."),
        ),
    ),
    "HiFiPortraitLoadIdentity": (
        "Brings a person back that *Save Identity* kept. Photos and face analyzer are not needed any more.",
        (
            ("the list says 'none saved'", "Run a graph with *Save Identity* once, then press **R**."),
            (
                "'belongs to another checkpoint'",
                "An identity works with the HiFi-Net that made it. Load that one, or refine the photos again.",
            ),
        ),
    ),
    "HiFiPortraitGenerateLandmarks": (
        "Pose and expression, set by you. The face above the sliders is the person's own (an average face before the first run) and moves at once.\n\n"
        "| mouse | does |\n|---|---|\n| drag | turn the head |\n| Shift + drag | move it in the picture |\n| Alt + drag | tilt it |\n| wheel, after a click | make it larger or smaller |\n"
        "| double-click | reset the head; on a part, reset that part |\n| drag a corner of the mouth, a lip, the chin, a brow, a lid, a pupil | set the expression behind it |\n\n"
        "| key | does |\n|---|---|\n| arrows | turn |\n| Shift + arrows | move |\n| Alt + arrows | tilt |\n| + and - | size |\n| Home | reset |\n| N, then Ctrl + arrows | choose a part and move it |\n\n"
        "Below the face: **expressions**, **head** poses, and your own **favourites**, which are saved with the workflow. The tabs under them choose which sliders are shown; the others keep their values. "
        "The sliders are ordinary inputs: they can be driven by other nodes, and the graph runs the same without a browser.\n\n"
        "With `target_image` the photo gives pose and expression and the sliders **add** to it; -0.3 takes away. The face widget shows both together after the first run.",
        (
            (
                "the face is an average one",
                "Connect `identity` and run once: the face then has the person's shape.",
            ),
            (
                "a slider seems to stop",
                "Combinations that no face can do are limited; the preview says which.",
            ),
            (
                "the head is too large or too small",
                "`scale` 1 is a portrait with shoulders. The tiny model wants 1.6.",
            ),
            (
                "the picture does not follow",
                "`width` and `height` must be those of the picture; then raise `landmark_strength` in *Apply HiFi-Net*.",
            ),
            (
                "the tiny or SDXL result has the pose mirrored",
                "Left and right in names are the person's. `yaw` above 0 turns the nose to the picture's right.",
            ),
        ),
    ),
    "HiFiPortraitLandmarksFromPhoto": (
        "Reads the 3D face in a photo as it is: that person's own shape, pose and expression, at the place where the photo has them. Use it to see how well the fit sits, or as `target_landmarks` of *Generate Landmarks*.",
        (
            (
                "the lines sit badly",
                "Profiles beyond 60 degrees, hands over the face and very small faces are hard. The note gives the error in per cent of the distance between the eyes: under 4 is good.",
            ),
            ("several faces are in the photo", "Choose with `target_pick` and `target_index`."),
        ),
    ),
    "HiFiPortraitLandmarkSequence": (
        "Lets a video or a face capture (Live Link Face) move your person: one set of landmarks for every frame, smoothed over time. *Empty Latent Image* needs a `batch_size` of as many frames.",
        (
            ("it trembles", "More `smoothing`; 0.5 suits most hand-held videos."),
            ("too many frames for the memory", "`every` 2 uses every second frame, `max_frames` ends early."),
            ("a frame without a face", "It is filled in from its neighbours, and the notes say so."),
        ),
    ),
    "HiFiPortraitInterpolateLandmarks": (
        "Makes the faces between two: pose, expression, place and size move evenly from the first to the last. For short animations, or to look for the right amount of a smile.",
        (
            (
                "the two faces have different shapes",
                "The shape of the first is used throughout. Give both nodes the same identity.",
            ),
        ),
    ),
    "HiFiPortraitExpressionSheet": (
        "One person in a row of expressions, in one run: for character sheets. *Empty Latent Image* needs a `batch_size` of as many as there are `presets` (nine by default).",
        (
            ("'unknown preset'", "The tooltip of `presets` lists the known ones; separate them by commas."),
            ("too strong", "`strength` 0.7 calms all of them."),
        ),
    ),
    "HiFiPortraitDrawLandmarks": (
        "Draws landmarks as a picture of any size, for example for a ControlNet of your own. `kps5` is what InstantID's IdentityNet was trained to see.",
        (
            (
                "there are empty bands at the sides",
                "The aspect differs from the landmarks' canvas; nothing is stretched or cut off. Give *Generate Landmarks* the final size.",
            ),
        ),
    ),
    "HiFiPortraitLoadHiFiNet": (
        "Loads the network that carries the person and the landmarks into the diffusion model. *tiny (shipped)* is for the tiny portrait model; *InstantID (warm start)* is for SDXL and appears when its two files are there:\n\n"
        "| file | goes into |\n|---|---|\n| `ip-adapter.bin` | `models/instantid` |\n| `diffusion_pytorch_model.safetensors` of IdentityNet | `models/controlnet/instantid` |",
        (
            (
                "'InstantID (warm start)' is not in the list",
                "Check the two files and their folders above, then press **R**.",
            ),
            (
                "a checkpoint is refused",
                "Only `.safetensors` written by this pack are read. Pickles (`.bin`, `.pt`) are never loaded here.",
            ),
            (
                "the graphics card runs out of memory",
                "Set `weight_dtype` to `fp8_e4m3fn`: HiFi-Net then takes half as much as in half precision.",
            ),
        ),
    ),
    "HiFiPortraitApplyHiFiNet": (
        "Gives the person to a MODEL. It works with every sampler, with LoRA, ControlNet and other SDXL checkpoints. For several people, chain one node per person, each with its own landmarks and `mask`.",
        (
            ("burned, too much contrast", "Lower `cfg` to 4 or 5, or `identity_strength` to 0.6."),
            (
                "the prompt is ignored",
                "`identity_strength` 0.6, or `start_percent` 0.1 to leave the composition to the prompt.",
            ),
            (
                "the pose is not followed",
                "`landmark_strength` 1.0; check that width and height are the picture's.",
            ),
            (
                "not alike",
                "Better photos first. Then `identity_strength` 1.0; for SDXL try `unconditional` at `zero identity`.",
            ),
            (
                "two people blend",
                "Give each a `mask`, `mask_feather` 32 to 64, and look at *Preview People*.",
            ),
        ),
    ),
    "HiFiPortraitPreviewPeople": (
        "Shows who is where before you spend time on sampling: each person's mask with its soft edge, the landmarks and the strength.",
        (
            (
                "a face lies outside its mask",
                "Move it with Shift + drag in *Generate Landmarks*, or paint the mask larger.",
            ),
        ),
    ),
    "HiFiPortraitFuseHead": (
        "Makes one textured 3D head of all photos of a person: hair, ears, eyes and skin, moved by the same sliders as the landmarks. "
        "Each place takes its colours from the photos that show it best; what no photo shows is mirrored or filled in, and marked as guessed. No weights are needed.\n\n"
        "The preview shows the UV texture, and beside it how well each place is seen: green well, red guessed. `about` says how much each photo gave.\n\n"
        "Connect `head` to *Generate Landmarks* too: the face above the sliders becomes the person.",
        (
            (
                "one side is smeared or mirrored",
                "All photos show the same side. Add one that shows the other.",
            ),
            (
                "hair or background at the edge of the face",
                "Give that photo a lower weight in *Load Reference Faces*, or leave it out.",
            ),
            (
                "soft skin",
                "The photos are small. One sharp close photo is enough: it counts most where it sees best.",
            ),
        ),
    ),
    "HiFiPortraitRenderHead": (
        "Pictures the head in any pose, expression and light. Use the render as it is, as the start of img2img, for inpainting, with depth and normal ControlNets, "
        "in *Guide with Head*, or for the skin in *Transfer Skin Detail*.\n\n"
        "`light` relights the head: *as the photos* keeps theirs, *flat* takes it away, *from a direction* uses the three sliders, *from a picture* reads the light on another face.",
        (
            (
                "black or smeared places at a profile",
                "No photo showed them. Look at `confidence`, turn less, or add a photo of that side.",
            ),
            (
                "the head has another size than the picture",
                "Set `width` and `height` to the picture's, or make the landmarks on a canvas of that size.",
            ),
            (
                "'connect light_picture, and light_landmarks'",
                "*Landmarks From Photo* gives the landmarks of the same picture.",
            ),
        ),
    ),
    "HiFiPortraitSaveHead": (
        "Keeps a head as a file in `models/hifi_portrait/heads`. **It is a photograph**: it shows the person's face to everybody who opens it. "
        "Only your own account may read the file. Share it only with that person's consent.",
        (
            ("the name is refused", "Use letters, digits, blanks, - _ ( ) and the full stop; no folders."),
            ("Load Head does not list it", "Press **R** in ComfyUI: lists are read again."),
        ),
    ),
    "HiFiPortraitLoadHead": (
        "Brings a head back that *Save Head* kept. Photos and face analyzer are not needed any more.",
        (
            ("the list says 'none saved'", "Run a graph with *Save Head* once, then press **R**."),
            (
                "'damaged' or another number of places",
                "The file is broken or from another version: fuse the photos again.",
            ),
        ),
    ),
    "HiFiPortraitGuideWithHead": (
        "While the picture is sampled, the model's idea of the finished picture is drawn towards a render of the person's head, in every step. "
        "The render comes from real photos: pose, expression, features and colours are the person's. It needs no weights, and works with every model that makes pictures.\n\n"
        "Start with `strength` 0.5 and `end_percent` 0.7. The model needs the last steps for itself, to make one picture of head, hair and background. "
        "For a painted or drawn style choose *shape only* and lower `high_band`.\n\n"
        "Give the render the size of the picture: another size is fitted, and soft. A batch of renders gives each picture its own.",
        (
            (
                "the face looks pasted in",
                "Lower `end_percent` to 0.5, or `strength`. Describe the light of the scene in the prompt, or relight the head in *Render Head*.",
            ),
            (
                "the picture hardly follows",
                "Raise `strength` or `end_percent`. With 4 to 8 steps, `falloff` 0 helps.",
            ),
            (
                "colours of the photos where a style should be",
                "Choose *shape only*.",
            ),
            (
                "ears, neck or hair look wrong",
                "No photo showed them. Connect `confidence`: what is guessed guides little. Or use a photo of that side.",
            ),
            (
                "'the VAE gives 16 latent channels'",
                "Connect the VAE that belongs to the model's checkpoint.",
            ),
        ),
    ),
    "HiFiPortraitCropToFace": (
        "A face that is a tenth of the picture's height has a handful of latent pixels: no model can draw a likeness into them. This node cuts the person's face out with some context and brings it to a size that the checkpoint likes; sample it again with *Apply HiFi-Net* (identity and the `landmarks` from here) at a denoise of .4 to .6, and give the result to *Paste Face Back*.\n\n"
        "Several people: one *Crop to Face* for each, one after the other, each with its own identity. A video: the frames as a batch; place and size of the crop are steadied.",
        (
            (
                "'no face of this person was found'",
                "The face is too small or turned away for the recognizer. Lower `similarity`, or leave `identity` empty to take the largest face.",
            ),
            ("the expression changes", "Lower the sampler's denoise, or raise `landmark_strength`."),
        ),
    ),
    "HiFiPortraitPasteFaceBack": (
        "Puts the faces that *Crop to Face* cut out back where they were, with a soft seam. Colours at the seam are brought to those of the picture, because a VAE and a second sampling shift them. Pixels outside are not touched, bit for bit.",
        (
            ("a square shows", "Raise `feather` or `colour_match`, or give a `mask` of the face."),
            (
                "'faces were cut out of'",
                "Connect the picture that went into *Crop to Face*, not another one, and all the faces that came out.",
            ),
        ),
    ),
    "HiFiPortraitTransferSkinDetail": (
        "Many models paint skin like wax. This takes pores, moles and lines from the photos, through a render of the head in the same pose, into the finished picture. "
        "Colours and light stay as they are, and eyes, lips and hair of the picture are left alone.\n\n"
        "The face must be where the render has it: use the same landmarks for both, as with *Guide with Head*.",
        (
            (
                "the detail is doubled or beside its place",
                "The picture's face is not where the render's is. Guide the picture with the same render, or take the landmarks from the finished picture with *Landmarks from Photo*.",
            ),
            ("grain instead of skin", "The photos are noisy: lower `strength`, or raise `radius` a little."),
            (
                "nothing changes",
                "The photos are soft or small, or `confidence` is low there. Add a sharp close photo.",
            ),
        ),
    ),
    "HiFiPortraitSavePortrait": (
        "Saves pictures with what stands behind them: IPTC's statement that a trained model made them (`trainedAlgorithmicMedia`), as XMP, where search engines, picture agencies and image editors read it; every model file of the graph with its licence, and whether all of them allow commercial use; the prompt and the workflow.\n\n"
        "*Save Image* writes the same statement where a graph has nodes of this pack, but as plain PNG text, because it can write nothing else. "
        "One setting switches both off: *Settings → HiFiPortrait → Mark pictures as generated*.",
        (
            (
                "'commercial use: NOT allowed by …' or 'not known for …'",
                "Look where the file named came from; base models, LoRAs and ControlNets are known where they carry `modelspec.license`. With the open analyzer and the tiny model, all is allowed.",
            ),
            (
                "'licences were not recorded'",
                "An earlier version saved it: refine the photos again and save.",
            ),
        ),
    ),
    "HiFiPortraitLoadTinyPortraitModel": (
        "A small portrait model that comes with the pack: 128 x 128 pictures in a synthetic look, in seconds on any machine. It is for trying graphs and for learning; for real pictures use SDXL with the same nodes.",
        (
            (
                "the prompt seems to be ignored",
                "It knows a few words only: colours of background and clothes, and the light. See the node's description.",
            ),
            (
                "grey or noisy pictures",
                "8 steps, `cfg` 2.5, euler, normal, 128 x 128, both strengths of *Apply HiFi-Net* at 1. The output `about` says whether the file is trained.",
            ),
        ),
    ),
}
