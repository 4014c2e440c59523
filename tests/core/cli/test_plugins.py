"""`cnnreg plugins`: what is refused, and what is printed to be typed."""

from __future__ import annotations

import pytest

from cnnreg import engines
from cnnreg.files import typed
from helpers import cli, refused


def test_a_check_without_torch_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(engines, "missing", lambda modules: next(iter(modules), None))
    code, out, err = cli("plugins", "check", "mlp")
    assert (code, out) == (5, "")
    assert "needs the package 'torch'" in err
    assert 'pip install "cnn-registry[train]"' in err


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("recipes", 6, "it is loaded and offers no network or data set to check"),
        ("digit", 2, "Unknown network or data set 'digit'"),
    ],
)
def test_what_cannot_be_checked_says_why(name, code, said):
    refused(code, said, "plugins", "check", name)


@pytest.mark.parametrize("name", ["pillow", "cnn-registry", "cnn_registry"])
def test_a_new_plugin_is_not_called_like_an_installed_package(name, tmp_path):
    code, _, err = cli("plugins", "new", name, "--output", tmp_path)
    assert (code, "which pip would replace" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_new_plugin_can_be_typed_as_it_is_printed(tmp_path):
    folder = tmp_path / "a [b] c"
    code, out, err = cli("plugins", "new", "my-nets", "--output", folder)
    assert code == 0, err
    made = folder / "my-nets"
    assert made.is_dir()
    assert out.splitlines()[0] == f"✓ {made}"
    assert f"pip install -e {typed(made)}\n" in out
