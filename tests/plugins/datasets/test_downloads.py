import os
import socket
import urllib.request
from http.client import BadStatusLine, IncompleteRead
from pathlib import Path
from threading import Event
from urllib.error import URLError

import pytest

from cnnreg.errors import MachineError
from cnnreg.specs import DataRequest
from cnnreg_plugins.datasets import downloads
from cnnreg_plugins.datasets.cifar import CIFAR10, open_cifar
from cnnreg_plugins.datasets.downloads import Published, download
from cnnreg_plugins.datasets.mnist import DIGITS, MNIST, open_mnist
from helpers import refuse_once


def published(fetch) -> Published:
    return Published(
        title="Things",
        folder="things/raw",
        urls=("https://first.invalid/a", "https://second.invalid/a"),
        fetch=fetch,
        by_hand=("a.gz", "b.gz"),
        by_hand_folder="things",
        megabytes=7,
    )


def never(root: Path) -> None:
    raise AssertionError("nothing may be fetched")


@pytest.fixture
def offline(monkeypatch):
    def refuse(*args, **options):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(downloads, "_answers", lambda url: "second" in url)


def test_offline_says_which_file_to_put_where(tmp_path, offline):
    with pytest.raises(MachineError, match=r"Things is not here \(7 MB\)") as caught:
        download(published(never), DataRequest(downloads=tmp_path / "data"))
    assert caught.value.where == str(tmp_path / "data/things")
    assert "a.gz, b.gz" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_speaks_no_http_does_not_answer(monkeypatch, capfd):
    def garbled(*args, **options):
        raise BadStatusLine("SSH-2.0")

    monkeypatch.setattr(urllib.request, "urlopen", garbled)
    assert not downloads._any_answers(("https://first.invalid/a",))
    assert capfd.readouterr().err == ""


def test_what_a_kill_left_of_a_download_goes_with_the_next(tmp_path, online):
    def fetch(root: Path) -> None:
        (root / "things/raw").mkdir(parents=True)

    for name in ("killed", "another"):
        (tmp_path / f".cnnreg-tmp-{name}" / "raw").mkdir(parents=True)
    for path in (tmp_path / ".cnnreg-tmp-killed/raw", tmp_path / ".cnnreg-tmp-killed"):
        os.utime(path, (0, 0))
    download(published(fetch), DataRequest(downloads=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cnnreg-tmp-another", "things"]


def test_a_silent_server_does_not_hold_the_program(tmp_path, monkeypatch):
    released = Event()
    monkeypatch.setattr(downloads, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(downloads, "_answers", lambda url: released.wait())
    with pytest.raises(MachineError, match="does not answer"):
        download(published(never), DataRequest(downloads=tmp_path))
    released.set()


def test_files_get_their_names_once_all_are_there(tmp_path, online):
    def fetch(root: Path) -> None:
        assert socket.getdefaulttimeout() == downloads.STALL_SECONDS
        assert not (tmp_path / "things/raw/a").exists()
        (root / "things/raw").mkdir(parents=True)
        (root / "things/raw/a").write_text("new")

    kept = tmp_path / "things/raw/of-the-user"
    kept.parent.mkdir(parents=True)
    kept.write_text("kept")
    folder = download(published(fetch), DataRequest(downloads=tmp_path))
    assert sorted(path.name for path in folder.iterdir()) == ["a", "of-the-user"]
    assert [path.name for path in tmp_path.iterdir()] == ["things"]
    assert socket.getdefaulttimeout() is None


def test_a_scanner_that_looks_at_a_fresh_file_is_waited_for(tmp_path, online, monkeypatch):
    def fetch(root: Path) -> None:
        (root / "things/raw").mkdir(parents=True)
        (root / "things/raw/a").write_text("new")

    refuse_once(monkeypatch, "replace")
    folder = download(published(fetch), DataRequest(downloads=tmp_path))
    assert (folder / "a").read_text() == "new"


@pytest.mark.parametrize(
    "error", [RuntimeError("md5"), URLError("cut"), TimeoutError(), IncompleteRead(b"cut")]
)
def test_a_failed_download_leaves_nothing(tmp_path, online, error):
    def fetch(root: Path) -> None:
        (root / "half").write_text("half")
        raise error

    with pytest.raises(MachineError, match="the download failed"):
        download(published(fetch), DataRequest(downloads=tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("open_it", "file"),
    [
        (lambda request: open_mnist(MNIST, DIGITS, request), "train-images-idx3-ubyte.gz"),
        (lambda request: open_cifar(CIFAR10, request), "cifar-10-python.tar.gz"),
    ],
)
def test_the_data_sets_offline(tmp_path, offline, open_it, file):
    with pytest.raises(MachineError, match="not here") as caught:
        open_it(DataRequest(downloads=tmp_path))
    assert file in caught.value.hint
    assert caught.value.exit_code == 5
