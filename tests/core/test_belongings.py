from pathlib import Path

import pytest

from cnnreg.belongings import is_ours


@pytest.mark.parametrize(
    ("name", "files", "ours"),
    [
        ("cat", {"1.png": ""}, False),
        ("mine", {"run.json": ""}, True),
        ("mine", {"comparison.json": ""}, True),
        ("mine", {"labels.json": "", "client.py": ""}, True),
        ("mine", {"manifest.json": '{"source": {"run": "x"}}'}, True),
        ("app", {"manifest.json": '{"name": "a web page"}'}, False),
        ("runs", {"first/run.json": "", "notes/1.txt": ""}, True),
        ("runs", {"home/1.png": ""}, False),
        ("cat", {"first/run.json": ""}, False),
    ],
)
def test_what_a_command_wrote(tmp_path, name, files, ours):
    for file, text in files.items():
        path = tmp_path / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert is_ours(tmp_path / name) is ours


def test_what_cannot_be_looked_into_is_not_ours(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", forbidden)
    assert not is_ours(tmp_path)
