"""The desk as a page: in headless Chromium as a person uses it, and against requests from elsewhere."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlpersona.preferences.labels import read_labels

SERVER = """
import json, sys
from pathlib import Path
from rlpersona.preferences.desk import Desk
from rlpersona.preferences.labels import LabelBook
from rlpersona.preferences.page import serve_desk
from rlpersona.preferences.pairs import Pair
from rlpersona.report.words import clean_block
pairs = [Pair(**row) for row in json.loads(Path(sys.argv[1]).read_text())]
with LabelBook(Path(sys.argv[2])) as book:
    desk = Desk(pairs, book, 0, clean_block)
    serve_desk(desk, "test, ann", "Be fair.", 0, lambda address: print(address, flush=True))
"""
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class Page:
    """The server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.labels = folder / "ann.jsonl"
        rows = [
            {"id": f"p{k}", "prompt": f"Q{k}? {EVIL}", "a": f"alpha {k}", "b": f"beta {k}\n{EVIL}"}
            for k in range(4)
        ]
        (folder / "pairs.json").write_text(json.dumps(rows))
        self.command = [sys.executable, "-c", SERVER, str(folder / "pairs.json"), str(self.labels)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def choices(self) -> list[str | None]:
        return [label.choice for label in read_labels(self.labels).values()]

    def call(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """(status, JSON or text)."""
        data = None if body is None else json.dumps(body).encode()
        words = {
            "Content-Type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        request = urllib.request.Request(self.address + path, data=data, headers=words)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    opened = Page(tmp_path)
    yield opened
    opened.kill()


def test_labelling_by_keyboard_in_a_browser(page: Page, chromium: Any) -> None:
    tab = chromium.new_page(viewport={"width": 1100, "height": 800})
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda r: r.url.startswith((page.address, "data:")) or complaints.append(r.url))
    tab.goto(page.address)
    tab.wait_for_selector("body[data-done='0']")
    assert tab.inner_text("#guidelines") == "Be fair."
    assert "<script>" in tab.inner_text("#prompt"), "text, not markup"
    left = tab.inner_text("#left")
    tab.keyboard.press("1")
    tab.wait_for_selector("body[data-done='1']")
    assert page.choices() == ["a" if left.startswith("alpha") else "b"], "on the disk when it is shown"
    for keys, done, choices in [("t", 2, 2), ("u", 1, 1), ("s", 2, 2), ("2", 3, 3), ("2", 4, 4)]:
        tab.keyboard.press(keys)
        tab.wait_for_selector(f"body[data-done='{done}']")
        assert len(page.choices()) == choices
    assert tab.inner_text("#prompt").startswith("All pairs are labelled")
    assert tab.is_disabled("button[data-key=left]")
    tab.keyboard.press("1")
    tab.keyboard.press("u")
    tab.wait_for_selector("body[data-done='3']")
    tab.click("button[data-key=tie]")
    tab.wait_for_selector("body[data-done='4']")
    assert page.choices()[1] == "skip"
    assert page.choices()[3] == "tie"
    tab.keyboard.press("q")
    tab.get_by_text("Everything is saved").wait_for()
    assert page.process.wait(10) == 0
    assert tab.title() == "Which answer is better?", "no model text ran"
    assert complaints == []
    tab.close()


def test_a_killed_server_is_said_and_loses_nothing(page: Page, chromium: Any) -> None:
    tab = chromium.new_page(viewport={"width": 390, "height": 700})
    for done in range(1, 4):
        tab.goto(page.address)
        tab.wait_for_selector(f"body[data-done='{done - 1}']")
        tab.keyboard.press("1")
        tab.wait_for_selector(f"body[data-done='{done}']")
        page.kill()
        assert len(page.choices()) == done
        tab.keyboard.press("1")
        tab.get_by_text("this key was not counted").wait_for()
        assert len(page.choices()) == done
        page.start()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390, "fits a narrow window"
    tab.close()


def test_a_second_window_cannot_label_what_is_labelled(page: Page) -> None:
    _, state = page.call("state")
    assert page.call("press", {"key": "left", "pair": state["pair"]})[0] == 200
    assert page.call("press", {"key": "left", "pair": state["pair"]})[0] == 409
    assert page.call("press", {"key": "left", "pair": ""})[0] == 409
    assert len(page.choices()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"key": "left"}, 400),
        ({"key": "both", "pair": "p0"}, 400),
        ({"key": ["left"], "pair": "p0"}, 400),
        ({"key": "left", "pair": 3}, 400),
        ([], 400),
        ({"key": "left", "pair": "x" * 9999}, 413),
    ],
)
def test_what_is_no_key_is_refused(page: Page, body: object, status: int) -> None:
    assert page.call("press", body)[0] == status
    assert page.choices() == []


def test_foreign_pages_and_names_are_refused(page: Page) -> None:
    state = page.call("state")[1]
    press = {"key": "left", "pair": state["pair"]}
    host = page.address.split("/")[2]
    port = host.partition(":")[2]
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{host}"},
        {"Origin": f"http://{host}.evil.example"},
    ):
        assert page.call("press", press, **headers)[0] == 403, headers
        assert page.call("state", **headers)[0] == 403, headers
    assert page.call("press", press, Content_Type="text/plain")[0] == 415
    assert page.call("press", press, Content_Type="application/x-www-form-urlencoded")[0] == 415
    assert page.call("../state")[0] == 404, "not without the token"
    assert page.call("../guess/state")[0] == 404
    assert page.choices() == []
    assert page.call("state", Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] == 200


def test_it_listens_on_this_machine_alone_and_says_what_pages_may_do(page: Page) -> None:
    port = int(page.address.split(":")[2].partition("/")[0])
    with urllib.request.urlopen(page.address, timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
        text = answer.read().decode()
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert text.count(f'nonce="{nonce}"') == 2
    assert "NONCE" not in text
    outer = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in outer - {"127.0.0.1", "127.0.1.1"}:
        with socket.socket() as probe:
            assert probe.connect_ex((str(address), port)) != 0


def test_ctrl_c_ends_the_server_in_good_order(page: Page) -> None:
    _, state = page.call("state")
    assert page.call("press", {"key": "skip", "pair": state["pair"]})[0] == 200
    page.process.send_signal(signal.SIGINT)
    assert page.process.wait(10) == 0
    assert page.choices() == ["skip"]


def test_a_full_disk_is_said_in_the_page_and_ends_the_server(page: Page, chromium: Any) -> None:
    tab = chromium.new_page()
    tab.goto(page.address)
    tab.wait_for_selector("body[data-done='0']")
    tab.keyboard.press("t")
    tab.wait_for_selector("body[data-done='1']")
    size = page.labels.stat().st_size
    # The limit on the size of that process's files stands in for the disk's.
    resource.prlimit(page.process.pid, resource.RLIMIT_FSIZE, (size + 5, size + 5))
    tab.keyboard.press("t")
    tab.get_by_text("Not saved, labelling has stopped").wait_for()
    assert page.process.wait(10) != 0
    assert page.labels.stat().st_size == size
    assert page.choices() == ["tie"]
    tab.close()
