"""Sample sheets of a run, to see how it goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .data.batches import PreparedPeople, prepared_faces, to_bytes
from .data.sheets import resized, table, write_sheet
from .system import TinySystem

TARGET, REFERENCES = 2, (3, 4, 5, 6)
"""Pictures of each person, by number."""


def sample_sheet(path: Path, system: TinySystem, people: PreparedPeople, count: int = 8) -> None:
    """Write rows of held-out people: references, landmarks, base alone, one and four references, truth.

    Parameters
    ----------
    path : Path
        PNG to write.
    system : TinySystem
        What samples.
    people : PreparedPeople
        Held-out people with seven pictures or more.
    count : int
        How many of them.
    """
    first = np.arange(count) * people.pictures
    target, references = first + TARGET, first[:, None] + np.array(REFERENCES)
    side = people.image.shape[1]
    shape = (count, system.codec.channels, *(n // system.codec.PATCH for n in people.image.shape[1:3]))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    concepts = torch.from_numpy(people.concepts[target])
    made = [system.sample(noise, concepts)]
    made += [
        system.sample(noise, concepts, people.maps(target), prepared_faces(people, references[:, :n]))
        for n in (1, 4)
    ]
    columns = [resized(people.crop[references[:, i]], side) for i in range(len(REFERENCES))]
    columns += [people.hint[target], *(to_bytes(m) for m in made), people.image[target]]
    write_sheet(path, table(columns))
