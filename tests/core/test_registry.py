"""The registry: collecting, looking up, isolating, refusing."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from cnnreg import (
    PluginError,
    UnknownNameError,
    discovery,
    hookimpl,
    plugins,
)
from cnnreg.plugins import blaming
from cnnreg.registry import load_registry
from helpers import cli, contract, spec


class Offering:
    """A plugin object that offers the given specs."""

    def __init__(self, *specs: object) -> None:
        self.specs = specs

    @hookimpl
    def cnnreg_architectures(self) -> tuple[object, ...]:
        return self.specs


class FakeDistribution:
    def __init__(self, name: str) -> None:
        self.name, self.version = name, "1.0"


class FakePoint:
    """An entry point without a package on disk."""

    def __init__(self, name: str, plugin: object, dist: str = "dist") -> None:
        self.name, self._plugin = name, plugin
        self.value = f"{dist.replace('-', '_')}.module"
        self.dist = FakeDistribution(dist)

    def load(self) -> object:
        if isinstance(self._plugin, BaseException):
            raise self._plugin
        return self._plugin


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    def install(*points: FakePoint) -> None:
        monkeypatch.setattr(discovery, "entry_points", lambda group: list(points))

    return install


def test_offers_are_found_by_name(install):
    install(FakePoint("a", Offering(spec("one"), spec("two"))))
    registry = load_registry()
    assert list(registry.architectures) == ["one", "two"]
    assert registry.architectures.entry("two").plugin.package == "dist 1.0"


def test_unknown_name_suggests_the_nearest(install):
    install(FakePoint("a", Offering(spec("resnet18"))))
    few = UnknownNameError("optimizer", "zzz", ["adam", "sgd"])
    assert few.hint == "There are adam, sgd."
    assert "cnnreg list" in UnknownNameError("network", "?", map(str, range(40))).hint
    assert "cnnreg plugins" in UnknownNameError("plugin", "?", map(str, range(40))).hint
    with pytest.raises(UnknownNameError, match="Did you mean resnet18"):
        load_registry().architectures["resnt18"]


def test_name_offered_twice_names_both_plugins_and_answers_to_a_qualified_name(install):
    first, second = spec("same"), spec("same")
    install(FakePoint("a", Offering(first), "pkg-a"), FakePoint("b", Offering(second), "pkg-b"))
    architectures = load_registry().architectures
    assert architectures.conflicts() == {"same"}
    with pytest.raises(PluginError, match=r"'a' \(pkg-a 1.0\) and 'b' \(pkg-b 1.0\)"):
        architectures["same"]
    assert architectures["b:same"] is second


@pytest.mark.parametrize(
    ("packages", "made_by", "found"),
    [
        (("pkg-a", "pkg-b"), "pkg-b 1.0", "b"),
        (("pkg-a", "pkg-b"), "pkg-b 0.9", "b"),  # before an update
        (("pkg-a", "pkg-b"), "pkg-c 1.0", "of the package pkg-c; the one that is here is of 'a'"),
        (("pkg-a", "pkg-b"), "", "both 'a'"),
        (("pkg-a", "pkg-a"), "pkg-a 1.0", "'a' and 'b' of one package"),
    ],
)
def test_of_two_with_one_name_a_model_is_its_packages(install, packages, made_by, found):
    first, second = packages
    install(FakePoint("a", Offering(spec()), first), FakePoint("b", Offering(spec()), second))
    made = contract(architecture="tiny", plugin=made_by)
    if found == "b":
        assert load_registry().entry_of(made).plugin.name == found
        return
    with pytest.raises(PluginError, match=found) as caught:
        load_registry().entry_of(made)
    other = "Install pkg-c, or train the other"
    assert ("cnnreg plugins disable" in caught.value.hint) is (made_by != "pkg-c 1.0")
    assert (other in caught.value.hint) is (made_by == "pkg-c 1.0")


@pytest.mark.parametrize(
    ("package", "made_by", "right"),
    [
        ("pkg-b", "pkg-a 1.0", False),
        ("pkg-a", "pkg-a 1.0", True),
        ("Pkg_A", "pkg-a 1.0", True),
        ("", "pkg-a 1.0", True),
        ("pkg-b", "", True),
    ],
)
def test_another_packages_network_of_a_models_name_is_not_its_network(
    install, package, made_by, right
):
    """Its tensors may fit, and its answers be others."""
    install(FakePoint("nets", Offering(spec()), package))
    made = contract(architecture="tiny", plugin=made_by)
    if right:
        assert load_registry().entry_of(made).spec.name == "tiny"
        return
    with pytest.raises(PluginError, match="is of the package pkg-a; .*'nets' \\(pkg-b 1.0\\)"):
        load_registry().entry_of(made)


def test_two_packages_with_one_entry_point_name_are_both_loaded(install):
    install(
        FakePoint("nets", Offering(spec("x")), "one"), FakePoint("nets", Offering(spec("y")), "two")
    )
    registry = load_registry()
    assert [plugin.name for plugin in registry.plugins] == ["one:nets", "two:nets"]
    assert set(registry.architectures) == {"x", "y"}


@pytest.mark.parametrize(
    "breakage",
    [
        RuntimeError("boom"),
        SystemExit(3),
        ImportError("no module"),
        SyntaxError("bad"),
        GeneratorExit(),
    ],
)
def test_a_plugin_that_breaks_on_import_costs_only_itself(install, breakage):
    install(FakePoint("bad", breakage), FakePoint("good", Offering(spec())))
    registry = load_registry()
    states = {plugin.name: plugin.state for plugin in registry.plugins}
    assert states == {"bad": "failed", "good": "loaded"}
    assert list(registry.architectures) == ["tiny"]


def test_a_plugin_that_is_named_and_not_there_is_told(install, monkeypatch):
    install(FakePoint("good", Offering(spec())))
    monkeypatch.setenv("CNNREG_PLUGINS", "good,typo")
    states = {plugin.name: plugin.state for plugin in load_registry().plugins}
    assert states == {"good": "loaded", "typo": "failed"}
    monkeypatch.setenv("CNNREG_STRICT", "1")
    with pytest.raises(PluginError, match="'typo' is named by CNNREG_PLUGINS, but not installed"):
        load_registry()


def test_strict_mode_raises_instead(install, monkeypatch):
    monkeypatch.setenv("CNNREG_STRICT", "1")
    install(FakePoint("bad", RuntimeError("boom")))
    with pytest.raises(PluginError, match="'bad' is broken: RuntimeError: boom"):
        load_registry()


def test_strict_mode_raises_for_a_hook_too(install, monkeypatch):
    monkeypatch.setenv("CNNREG_STRICT", "1")
    install(FakePoint("bad", RaisingHook()))
    with pytest.raises(PluginError, match="'bad' is broken: .* no table"):
        load_registry()


def test_two_networks_of_one_name_in_one_plugin_are_refused(install):
    install(FakePoint("bad", Offering(spec(), spec())))
    (status,) = load_registry().plugins
    assert (status.state, "two architectures are called 'tiny'" in status.reason) == (
        "failed",
        True,
    )


class Panic(BaseException):
    """As code in Rust raises it: no Exception."""


class SpeechlessError(Exception):
    def __str__(self):
        raise ValueError("no words")


@pytest.mark.parametrize(
    "error", [SystemExit(0), RuntimeError("boom"), Panic("!"), SpeechlessError()]
)
def test_a_builder_that_ends_the_program_is_blamed(error):
    said = f"Building failed: {type(error).__name__}"
    with pytest.raises(PluginError, match=said), blaming("Building"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        GeneratorExit(),
        PluginError("known"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_what_is_no_fault_of_a_plugin_goes_its_way(error):
    with pytest.raises(type(error)) as caught, blaming("Building"):
        raise error
    assert caught.value is error


class RaisingHook:
    @hookimpl
    def cnnreg_architectures(self):
        raise ValueError("no table")


class PanickingHook:
    @hookimpl
    def cnnreg_architectures(self):
        raise Panic("no table")


class WrongType:
    @hookimpl
    def cnnreg_architectures(self):
        return ["resnet18"]


class ReturnsNothing:
    @hookimpl
    def cnnreg_architectures(self):
        return None


class Misspelt:
    @hookimpl
    def cnnreg_architecture(self):
        return []


class Unmarked:
    def cnnreg_architectures(self):
        return []


class WrongArguments:
    @hookimpl
    def cnnreg_architectures(self, surprise):
        return []


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (RaisingHook(), "no table"),
        (PanickingHook(), "Panic: no table"),
        (WrongType(), "must be a ArchitectureSpec"),
        (ReturnsNothing(), "NoneType"),
        (Misspelt(), "cnnreg_architecture"),
        (Unmarked(), "lacks @cnnreg.hookimpl"),
        (WrongArguments(), "surprise"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_a_broken_hook_is_reported_and_the_others_are_still_asked(install, plugin, reason):
    install(FakePoint("bad", plugin), FakePoint("good", Offering(spec())))
    registry = load_registry()
    bad = next(status for status in registry.plugins if status.name == "bad")
    assert bad.state == "failed"
    assert reason in bad.reason
    assert list(registry.architectures) == ["tiny"]


def test_what_a_plugin_prints_stays_off_stdout(install, capfd):
    class Chatty:
        @hookimpl
        def cnnreg_architectures(self):
            print("hello")
            return [spec()]

    install(FakePoint("chatty", Chatty()))
    load_registry()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("value", "loaded"), [("a", {"a"}), ("a, b", {"a", "b"}), ("", set())])
def test_the_environment_limits_what_is_loaded(install, monkeypatch, value, loaded):
    install(FakePoint("a", Offering(spec("x"))), FakePoint("b", Offering(spec("y"))))
    monkeypatch.setenv("CNNREG_PLUGINS", value)
    assert {p.name for p in load_registry().plugins if p.state == "loaded"} == loaded


def test_a_disabled_plugin_stays_out_until_enabled(install):
    install(FakePoint("a", Offering(spec("x"))))
    plugins.set_disabled("a", disabled=True)
    (status,) = load_registry().plugins
    assert (status.state, "enable a" in status.reason) == ("off", True)
    plugins.set_disabled("a", disabled=False)
    assert load_registry().plugins[0].state == "loaded"


def test_a_disabled_plugin_stays_out_where_another_package_uses_its_name(install):
    install(FakePoint("a", Offering(spec("x"))))
    plugins.set_disabled("a", disabled=True)
    install(FakePoint("a", Offering(spec("x"))), FakePoint("a", Offering(spec("y")), "other"))
    assert [(p.name, p.state) for p in load_registry().plugins] == [
        ("dist:a", "off"),
        ("other:a", "off"),
    ]
    code, _, err = cli("plugins", "enable", "a")
    assert code == 0, err
    assert {p.state for p in load_registry().plugins} == {"loaded"}


def test_an_observer_that_fails_is_noted_and_the_next_is_called(capsys):
    import pluggy

    from cnnreg import hookspecs

    seen, notes = [], []

    class Bad:
        @hookimpl
        def cnnreg_epoch_finished(self, record):
            print("an observer's words")
            raise RuntimeError("disk of logger full")

    class Good:
        @hookimpl
        def cnnreg_epoch_finished(self, run, record):
            seen.append((run, record))

    manager = pluggy.PluginManager("cnnreg")
    manager.add_hookspecs(hookspecs)
    manager.register(Good(), "good")
    manager.register(Bad(), "bad")
    hook = manager.hook.cnnreg_epoch_finished
    for implementation in hook.get_hookimpls():
        plugins.notify_one(hook, implementation, notes.append, run=1, record=2)
    assert seen == [(1, 2)]
    assert capsys.readouterr() == ("", "an observer's words\n")
    assert notes == [
        "plugin 'bad' failed in cnnreg_epoch_finished: RuntimeError: disk of logger full"
    ]


def test_one_name_twice_in_one_package_says_what_each_points_to(install):
    first, second = FakePoint("a", Offering(spec("x"))), FakePoint("a", Offering(spec("y")))
    second.value = "dist.other"
    install(first, second)
    registry = load_registry()
    assert [plugin.name for plugin in registry.plugins] == [
        "dist:a=dist.module",
        "dist:a=dist.other",
    ]
    assert set(registry.architectures) == {"x", "y"}


def test_one_module_twice_is_loaded_once(install):
    plugin = Offering(spec())
    install(FakePoint("a", plugin), FakePoint("b", plugin))
    registry = load_registry()
    assert [(one.state, one.reason) for one in registry.plugins] == [
        ("loaded", ""),
        ("failed", "PluginError: 'a' is the same Offering"),
    ]
    assert list(registry.architectures) == ["tiny"]


def test_entry_points_without_a_package_do_not_break_discovery(install):
    point = EntryPoint("loose", "json", "cnnreg")
    install(point)
    assert [status.name for status in load_registry().plugins] == ["loose"]
