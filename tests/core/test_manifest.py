"""Manifests: every file is accounted for before anything reads it."""

from __future__ import annotations

import json

import pytest

from cnnreg.errors import ModelFileError
from cnnreg.manifest import Manifest, is_export_alone, read_manifest, write_manifest
from helpers import contract


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.xml").write_text("<net/>")
    (tmp_path / "model.bin").write_bytes(b"weights")
    made = Manifest(
        format="openvino",
        precision="fp32",
        model="model.xml",
        contract=contract(classes=("chat", "naïve", "猫")),
        source={"run": "r"},
        parity={"openvino": {"agreement": 1.0}},
        environment={},
        created="2026-01-01",
    )
    write_manifest(tmp_path, made)
    return tmp_path


def test_round_trip(folder):
    read = read_manifest(folder)
    assert read.contract.classes == ("chat", "naïve", "猫")
    assert (read.format, read.model) == ("openvino", "model.xml")


def change(folder, **fields):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **fields}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "model.bin").unlink(), "is missing"),
        (lambda f: (f / "model.bin").write_bytes(b"weight"), "Incomplete: 6 of 7 bytes"),
        (lambda f: (f / "model.bin").write_bytes(b"weights and more"), "Changed: 16 of 7 bytes"),
        (lambda f: (f / "model.bin").write_bytes(b"weightS"), "sha256 differs"),
        (lambda f: (f / "extra.bin").write_bytes(b""), "'extra.bin' is not in the manifest"),
        (lambda f: (f / "manifest.json").write_text("{"), "Damaged manifest"),
        (lambda f: (f / "manifest.json").write_text("[]"), "Damaged manifest"),
        (lambda f: change(f, schema=99), "format 99"),
        (lambda f: change(f, model="../other.xml"), "does not list its model"),
        (lambda f: change(f, contract={}), "Damaged manifest"),
        (lambda f: change(f, precision={"x": "[/y]"}), "precision .* is unknown"),
        (lambda f: change(f, parity={"openvino": "x"}), "no proof for 'openvino'"),
        (lambda f: change(f, parity={"openvino": {"device": None}}), "no proof for 'openvino'"),
        (lambda f: change(f, files=[{"name": "a", "bytes": 1e999, "sha256": ""}]), "Damaged"),
    ],
)
def test_what_does_not_match_is_refused(folder, damage, said):
    damage(folder)
    with pytest.raises(ModelFileError, match=said) as caught:
        read_manifest(folder)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("name", "alone"), [(".DS_Store", True), ("._model", True), (".notes", False), (".git/", False)]
)
def test_what_somebody_put_into_an_exports_folder_is_not_taken_for_clutter(folder, name, alone):
    path = folder / name
    path.mkdir() if name.endswith("/") else path.touch()
    assert is_export_alone(folder) == alone
