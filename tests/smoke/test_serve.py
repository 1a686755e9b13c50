"""A service from the command line, asked by the OpenAI SDK and by curl."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import yaml

from rlpersona.config import GRPOConfig, ModelConfig
from rlpersona.models.hf import HFModel
from rlpersona.types import Prompt, Sampling
from tests.services import Service, service
from tests.support import ROOT, rlpersona
from tests.unit.serving.served_runs import adapter, bandit_run, trained_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("served")
    bandit_run(made / "runs", "search", updates=3)
    trained_run(made / "runs", GRPOConfig(name="trained"), ["adapter", "steps/step-000002"])
    return made


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Service]:
    with service(folder, "trained", "search", "model.engine=hf", "model.device=cpu") as made:
        yield made


@pytest.fixture(scope="module")
def client(running: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{running.port}/v1", api_key="none") as made:
        yield made


def test_the_screen_says_where_what_and_how(running: Service) -> None:
    lines = running.printed.splitlines()
    assert len(lines) < 24
    assert f"http://127.0.0.1:{running.port}/v1 (OpenAI API)" in running.printed
    assert {"base", "trained", "trained@2", "search", "bandit:search"} <= {
        one.split()[-1] for one in lines if one
    }


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_line_to_paste_works_as_it_stands(running: Service, folder: Path) -> None:
    (line,) = [one for one in running.printed.splitlines() if one.startswith("curl")]
    done = subprocess.run(
        f"{line} --silent --noproxy '*'",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["choices"][0]["message"]["content"]


def test_the_sdk_gets_the_librarys_answers(client: openai.OpenAI) -> None:
    model = HFModel(ModelConfig(device="cpu"))
    plain = Prompt.ask("What is 3 + 4?")
    curie = Prompt.ask("What is 3 + 4?", "You are Marie Curie.")
    expected = [
        *model.generate([plain, curie], Sampling(24)),
        *model.generate([plain], Sampling(24), str(adapter())),
    ]
    model.close()
    for name, completion in zip(("base", "persona:Marie Curie", "trained"), expected, strict=True):
        made = client.chat.completions.create(
            model=name,
            messages=[{"role": "user", "content": "What is 3 + 4?"}],
            temperature=0,
            max_tokens=24,
        )
        assert made.choices[0].message.content == completion.text
        assert made.choices[0].finish_reason == completion.finish
        assert made.usage is not None
        assert made.usage.completion_tokens == len(completion.token_ids)


def test_the_sdk_reads_streams_lists_and_texts(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "What is 3 + 4?"}],
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith("3 + 4")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 3
    assert "bandit:search" in {model.id for model in client.models.list()}
    made = client.completions.create(model="base", prompt="The capital of France", max_tokens=4)
    assert made.choices[0].text


def test_the_sdk_sees_a_policys_draw_and_rewards_it(client: openai.OpenAI, running: Service) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="bandit:search", messages=[{"role": "user", "content": "What is 3 + 4?"}]
    )
    persona = raw.headers["x-rlpersona-persona"]
    made = raw.parse()
    assert made.model_extra is not None
    assert made.model_extra["rlpersona"]["persona"] == persona
    status, kept = running.post("/v1/feedback", {"response_id": made.id, "reward": 1.0})
    assert (status, kept["persona"], kept["recorded"]) == (200, persona, True)


def test_the_sdk_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="trained"):
        client.chat.completions.create(model="trianed", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.BadRequestError, match="n=3"):
        client.chat.completions.create(model="base", messages=[{"role": "user", "content": "x"}], n=3)


def test_start_up_mistakes_are_one_message_and_a_status(running: Service, folder: Path) -> None:
    wrong = [
        (["trained", "model.engine=hf", f"port={running.port}"], 14, "port=8001"),
        (["trianed"], 5, "Did you mean 'trained'"),
        (["trained", "host=0.0.0.0"], 2, "token_file"),
        (["trained", "prot=1"], 2, "port"),
        ([], 2, "Name runs"),
    ]
    for words, status, fix in wrong:
        done = rlpersona("serve", *words, cwd=folder)
        assert (done.returncode, fix in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr


def test_the_file_for_a_cluster_is_one_that_serve_takes() -> None:
    from ray.serve.schema import ServeDeploySchema

    from rlpersona.config import ServeConfig
    from rlpersona.resolve import validate

    values = yaml.safe_load((ROOT / "serve.yaml").read_text())
    schema = ServeDeploySchema.model_validate(values)
    assert schema.http_options.host == "127.0.0.1"
    (application,) = schema.applications
    args = dict(application.args)
    assert args.pop("root") == "runs"
    assert validate(ServeConfig, args).host == "127.0.0.1"
    module, _, name = str(application.import_path).partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))
