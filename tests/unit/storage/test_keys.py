"""How keys are spelled."""

import pytest

from fabric.core.errors import NotFound
from fabric.core.ids import FileId, JobId, ModelVersionId, SubtaskId
from fabric.storage.keys import checked_key, file_key, model_key, output_key


def test_the_keys_we_make_are_keys():
    subtask = SubtaskId.new()
    job = JobId.new()
    keys = [
        file_key(FileId.new()), model_key(bytes(32), ModelVersionId.new()), model_key(bytes(32), ModelVersionId.new()),
        output_key(job, subtask, 1), output_key(job, subtask, 2),
    ]  # fmt: skip
    assert [checked_key(key) for key in keys] == keys
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "key", ["", "/", "a/", "/a", "a//b", "..", "a/../b", ".incoming", "a.b", "A", "ä", "a b", "a\n", "a\0", "a" * 256]
)
def test_what_could_leave_the_folder_or_confuse_a_url_is_no_key(key: str):
    with pytest.raises(NotFound):
        checked_key(key)
