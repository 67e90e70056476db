"""The configuration: found, validated as a whole, explained option by option."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from daemon.config import load_config
from daemon.config_template import render_toml
from daemon.engine.bias import Bias
from medasr.errors import ConfigurationError

ROOT = Path(__file__).parent.parent.parent


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_the_documented_default_is_what_the_models_say() -> None:
    assert (ROOT / "config.toml").read_text() == render_toml()


def test_every_option_of_the_documented_default_stands_below_its_meaning() -> None:
    lines = (ROOT / "config.toml").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if "=" in line and not line.startswith("#"):
            assert above.startswith("# "), line


def test_relative_folders_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[paths]\ninbox = "drop/here"\n'))
    assert config.paths.inbox == tmp_path / "drop/here"
    assert config.paths.outbox == tmp_path / "outbox"
    assert config.paths.models == tmp_path / "state/models"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASRD_MODEL__DEVICE", "cpu")
    monkeypatch.setenv("MEDASRD_PATHS__OUTBOX", "elsewhere")
    config = load_config(write(tmp_path, '[model]\ndevice = "cuda"\nbatch_size = 3\n'))
    assert (config.model.device, config.model.batch_size) == ("cpu", 3)
    assert config.paths.outbox == tmp_path / "elsewhere"


def test_medasrd_config_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASRD_CONFIG", str(write(tmp_path, "[model]\nbatch_size = 5\n")))
    assert load_config().model.batch_size == 5


def test_all_problems_are_reported_at_once_each_by_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, '[model]\nbatch_size = "many"\nbeam = 5\n[intake]\npolling = "maybe"\n[nonsense]\na = 1\n')
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    message = str(caught.value)
    for option in ("model.batch_size", "model.beam", "intake.polling", "nonsense"):
        assert f"  {option}: " in message
    assert "4 problem(s)" in message


@pytest.mark.parametrize(
    "text",
    [
        '[paths]\noutbox = "inbox/out"\n',
        '[paths]\nstate = "inbox"\n',
        '[paths]\nmodels = "inbox/models"\n',
        '[paths]\ninbox = "state/inbox"\n',
    ],
)
def test_folders_inside_one_another_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"lies inside"):
        load_config(write(tmp_path, text))


def test_folders_inside_one_another_by_a_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "inbox").symlink_to("share")
    with pytest.raises(ConfigurationError, match=r"paths\.outbox .* lies inside"):
        load_config(write(tmp_path, '[paths]\noutbox = "share/outbox"\n'))


def test_an_adapter_counts_from_the_folder_of_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, '[model]\nadapter = "adapters/cardiology"\n'))
    assert config.model.adapter == str(tmp_path / "adapters/cardiology")


def test_an_overlap_that_comes_from_the_environment_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDASRD_PATHS__QUARANTINE", "inbox/bad")
    with pytest.raises(ConfigurationError, match=r"paths\.quarantine"):
        load_config(write(tmp_path, ""))


@pytest.mark.parametrize("folder", ["/urgent", "urgent/", "../urgent", "ward//now", ".urgent", " "])
def test_an_urgent_folder_that_is_never_read_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigurationError, match=r"intake\.urgent: .* is no folder in the inbox"):
        load_config(write(tmp_path, f'[intake]\nurgent = "{folder}"\n'))


@pytest.mark.parametrize("folder", ["", "stat", "ward/now", "Notfälle heute"])
def test_the_urgent_folder_may_have_any_name_or_none(tmp_path: Path, folder: str) -> None:
    assert load_config(write(tmp_path, f'[intake]\nurgent = "{folder}"\n')).intake.urgent == folder


def test_lists_of_terms_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, '[bias]\nlists = { cardiology = "heart.txt", "ward/now" = "/etc/ward.txt" }\n')
    )
    assert config.bias.lists == {"cardiology": tmp_path / "heart.txt", "ward/now": Path("/etc/ward.txt")}
    shown = write(tmp_path, render_toml(config.model_dump()))
    assert load_config(shown).bias == config.bias


def test_lists_of_terms_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDASRD_BIAS__LISTS", '{"cardiology": "/etc/heart.txt"}')
    assert load_config(write(tmp_path, "")).bias.lists == {"cardiology": Path("/etc/heart.txt")}


@pytest.mark.parametrize("folder", ["", "../heart", "/heart"])
def test_a_list_of_terms_for_no_folder_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ConfigurationError, match=r"bias\.lists"):
        load_config(write(tmp_path, f'[bias]\nlists = {{ "{folder}" = "heart.txt" }}\n'))


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("cardiology", "cardiology"),
        ("Cardiology/visits", "cardiology"),
        ("cardiology/surgery", "cardiology/surgery"),
        ("cardiology2", ""),
        ("urgent/cardiology", ""),
        ("", ""),
    ],
)
def test_a_recording_has_the_list_of_the_deepest_folder_it_lies_in(label: str, found: str) -> None:
    bias = Bias(lists={"cardiology": Path("heart.txt"), "cardiology/surgery": Path("bypass.txt")})
    assert bias.list_for(label) == found


@pytest.mark.parametrize(("text", "words"), [("[model", "cannot be read as TOML"), (None, "does not exist")])
def test_a_file_that_is_missing_or_no_toml_says_what_to_do(tmp_path: Path, text: str | None, words: str) -> None:
    path = write(tmp_path, text) if text is not None else tmp_path / "none.toml"
    with pytest.raises(ConfigurationError, match=words):
        load_config(path)


def test_a_folder_given_as_configuration_names_the_file_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"config\.toml"):
        load_config(tmp_path)


def test_what_is_rendered_is_read_back_the_same(tmp_path: Path) -> None:
    values = {"model": {"base": 'a "quoted" name\\', "threads": 3}, "lexicon": {"extra": ("ä.csv",)}}
    config = load_config(write(tmp_path, render_toml(values)))
    assert config.model.base == 'a "quoted" name\\'
    assert config.lexicon.extra == (tmp_path / "ä.csv",)


@pytest.mark.parametrize("name", ["MEDASRD_INTAK__SETTLE_SECONDS", "MEDASRD___DEVICE", "MEDASRD_MODEL_DEVICE__X"])
def test_a_variable_for_a_section_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigurationError, match=f"{name} in the environment names no section.* intake, "):
        load_config(write(tmp_path, ""))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[intake]\nextensions = "wav"\n', r'intake.extensions: must be a list, e.g. \["one", "two"\]'),
        ('[model]\nlanguage = "german"\n', 'model.language: "german" is no language code; .* e.g. "en"'),
        ('[model]\nlanguage = "DE"\n', 'model.language: "DE" is no language code'),
    ],
)
def test_a_wrong_value_is_answered_with_an_example(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_config(write(tmp_path, text))
