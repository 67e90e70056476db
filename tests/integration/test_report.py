"""``medasrd report`` over a real store: what a person, a browser, a spreadsheet, a program and a monitor get."""

from __future__ import annotations

import csv
import json
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon import home as homes
from daemon.config import Config
from daemon.status import status_document
from daemon.store import evaluations, slots
from daemon.store.connection import Store
from medasr.evaluation import EvaluationReport
from tests.conftest import write_config
from tests.support.daemon_process import medasrd, medasrd_json
from tests.support.evaluations import RECIPE, TINY, TUNED, make_report
from tests.support.stores import open_store
from tests.support.verdicts import fill_history

BEGAN = datetime(2026, 1, 5, 4, 30, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"

Fill = Callable[..., None]


@pytest.fixture
def fill(config: Config) -> Fill:
    homes.prepare(config)

    def store_all(*reports: EvaluationReport) -> None:
        store = open_store(config.paths.state)
        with store.write() as session:
            for report in reports:
                evaluations.add(session, report)
        store.close()

    return store_all


def weekly(*skills: float, **overrides: Any) -> list[EvaluationReport]:
    """Scheduled evaluations, one a week."""
    return [
        make_report(skill=skill, trigger="scheduled", started_at=BEGAN + timedelta(weeks=week), **overrides)
        for week, skill in enumerate(skills)
    ]


class TestMilestones:
    @pytest.fixture
    def told(self, fill: Fill, config: Config) -> Config:
        fill(*weekly(0.8, 0.9))
        store = Store(config.paths.database, writable=True)
        with store.write() as session:
            fill_history(session, BEGAN + timedelta(days=2))
        store.close()
        return config

    def test_everybody_learns_what_the_gate_said(self, told: Config, tmp_path: Path) -> None:
        text = " ".join(medasrd("report", config=told).stdout.split())
        assert "promoted: whisper-base-aaaaaaaa, against whisper-base (stock) (`medasrd gate show 1`)" in text
        assert "rejected: whisper-base-bbbbbbbb, against whisper-base-aaaaaaaa" in text
        page, picture = tmp_path / "report.html", tmp_path / "report.png"
        medasrd("report", "--html", page, "--png", picture, config=told)
        html = page.read_text()
        assert html.count('class="turn"') == 3 * 6
        assert "<b>the ward</b>" not in html
        assert "&lt;b&gt;the ward&lt;/b&gt; asked" in html
        assert picture.stat().st_size > 10_000
        document = medasrd_json("report", config=told)
        assert [one["kind"] for one in document["milestones"]] == ["promoted", "rejected", "promoted"]
        assert document["milestones"][0]["verdict"] == 1


class TestTable:
    def test_a_person_sees_figures_changes_and_what_they_mean(self, fill: Fill, config: Config) -> None:
        fill(*weekly(0.80, 0.82, 0.85, model=TUNED))
        text = medasrd("report", config=config).stdout
        assert text.count("whisper-base + efefefef, fp32") >= 3
        assert re.search(r"MTA +85\.0 +82\.0 to 88\.0 +\+3\.0", text)
        assert any(bar in text for bar in "▁▂▃▄▅▆▇█")
        assert "It has the best" in text

    def test_a_baseline_has_its_own_line(self, fill: Fill, config: Config) -> None:
        fill(*weekly(0.9, model=TUNED), make_report(skill=0.7, model=TINY, model_label="whisper-tiny.en"))
        series = medasrd_json("report", config=config)["series"]
        assert [[one["line"] for one in each["evaluations"]] for each in series] == [["serving", "whisper-tiny.en"]]

    def test_another_recipe_is_never_connected(self, fill: Fill, config: Config) -> None:
        other = replace(RECIPE, normalizer="whisper-en/1")
        fill(*weekly(0.8), make_report(skill=0.9, recipe=other, started_at=BEGAN + timedelta(weeks=9)))
        text = " ".join(medasrd("report", config=config).stdout.split())
        assert "normalizer clinical-en/1 → whisper-en/1" in text
        assert "must not be compared" in text
        document = medasrd_json("report", config=config)
        assert len(document["series"]) == 2
        assert document["series"][1]["evaluations"][0]["since_last"] == {}

    def test_an_empty_store_says_what_to_do(self, fill: Fill, config: Config) -> None:
        fill()
        assert "medasrd evaluate --dataset DATASET" in medasrd("report", config=config).stdout

    def test_no_name_reaches_a_terminal_as_it_came(self, fill: Fill, config: Config) -> None:
        hostile = "data\x1b[31m\x07"
        fill(make_report(recipe=replace(RECIPE, dataset=hostile), leaks=(hostile,), model_label=hostile))
        for command in (("report",), ("evaluations", "show", "1"), ("evaluations", "list")):
            assert "\x1b" not in medasrd(*command, config=config).stdout

    @pytest.mark.parametrize(
        ("options", "shown"),
        [
            (("--since", "2026-01-10"), [2, 3, 4]),
            (("--model", "whisper-tiny.en"), [4]),
            (("--dataset", "medical-speech"), [1, 2, 3, 4]),
            (("--dataset", "other"), []),
        ],
    )
    def test_choices_leave_the_others_out(
        self, fill: Fill, config: Config, options: tuple[str, ...], shown: list[int]
    ) -> None:
        fill(
            *weekly(0.8, 0.8, 0.8),
            make_report(model=TINY, model_label="whisper-tiny.en", started_at=BEGAN + timedelta(weeks=3)),
        )
        document = medasrd_json("report", *options, config=config)
        assert sorted(one["id"] for series in document["series"] for one in series["evaluations"]) == shown


class TestFiles:
    def test_the_page_needs_nothing_and_escapes_what_it_is_given(
        self, fill: Fill, config: Config, tmp_path: Path
    ) -> None:
        recipe = replace(RECIPE, dataset=HOSTILE)
        fill(*weekly(0.8, 0.7, recipe=recipe, model=replace(TUNED, base_id=HOSTILE), leaks=(HOSTILE,)))
        medasrd("report", "--html", tmp_path / "report.html", config=config)
        page = (tmp_path / "report.html").read_text()
        assert HOSTILE not in page
        assert "&lt;script&gt;alert(1)" in page
        assert not re.search(r"(src|href)\s*=\s*[\"']?(?!#)", page)
        assert "Content-Security-Policy" in page
        assert (tmp_path / "report.html").stat().st_mode & 0o077 == 0

    def test_the_picture_is_one(self, fill: Fill, config: Config, tmp_path: Path) -> None:
        fill(*weekly(0.8, 0.85, 0.6))
        medasrd("report", "--png", tmp_path / "report.png", config=config)
        content = (tmp_path / "report.png").read_bytes()
        assert content.startswith(b"\x89PNG\r\n")
        width, height = struct.unpack(">II", content[16:24])
        assert width > 1000
        assert height > 800

    def test_a_spreadsheet_gets_numbers_and_no_formula(self, fill: Fill, config: Config, tmp_path: Path) -> None:
        fill(*weekly(0.8, 0.85, recipe=replace(RECIPE, dataset='=cmd|" /C calc"!A0')))
        medasrd("report", "--csv", tmp_path / "report.csv", config=config)
        with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["mta"]) for row in rows] == pytest.approx([80.0, 85.0])
        assert float(rows[1]["mta_since_last"]) == pytest.approx(5.0)
        assert rows[0]["dataset"].startswith("'=")


