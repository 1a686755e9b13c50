"""The playground in headless Chromium, over the service with the nano model, as a person uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlpersona.serving.choices import CHOICES, ChoiceBook

# One process with one engine: the service without a token, and again with one.
SERVER = """
import asyncio, sys
from pathlib import Path
import uvicorn
from rlpersona.config import ModelConfig, ServeConfig
from rlpersona.serving.guard import Guard
from rlpersona.serving.limits import Limits, service_token
from rlpersona.serving.server import build_app, settled

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)

async def main(root, file):
    config, _ = settled(ServeConfig(model=ModelConfig(name="nano", engine="hf")), root)
    token = service_token(ServeConfig(token_file=file), make=True)
    app = build_app(config, root)
    for served in (app, Guard(app.service, Limits(), token)):
        server = Server(uvicorn.Config(served, host="127.0.0.1", port=0, log_level="warning"))
        tasks.append(asyncio.create_task(server.serve()))
        while not server.started:
            await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)

tasks = []
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""
LOT = "lot => { crypto.getRandomValues = (bytes) => { bytes[0] = lot; return bytes; }; }"
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class Served:
    """The service in a process of its own."""

    def __init__(self, root: Path) -> None:
        self.book = ChoiceBook(root / "serving")
        self.token_file = root / "serve.token"
        command = [sys.executable, "-c", SERVER, str(root), str(self.token_file)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ports = [int(self.process.stdout.readline()) for _ in range(2)]
        self.address, self.locked = (f"http://127.0.0.1:{port}/" for port in ports)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    service = Served(tmp_path_factory.mktemp("runs"))
    yield service
    service.kill()


def seeded(route: Any) -> None:
    """Let a request pass with a seed of its own: the same answers whenever the test runs."""
    asked = json.loads(route.request.post_data)
    route.continue_(post_data=json.dumps({**asked, "seed": len(asked["model"])}))


class Tab:
    """A page of its own, whose complaints and foreign requests are kept."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.complaints: list[str] = []
        self.page = browser.new_page(**options)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda r: r.url.startswith(address) or self.foreign(r.url))
        self.page.route("**/v1/chat/completions", seeded)
        self.page.goto(address)
        self.asked = 0

    def foreign(self, url: str) -> None:
        if not url.startswith("data:"):
            self.complaints.append(url)

    def ready(self, first: str, second: str) -> None:
        self.page.wait_for_selector("body[data-ready]")
        self.page.fill("#first", first)
        self.page.fill("#second", second)

    def ask(self, text: str) -> list[str]:
        """Type a question, send it with Enter, and wait for both answers."""
        self.page.fill("#text", text)
        self.page.press("#text", "Enter")
        self.asked += 1
        self.page.wait_for_selector(f"body[data-answered='{self.asked}']")
        return [
            str(card.inner_text()) for card in self.page.query_selector_all(".turn:last-child .text")
        ][1:]

    def press(self, key: str, stored: int) -> None:
        self.page.keyboard.press(key)
        self.page.wait_for_selector(f"body[data-stored='{stored}']")
        self.page.wait_for_selector("#send:enabled")

    def note(self) -> str:
        return str(self.page.inner_text("#note"))


def test_two_personas_are_compared_by_keyboard(served: Served, chromium: Any) -> None:
    tab = Tab(chromium, served.address, viewport={"width": 1100, "height": 800})
    tab.ready("persona:Marie Curie", "persona:Pinocchio")
    options = tab.page.eval_on_selector_all("#names option", "all => all.map(one => one.value)")
    assert options == ["base"]
    before = len(served.book.rows())
    left, right = tab.ask("Tell me a joke about cats.")
    assert left != right
    tab.press("1", before + 1)
    row = served.book.rows()[-1]
    assert (row[row["choice"]], row["prompt"]) == (left, "Tell me a joke about cats.")
    assert row["from_a" if row["choice"] == "a" else "from_b"]["model"] == "persona:Marie Curie"
    origin = row["from_a" if row["choice"] == "a" else "from_b"]
    assert origin["provenance"]["persona"] == "Marie Curie"
    assert origin["response"].startswith("chatcmpl-")
    assert (row["left"], row["blind"]) == (row["choice"], False)

    answers = tab.ask("What can you tell me about it?")
    tab.press("2", before + 2)
    row = served.book.rows()[-1]
    assert row[row["choice"]] == answers[1]
    assert [turn["content"] for turn in row["messages"]] == [
        "Tell me a joke about cats.",
        left,
        "What can you tell me about it?",
    ], "it goes on with the better answer"
    for key, choice in (("t", "tie"), ("s", "skip")):
        tab.ask(f"And then? {key}")
        tab.press(key, before + 3 + (key == "s"))
        assert served.book.rows()[-1]["choice"] == choice
    assert tab.page.title() == "rlpersona playground"
    assert tab.complaints == []
    tab.page.close()


def test_an_answer_streams_and_a_choice_waits_for_both(served: Served, chromium: Any) -> None:
    tab = Tab(chromium, served.address)
    tab.ready("base", "persona:Marie Curie")
    held: list[Any] = []
    tab.page.route("**/v1/chat/completions", lambda route: held.append(route))  # noqa: PLW0108
    tab.page.fill("#text", "Hello?")
    tab.page.press("#text", "Enter")
    tab.page.wait_for_selector(".answer.writing >> nth=1")
    assert tab.page.is_disabled("[data-choice=left]")
    tab.page.keyboard.press("1")
    assert tab.page.is_visible("#stop")
    while len(held) < 2:
        tab.page.wait_for_timeout(20)
    chunk = {"id": "x", "choices": [{"delta": {"content": EVIL}, "finish_reason": "length"}]}
    stream = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    held[0].fulfill(status=200, content_type="text/event-stream", body=stream)
    tab.page.wait_for_selector(".answer:not(.writing)")
    assert tab.page.inner_text(".answer:not(.writing) .text") == EVIL, "text, not markup"
    assert tab.page.inner_text(".answer:not(.writing) .mark") == "cut off"
    assert tab.page.is_disabled("[data-choice=left]"), "one answer is no pair"
    tab.page.keyboard.press("Escape")
    tab.page.wait_for_selector("body[data-answered='1']")
    assert "no two answers to compare" in tab.note()
    assert tab.page.is_disabled("[data-choice=tie]")
    rows = len(served.book.rows())
    tab.page.keyboard.press("1")
    tab.page.keyboard.press("s")
    tab.page.wait_for_selector("#send:enabled")
    assert len(served.book.rows()) == rows, "nothing to store"
    assert tab.page.title() == "rlpersona playground", "no model text ran"
    tab.page.close()


def test_what_cannot_be_asked_or_stored_is_said(served: Served, chromium: Any) -> None:
    tab = Tab(chromium, served.address)
    tab.ready("base", "no-such-run")
    tab.ask("Hello?")
    assert "no-such-run" in tab.page.inner_text(".failed")
    tab.page.keyboard.press("s")
    tab.page.wait_for_selector("#send:enabled")
    tab.page.fill("#second", "base")
    tab.page.fill("#temperature", "0")
    tab.ask("What is 2 + 2?")
    assert "Both answers are the same" in tab.note()
    tab.page.keyboard.press("s")
    tab.page.wait_for_selector("#send:enabled")
    tab.page.fill("#second", "persona:Pinocchio")
    tab.page.fill("#temperature", "1")
    tab.page.fill("#annotator", "../ann")
    tab.ask("Tell me about dogs and cats.")
    rows = len(served.book.rows())
    tab.page.click("[data-choice=tie]")
    tab.page.get_by_text("Not stored: annotator is no name").wait_for()
    assert len(served.book.rows()) == rows
    tab.page.fill("#annotator", "ann")
    tab.page.click("[data-choice=tie]")
    tab.page.wait_for_selector(f"body[data-stored='{rows + 1}']")
    assert served.book.rows()[-1]["annotator"] == "ann"
    tab.page.click("#fresh")
    assert tab.page.query_selector_all(".turn") == []
    tab.page.close()


def test_blind_hides_the_names_and_draws_the_sides(served: Served, chromium: Any) -> None:
    tab = Tab(chromium, served.address)
    tab.ready("base", "persona:Pinocchio")
    tab.page.check("#blind")
    lefts = []
    for number, lot in enumerate((0, 255, 127, 128)):
        tab.page.evaluate(LOT, lot)
        tab.ask(f"Tell me a story about {number} dogs.")
        shown = tab.page.inner_text(".turn:last-child")
        assert "Pinocchio" not in shown
        assert "base" not in shown
        rows = len(served.book.rows())
        tab.press("1", rows + 1)
        row = served.book.rows()[-1]
        assert row["blind"] is True
        lefts.append(row["writer_" + row["left"]])
        assert lefts[-1] in tab.page.inner_text(".turn:last-child .better h2"), "named afterwards"
    assert lefts == ["persona:Pinocchio", "base", "persona:Pinocchio", "base"], "half of the lots each"
    tab.page.close()


def test_it_fits_a_narrow_dark_screen(served: Served, chromium: Any) -> None:
    narrow = {"width": 360, "height": 700}
    tab = Tab(chromium, served.address, viewport=narrow, color_scheme="dark")
    tab.ready("persona:Marie Curie", "persona:Pinocchio")
    tab.ask("Hello " + "x" * 200)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 360
    paper = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(int(part) for part in paper.removeprefix("rgb(").rstrip(")").split(",")) < 150
    tops = [card.bounding_box()["y"] for card in tab.page.query_selector_all(".answer")]
    assert tops[1] > tops[0], "one below the other"
    tab.page.close()


def test_a_service_with_a_token_asks_for_it_and_the_tab_keeps_it(served: Served, chromium: Any) -> None:
    token = served.token_file.read_text().strip()
    tab = Tab(chromium, served.locked)
    tab.page.wait_for_selector("#locked:visible")
    assert tab.page.is_disabled("#send")
    tab.page.fill("#token", "wrong-token-wrong-token")
    tab.page.press("#token", "Enter")
    tab.page.get_by_text("not this service's token").wait_for()
    tab.page.fill("#token", token)
    tab.page.press("#token", "Enter")
    tab.ready("base", "persona:Pinocchio")
    tab.page.reload()
    tab.ready("base", "persona:Pinocchio")
    tab.ask("Tell me about ships.")
    tab.press("2", len(served.book.rows()) + 1)
    assert token not in tab.page.url
    assert token not in tab.page.content()
    assert tab.page.evaluate("localStorage.length") == 0
    assert token not in (served.book.folder / CHOICES).read_text()
    tab.page.route("**/v1/**", lambda route: route.abort())
    tab.ask("Are you there?")
    assert "does not answer. Is it still running?" in tab.page.inner_text(".turn:last-child")
    tab.page.close()
