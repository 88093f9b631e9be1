"""A detector's labels that cannot be read are one line that names the file."""

import pytest

from tests.training.test_detector_task import small_recipe
from trustpose.files import InputError
from trustpose.training.detector_task import detector_task


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"images": 3}', '{"images": [{}], "annotations": [], "categories": []}']
)
def test_labels_that_cannot_be_read(tmp_path, content):
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match=r"holds no photos with boxes, expected train_gt\.json with train/"):
        detector_task(small_recipe(), tmp_path, None)
    (tmp_path / "train_gt.json").write_text(content)
    with pytest.raises(InputError, match=r"train_gt\.json: ") as error:
        detector_task(small_recipe(), tmp_path, None)
    assert "\n" not in str(error.value)
