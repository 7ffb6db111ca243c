"""Pages of the front end."""

import shutil

import pytest

PERSON = ("obama", "obama2", "obama3", "obama_partial_face")


@pytest.fixture(scope="session")
def person_host(host, photos):
    """Return the shared ComfyUI, with photos where the templates look for them."""
    folder = host.base / "input" / "person"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PERSON:
        shutil.copyfile(photos[name], folder / f"{name}.jpg")
    return host