class TestAlarms:
    def test_a_drop_beyond_the_margin_is_seen_everywhere(self, fill: Fill, config: Config) -> None:
        fill(*weekly(0.9, 0.8))
        checked = medasrd("report", "--check", config=config, check=False)
        assert checked.returncode == 4
        assert "ALARM: MTA of no. 2 is 80.0, 10.0 points worse than the 90.0 of no. 1" in checked.stdout
        status = medasrd_json("status", config=config)
        assert {alarm["metric"] for alarm in status["alarms"]} >= {"mta", "normalized_wer"}
        assert any("See `medasrd report`" in line for line in status["attention"])

    def test_within_the_margin_none_stands(self, fill: Fill, config: Config) -> None:
        fill(*weekly(0.900, 0.895))
        checked = medasrd("report", "--check", config=config)
        assert "no alarm stands" in checked.stdout
        assert medasrd_json("status", config=config)["alarms"] == []

    def test_a_worse_baseline_is_no_alarm(self, fill: Fill, config: Config) -> None:
        fill(*weekly(0.9), make_report(skill=0.5, model=TINY, model_label="base", started_at=BEGAN + timedelta(days=1)))
        assert medasrd("report", "--check", config=config).returncode == 0

    def test_a_scheduled_evaluation_that_failed_is_told(self, fill: Fill, home: Path) -> None:
        fill()
        config = write_config(home, evaluation={"dataset": "/datasets/speech"})
        store = open_store(config.paths.state)
        with store.write() as session:
            slots.begin(session, "evaluate", BEGAN, now=BEGAN)
        with store.write() as session:
            slots.end(session, "evaluate", BEGAN, outcome="DatasetError", now=BEGAN)
        store.close()
        assert any("failed (DatasetError)" in line for line in status_document(config)["attention"])


def test_every_key_of_the_json_is_documented(fill: Fill, config: Config) -> None:
    fill(*weekly(0.9, 0.8))
    document = medasrd_json("report", config=config)
    pages = [Path(__file__).parents[2] / "docs" / name for name in ("report.md", "evaluation.md")]
    documented = set(re.findall(r"`(\w+)`", " ".join(page.read_text() for page in pages)))
    (series,) = document["series"]
    evaluation = series["evaluations"][1]
    keys = {*document, *document["alarms"][0], *series, *evaluation, *evaluation["since_last"]["mta"]}
    assert keys - documented == set()
    json.dumps(document)
