"""What stages do."""

from __future__ import annotations

import json
import time

from safetensors.torch import load_file, save_file

from ...boundary.files import written
from ..checkpoints import CHECKPOINT
from ..config import Recipe
from ..data.batches import PreparedPeople
from ..data.preparation import prepare
from ..data.synthetic.dataset import synthesize
from ..data.synthetic.source import fetch_data
from ..decoder_refinement import refine_run
from ..evaluation.figures import measure
from ..evaluation.recognizers import SFACE
from ..export import export_run
from ..losses import IdentityLoss, LandmarkLoss
from ..networks.landmark_regressor import load_regressor, train_regressor
from ..networks.recognizer import train_recognizer
from ..networks.sface import SFace
from ..runs import RECIPE, read_ema_weights
from ..tiny_task import TinyTask
from ..train import make_accelerator, train
from .work import Kind, Stage, Work

CODEC = "codec.safetensors"


def _people(stage: Stage, work: Work) -> bool:
    """Render and prepare synthetic people; shard by shard, so that it can stop between them."""
    out, end = work.of(stage.name), time.monotonic() + work.seconds
    wanted = stage.settings
    source = fetch_data(work.folder / "mesh")
    rendered = synthesize(out, wanted["people"], wanted["pictures"], seed=wanted["first"], data=source)
    for shards in (rendered, prepare(out, work.face_models / SFACE)):
        for _ in shards:
            if time.monotonic() > end:
                return False
    return True


def _small_network(stage: Stage, work: Work) -> bool:
    """Train a recognizer or a landmark regressor on rendered people."""
    data, file = work.of(stage.needs[0]), work.of(stage.name) / "network.safetensors"
    seconds, seed = float(stage.settings["seconds"]), int(stage.settings.get("seed", 0))
    if stage.settings["network"] == "recognizer":
        found = train_recognizer(data, file, seconds, seed)
    else:
        found = train_regressor(data, file, seconds, seed)
    work.log(f"{stage.name}: {json.dumps(found)}")
    return True


def _tiny(stage: Stage, work: Work) -> bool:
    """Train a stage of the tiny model; ``people``, ``landmarks``, ``start`` name the stages that it needs."""
    wanted, folder = stage.settings, work.of(stage.name)
    recipe = Recipe.load(wanted["recipe"], wanted.get("changes"))
    people = PreparedPeople.load(work.of(wanted["people"]))
    identity, landmarks = None, None
    if recipe.losses.identity:
        identity = IdentityLoss(SFace(work.face_models / SFACE), people.embedding.mean(0))
    if recipe.losses.landmarks:
        landmarks = LandmarkLoss(load_regressor(work.of(wanted["landmarks"]) / "network.safetensors"))
    start = work.of(wanted["start"]) if "start" in wanted else None
    if start is not None and (folder / CHECKPOINT).is_file():
        start = None  # its weights are in the checkpoint
    task = TinyTask(recipe, people, folder, None, identity, landmarks, start)
    accelerator = make_accelerator(recipe, folder, cpu=True)
    state = train(recipe, task, folder, accelerator, seconds=work.seconds, log=work.log)
    return state.step >= recipe.schedule.steps


def _decoder(stage: Stage, work: Work) -> bool:
    """Fit the decoder refinement of the run ``run`` to its own samples."""
    people = PreparedPeople.load(work.of(stage.settings["people"]))
    codec = refine_run(work.of(stage.settings["run"]), people, SFace(work.face_models / SFACE))
    with written(work.of(stage.name) / CODEC) as part:
        save_file({k: v.contiguous() for k, v in codec.state_dict().items()}, part)
    return True


def _export(stage: Stage, work: Work) -> bool:
    """Write the two files that ship, of the run ``run``."""
    run = work.of(stage.settings["run"])
    people = PreparedPeople.load(work.of(stage.settings["people"])).people
    codec = None
    if "decoder" in stage.settings:
        codec = read_ema_weights(run)[1]
        codec.load_state_dict(load_file(work.of(stage.settings["decoder"]) / CODEC))
    export_run(run, work.of(stage.name), people, Recipe.load(run / RECIPE), codec)
    return True


def _evaluate(stage: Stage, work: Work) -> bool:
    """Measure the exported files on people that no stage trained on; ``figures.json``."""
    wanted = stage.settings
    second = work.of(wanted["second"]) / "network.safetensors" if "second" in wanted else None
    figures = measure(
        work.of(wanted["people"]),
        work.of(wanted["train"]),
        work.face_models,
        second,
        work.of(wanted["model"]),
        wanted.get("count"),
    )
    with written(work.of(stage.name) / "figures.json") as part:
        part.write_text(json.dumps(figures, indent=2, sort_keys=True), encoding="utf-8")
    return True


KINDS: dict[str, Kind] = {
    "people": _people,
    "network": _small_network,
    "tiny": _tiny,
    "decoder": _decoder,
    "export": _export,
    "evaluate": _evaluate,
}
"""What a stage can be."""
