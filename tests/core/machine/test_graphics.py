"""Intel graphics that the system sees and an engine does not."""

from __future__ import annotations

import pytest

from cnnreg.machine.graphics import intel_graphics, mend_for_graphics


@pytest.fixture
def displays(tmp_path):
    def card(name, vendor, device):
        folder = tmp_path / name / "device"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "device").write_text(f"{device}\n")

    card("card0", "0x10de", "0x2204")
    card("card1", "0x8086", "0x9a49")
    (tmp_path / "card1-eDP-1").mkdir()
    (tmp_path / "card2" / "device").mkdir(parents=True)
    (tmp_path / "card2" / "device" / "vendor").write_bytes(b"\xff\xfe")
    return tmp_path


def test_cards_of_intel_are_found_among_others(displays):
    assert intel_graphics(displays) == ["0x9a49"]


def test_a_system_without_displays_has_none(tmp_path):
    assert intel_graphics(tmp_path / "nowhere") == []


def test_the_mend_fits_the_system(tmp_path):
    assert "intel-opencl-icd" in mend_for_graphics("libOpenCL.so.1: no", system="Linux")
    assert "intel-opencl-icd" in mend_for_graphics(system="Linux", renderers=tmp_path)
    assert "Device Manager" in mend_for_graphics(system="Windows")
    assert mend_for_graphics(system="Darwin") == ""


def test_a_renderer_that_may_not_be_used_is_a_matter_of_groups(tmp_path, monkeypatch):
    (tmp_path / "renderD128").touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert "render" in mend_for_graphics(system="Linux", renderers=tmp_path)
    assert "apt" in mend_for_graphics("libOpenCL.so.1: no", system="Linux", renderers=tmp_path)
