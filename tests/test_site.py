"""The site: it says what the archive says, leads everywhere and nowhere outside, and is the same built at once or bit by bit."""

import json
import os
import re
import shutil
import statistics
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser
import pytest
from many_runs import COLUMNS, make_runs, results_of

from prodnb import site_views as views
from prodnb.archive import load_records, load_run, open_archive, run_ids
from prodnb.errors import InputError
from prodnb.history_plots import Step, chart
from prodnb.index import open_index
from prodnb.log import entry, open_log
from prodnb.record import canonical, sha256
from prodnb.site import build_site

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    list(make_runs(folder, 8, columns=4))
    list(make_runs(folder, 3, columns=4, skip_first=95))  # the middle one dies
    return folder


@pytest.fixture
def archive(made, tmp_path):
    shutil.copytree(made / "archive", tmp_path / "archive")
    return open_archive("archive", tmp_path)


def built(archive, folder, **more):
    return build_site(archive, folder, now=NOW, **more)


def pages(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Links(HTMLParser):
    """Collects what a page leads to or loads, and every tag and attribute that it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.attributes = [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href", "action", "data")]


def leads(folder):
    """Return every (page, link, file that it leads to)."""
    found = []
    for page in folder.rglob("*.html"):
        for link in Links(page.read_text()).links:
            parts = urlsplit(link)
            assert not parts.scheme, f"{page}: {link}"
            assert not parts.netloc, f"{page}: {link}"
            found.append((page, link, Path(os.path.normpath(page.parent / unquote(parts.path)))))
    return found


def changed(archive, run, change, check="drift"):
    """Change a record and its run as a hostile writer would."""
    file, told = Path(archive.path(run, f"records/{check}.json")), Path(archive.path(run, "run.json"))
    record, data = json.loads(file.read_bytes()), json.loads(told.read_bytes())
    change(record, data)
    raw = json.dumps(record).encode()
    for told_of in data["records"]:
        told_of["id"] = sha256(raw) if told_of["check"] == check else told_of["id"]
    file.write_bytes(raw)
    told.write_bytes(canonical(data))


def test_every_run_check_and_month_has_its_page_and_every_link_leads_to_a_file(archive, tmp_path):
    done = built(archive, tmp_path / "site")
    names = set(pages(tmp_path / "site"))
    runs = run_ids(archive)
    assert "entries of prodnb.local/many-00000000, root" in (tmp_path / "site/index.html").read_text()
    assert ", not signed." in (tmp_path / "site/index.html").read_text()
    assert (done.runs, done.index) == (10, tmp_path / "site" / "index.html")
    assert {f"runs/{run}.html" for run in runs} <= names
    assert {"flights/index.html", "delays/check-cost.html", "flights/2023-01.html", "style.css", "index.html"} <= names
    found = leads(tmp_path / "site")
    missing = [(page, link) for page, link, file in found if not file.is_file() and not link.endswith(".ipynb")]
    assert missing == []
    assert {f"{run}/{check}.html" for run in runs for check in ("drift", "cost")} <= {"/".join(f.parts[-2:]) for *_, f in found}


def test_no_page_has_a_script_or_an_address_outside(archive, tmp_path):
    built(archive, tmp_path / "site")
    for name, data in pages(tmp_path / "site").items():
        if name.endswith(".html"):
            seen = Links(data.decode())
            assert not seen.tags & {"script", "iframe", "object", "embed", "img", "form", "base"}
            assert not [a for a in seen.attributes if a.startswith("on")]
            assert "default-src 'none'" in unescape(data.decode())
        assert not re.search(rb"https?:|//\w|url\(|@import|javascript:", data), name


def test_a_page_of_a_run_says_what_its_record_says(archive, tmp_path):
    built(archive, tmp_path / "site")
    for run in run_ids(archive)[:4]:
        text = re.sub(r"<[^>]+>|\s+", " ", (tmp_path / "site" / "runs" / f"{run}.html").read_text())
        text = re.sub(r"\s+", " ", text.replace("&#39;", "'").replace("&gt;", ">"))
        whole = load_run(archive, run)
        assert all(record.message in text for record in load_records(archive, whole))
        assert whole.digest[:12] in text
        assert re.search("In the log entry [0-9,]+, not signed", text)
        assert "not in the log" not in text


def test_what_died_is_shown_and_what_is_not_in_the_log_is_said(archive, tmp_path):
    run = run_ids(archive)[0]
    changed(archive, run, lambda record, data: data.update(owner="somebody else"))
    built(archive, tmp_path / "site")
    lost = [p for p in ("flights", "delays") if "nothing concluded it" in (tmp_path / f"site/{p}/index.html").read_text()]
    assert lost == ["flights"]
    assert "1 run announced and never concluded" in (tmp_path / "site/index.html").read_text()
    assert "not in the log" in (tmp_path / f"site/runs/{run}.html").read_text()


def test_bit_by_bit_gives_the_same_as_at_once(tmp_path):
    archive, folder = open_archive("archive", tmp_path), tmp_path / "site"
    for first, most in ((0, 1), (1, 3), (250, 2)):
        list(make_runs(tmp_path, most, columns=2, skip_first=first))
        built(archive, folder)
    built(archive, tmp_path / "at-once")
    assert pages(folder) == pages(tmp_path / "at-once")
    shutil.rmtree(archive.path(run_ids(archive)[2]))
    (folder / "flights" / "check-cost.html").unlink()
    (folder / "runs" / f"{run_ids(archive)[0]}.html").unlink()
    built(archive, folder)
    shutil.rmtree(tmp_path / "at-once")
    built(archive, tmp_path / "at-once")
    assert pages(folder) == pages(tmp_path / "at-once")


def test_only_what_may_have_changed_is_written(archive, tmp_path):
    folder = tmp_path / "site"
    built(archive, folder)
    assert built(archive, folder).written == 3  # the projects and their overview tell ages
    before = {name: (folder / name).stat().st_mtime_ns for name in pages(folder)}
    (run,) = make_runs(tmp_path, 1, columns=4, skip_first=98)
    assert built(archive, folder).written <= 3 + 2 + 4 + 3
    touched = {name for name, when in before.items() if (folder / name).stat().st_mtime_ns != when}
    assert f"runs/{run.id}.html" not in before
    last = [r for r in run_ids(archive)[:-1] if load_run(archive, r).project == run.project][-1]
    assert {name for name in touched if name.startswith("runs/")} == {f"runs/{last}.html"}  # it names the run after it
    assert not {name for name in touched if name.startswith("delays/check-") or name == "delays/2023-01.html"}


def test_where_places_are_shared_the_smallest_the_largest_and_the_median_are_kept(archive):
    with open_index(archive) as index:
        (name, about), shared = ("effect", COLUMNS[2]), {}
        for flag in (True, False):
            shared[flag] = views.histories(index, "delays", "drift", [(name, about)], shared=flag, steps=3)[name, about]
        rows = index.rows(
            "SELECT value, started FROM statistics JOIN runs USING (run) WHERE project = 'delays' AND name = ? AND about = ? ORDER BY run",
            [name, about],
        )
    assert [s.middle for s in shared[False]] == [r["value"] for r in rows]
    times = [datetime.fromisoformat(r["started"]).timestamp() for r in rows]
    groups = {}
    for time, row in zip(times, rows, strict=True):
        groups.setdefault(int((time - times[0]) / (times[-1] - times[0]) * 3), []).append(row["value"])
    assert [(s.low, s.high, s.middle, s.runs) for s in shared[True]] == [
        (min(v), max(v), statistics.median(v), len(v)) for _, v in sorted(groups.items())
    ]
    assert len(shared[True]) < len(rows)


def test_one_bad_run_among_thousands_is_seen_on_the_drawing():
    """The peak is read back from the path that is drawn."""
    steps = [Step(float(t), 1.0, 1.0, 1.0, 60, limits=(None, 5.0, None, None)) for t in range(160)]
    steps[77] = Step(77.0, 1.0, 9.0, 1.0, 60, "failed", (None, 5.0, None, None))
    html = chart(steps, title="t", first=0, last=159)
    band = re.search(r'class="band" d="M([^"z]+)', html)[1].split("L")
    top = min(band, key=lambda point: float(point.split()[1]))
    assert float(top.split()[0]) == pytest.approx(1000 * 77 / 159, abs=0.1)
    limit = float(re.search(r'class="limit fail" d="M\S+ ([\d.]+)', html)[1])
    assert float(top.split()[1]) < limit < float(band[0].split()[1])
    assert html.count("h0") == 1  # and it is marked


ATTACK = '<script>alert(1)</script>"><img src=x onerror=alert(1)>{{ 7*7 }}javascript:alert(1)'


def test_hostile_texts_are_shown_and_do_nothing(archive, tmp_path):
    def change(record, data):
        verdict = {"name": ATTACK, "about": ATTACK, "value": 3, "n": 1, "unit": ATTACK, "outcome": "failed", "message": ATTACK}
        verdict["limit"] = {"fail": 1, "warn": None, "side": "max", "reason": ATTACK}
        record["results"] = [{"verdicts": [verdict]}]
        record["run_by"] = ATTACK
        record["inputs"][0].update(location=ATTACK, digest=ATTACK)
        data.update(project=f"../../{ATTACK}", question=ATTACK, owner=ATTACK)

    changed(archive, run_ids(archive)[-1], change)
    built(archive, tmp_path / "site")
    assert {p.name for p in tmp_path.iterdir()} == {"archive", "cache", "site"}
    folders = {p.name for p in (tmp_path / "site").iterdir() if p.is_dir()}
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in folders)
    assert len(folders) == 4
    seen = 0
    for name, data in pages(tmp_path / "site").items():
        if name.endswith(".html"):
            assert not Links(data.decode()).tags & {"script", "img"}
            assert not [a for a in Links(data.decode()).attributes if a.startswith("on")]
            seen += data.count(b"&lt;script&gt;alert(1)")
            assert b"49" not in re.findall(rb"alert\(1\)&gt;(.{2,9}?)javascript", data)
    assert seen > 10
    assert [file for _, link, file in leads(tmp_path / "site") if not file.exists() and not link.endswith(".ipynb")] == []


@pytest.mark.parametrize("content", [{"note.txt": ""}, {"site.txt": "{}"}, None])
def test_a_folder_that_holds_something_else_is_not_touched(archive, tmp_path, content):
    place = tmp_path / "site"
    if content is None:
        place.write_text("")
    else:
        place.mkdir()
        for name, text in content.items():
            (place / name).write_text(text)
    with pytest.raises(InputError, match=r"holds no site|is a file"):
        built(archive, place)
    assert place.is_file() or {p.name for p in place.iterdir()} == set(content)


@pytest.mark.parametrize("content", ["{" * 99_999, '{"format": "prodnb.site.v1", "runs": []}'])
def test_a_damaged_list_of_pages_means_all_are_written_again(archive, tmp_path, content):
    built(archive, tmp_path / "site")
    before = pages(tmp_path / "site")
    (tmp_path / "site" / "site.json").write_text(content)
    assert built(archive, tmp_path / "site").written > 10
    assert pages(tmp_path / "site") == before


def test_a_hostile_list_of_pages_removes_nothing(archive, tmp_path):
    built(archive, tmp_path / "site")
    (tmp_path / "kept.html").write_text("kept")
    file = tmp_path / "site" / "site.json"
    told = json.loads(file.read_text())
    told["runs"] |= {"../../kept": ["flights", "", "", "", ""], "../index": ["../..", "", "", "", ""], "x": 3}
    file.write_text(json.dumps(told))
    built(archive, tmp_path / "site")
    assert (tmp_path / "kept.html").read_text() == "kept"
    assert (tmp_path / "site" / "index.html").exists()


def test_reports_that_are_no_longer_kept_are_not_linked(archive, tmp_path):
    run = run_ids(archive)[0]
    open_log(archive).add(entry("pruned", runs=[run], files=[".html", ".ipynb"], older_than="400d"))
    built(archive, tmp_path / "site")
    text = (tmp_path / "site" / "runs" / f"{run}.html").read_text()
    assert "no longer kept" in text
    assert not [link for link in Links(text).links if "archive" in link]


def test_five_thousand_columns_are_all_counted(archive, tmp_path, monkeypatch):
    import random

    result = results_of("drift", 0.3, random.Random(0), 5000)
    changed(archive, run_ids(archive)[-1], lambda record, data: record.update(results=result))
    built(archive, tmp_path / "site")
    name = load_run(archive, run_ids(archive)[-1]).project
    text = (tmp_path / "site" / name / "check-drift.html").read_text()
    assert text.count('<div class="chart">') == 60
    assert "4,940 statistics that are not drawn" in text
    assert "and 4,740 more" in text
    assert len(text) < 600_000


def test_an_archive_without_runs_has_a_site(tmp_path):
    done = built(open_archive("archive", tmp_path), tmp_path / "site")
    assert (done.runs, "No run yet" in done.index.read_text()) == (0, True)


@pytest.mark.slow
def test_in_a_browser_without_scripts_and_network(archive, tmp_path):
    built(archive, tmp_path / "site")
    site = tmp_path / "site"
    with browser.browse() as page:
        page.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        page.call("Emulation.setScriptExecutionDisabled", value=True)
        for name in (
            "index.html",
            "flights/index.html",
            "flights/check-drift.html",
            "flights/2023-01.html",
            f"runs/{run_ids(archive)[3]}.html",
        ):
            for width in (1280, 390):
                page.open((site / name).as_uri(), width)
                assert page.complaints == []
                assert page.requests == [(site / "style.css").as_uri()]
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                colour = page.evaluate("getComputedStyle(document.querySelector('.badge')).backgroundColor")
                assert colour not in ("", "rgba(0, 0, 0, 0)")  # the style sheet is in force
        assert page.evaluate("document.querySelector('a').textContent") == "All projects"
        assert page.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
