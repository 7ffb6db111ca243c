"""Find, rate and weigh the faces of a folder of photos; write the contact sheet."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("photos", type=Path, nargs="+", help="a folder of photos, or photos, of one person")
    parser.add_argument(
        "--out", type=Path, default=Path("contact_sheet.png"), help="the picture to write (contact_sheet.png)"
    )
    parser.add_argument("--models", type=Path, help="folder of the face model files")
    parser.add_argument("--pick", help="which face of a picture with several people (common person)")
    parser.add_argument("--index", type=int, default=0, help="for picking by index: 0 is the leftmost face")
    parser.add_argument("--json", action="store_true", help="print the ratings as JSON instead of lines")


def run(args: argparse.Namespace) -> int:
    """Write the contact sheet and print one line per picture."""
    from ..faces.contact_sheet import contact_sheet
    from ..faces.files import user_folder
    from ..faces.open_analyzer import OpenAnalyzer
    from ..faces.picture_files import PictureFile
    from ..faces.pictures import Picture, UnreadableImage, read_folder, write_image
    from ..faces.references import ReferenceOptions, load_references
    from .packages import default_folder

    images: list[Picture | UnreadableImage] = []
    for path in args.photos:
        if path.is_dir():
            readable, unreadable = read_folder(path)
            images += [*readable, *unreadable]
        else:
            images.append(PictureFile(path))
    analyzer = OpenAnalyzer([args.models] if args.models else [default_folder(), user_folder()])
    options = ReferenceOptions(index=args.index, **({"pick": args.pick} if args.pick else {}))
    references = load_references(images, analyzer, options)

    write_image(args.out, contact_sheet(references))
    if args.json:
        used = [{"source": f.source, "weight": f.weight, **vars(f.quality)} for f in references.faces]
        dropped = [
            {"source": d.source, "reason": d.reason, "similarity": d.similarity} for d in references.dropped
        ]
        result = {"faces": used, "dropped": dropped, "notes": references.notes}
        print(json.dumps(result, indent=2, sort_keys=True))
        return 0
    for face in sorted(references.faces, key=lambda f: f.source_index):
        print(f"  used       {face.source}  quality {face.quality.score:.2f}  weight {face.weight:.2f}")
    for item in references.dropped:
        print(f"  set aside  {item.source}  {item.reason}")
    for note in references.notes:
        print(f"  note       {note}")
    print(args.out)
    return 0
