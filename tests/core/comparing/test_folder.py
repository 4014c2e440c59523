"""Which folders a comparison may be begun in."""

from __future__ import annotations

import pytest

from cnnreg.comparing.folder import study_name
from cnnreg.errors import UsageError


@pytest.mark.parametrize("left", [("study.db.lock",), ("study.db.lock", "study.db-journal")])
def test_a_worker_that_was_killed_as_it_began_leaves_the_folder_to_the_next(left, tmp_path):
    for name in left:
        (tmp_path / name).touch()
    assert study_name(tmp_path) == tmp_path.name
    (tmp_path / "report.md").touch()
    with pytest.raises(UsageError, match="holds no comparison"):
        study_name(tmp_path)
