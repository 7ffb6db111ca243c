"""Settings of the pipeline and the rows of its tables."""

import numpy as np
import pytest
from hifi_portrait.dataset.config import PipelineConfig
from hifi_portrait.dataset.record import Location, PictureRecord, counted


def test_a_file_states_what_differs(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"filter": {"smallest_face": 96, "largest_yaw": null}}')
    config = PipelineConfig.load(file)
    assert config.filter.smallest_face == 96
    assert config.filter.largest_yaw is None
    assert PipelineConfig.from_dict(config.to_dict()) == config
    assert config.digest() != PipelineConfig().digest()


def test_toml_is_read_too(tmp_path):
    pytest.importorskip("tomllib")
    file = tmp_path / "a.toml"
    file.write_text('[sheet]\nsource = "my own photos"\n')
    assert PipelineConfig.load(file).sheet.source == "my own photos"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"filtre": {}}', "a.json: unknown keys filtre; known are caption, decode"),
        ('{"filter": {"size": 3}}', "a.json: filter: unknown keys size"),
        ('{"filter": 3}', "a.json: filter is a group of settings, not 3"),
        ('{"filter": {"sharpness": "x"}}', "filter: sharpness must be float, not 'x'"),
        ('{"filter": {"sharpness": 7}}', "filter.sharpness must be 0 to 1, not 7"),
        ('{"texture": {"per": "face"}}', "texture.per is one of none, person, picture, both"),
        ('{"caption": {"captioner": "x"}}', "caption.captioner is column, tags or module:function"),
        ("[]", "must hold an object of settings"),
        ("{", "a.json is not JSON"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path, text, said):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"a.json|data set") as error:
        PipelineConfig.load(file)
    assert said in str(error.value)
    assert len(str(error.value)) < 300


def test_records_are_the_same_after_a_table():
    record = PictureRecord(
        "k", "a/b.jpg", Location("x.tar", 512, 7), label="😀/../7", pose=np.array([1, 2, 3], np.float32),
        landmarks=np.ones((468, 3), np.float32), embedding=np.ones(128, np.float32),
        hashes=np.array([2**64 - 1, 3], np.uint64),
        stage="filter", reason="blurred", numbers={"sharpness": 0.1},
    )  # fmt: skip
    again = PictureRecord.from_row(record.to_row())
    assert again.to_row().keys() == record.to_row().keys()
    assert again.numbers == record.numbers
    assert again.location == record.location
    assert np.array_equal(again.hashes, record.hashes)
    assert again.landmarks.shape == (468, 3)
    assert counted([record, again]) == {"filter": {"blurred": 2}}
