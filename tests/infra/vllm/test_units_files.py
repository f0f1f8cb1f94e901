"""The files that run a command as a service: each passes its checker, publishes nothing and keeps its keys."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from infra.errors import ConfigurationError
from infra.vllm.compose import Composed, Subject, compose
from infra.vllm.units_files import Keys, Place, compose_files, systemd
from infra.vllm.words import Given
from infra.vllm.writing import write_files
from tests.infra.vllm.serving import QWEN, SMALL, subject

SCHEMA = json.loads((Path(__file__).parents[2] / "data" / "compose-spec.json").read_text(encoding="utf-8"))
NASTY = """a "b" c\\d %h $HOME ${X} ; # é"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    vllm = tmp_path / "bin" / "vllm"
    vllm.parent.mkdir()
    vllm.write_text("#!/bin/sh\n", encoding="utf-8")
    vllm.chmod(0o755)
    keys = Keys("key of vllm", "key-of-qdrant")
    return Place(tmp_path / "out", "daemon", vllm, tmp_path / "hub", tmp_path / "source", "1.20.0", keys)


def made(place: Place, about: Subject | None = None, replicas: int = 1) -> dict[str, Any]:
    """The Compose file, read."""
    about = about or subject()
    files = compose_files(about, compose(about), place, replicas)
    return yaml.safe_load(files["compose.yaml" if replicas == 1 else "compose.replicas.yaml"].text)


def unit(place: Place, about: Subject | None = None) -> str:
    about = about or subject()
    return systemd(about, compose(about), place)["docmind-vllm.service"].text


def lines(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def with_word(composed: Composed, word: str) -> Composed:
    return replace(composed, given=(*composed.given, Given("--chat-template", "--chat-template", (word,))))


# --- systemd


def unquoted(line: str) -> list[str]:
    """What systemd makes of a command line (systemd.service(5)): words, then ``%%`` and ``$$``."""
    words = re.findall(r'"(?:\\.|[^"\\])*"|[^\s"]+', line)
    plain = [re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word for word in words]
    return [word.replace("%%", "%").replace("$$", "$") for word in plain]


def test_a_model_s_folder_is_absolute_and_keeps_the_name_that_it_was_given(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service and a container start in a folder of their own, where a relative one is another, or a volume."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SMALL), encoding="utf-8")
    about = subject(model="mine", kv_cache_dtype="auto")
    words = unquoted(lines(unit(place, about), "ExecStart")[0])
    assert words[2] == str(folder)
    assert words[words.index("--served-model-name") + 1] == "mine"
    assert f"{folder}:/models/mine:ro" in made(place, about)["services"]["vllm"]["volumes"]


def test_a_dollar_in_the_cache_s_path_stays_one(place: Place) -> None:
    """``Environment=`` knows no variables (systemd.exec(5)), so nothing is doubled there."""
    assert 'Environment="HF_HUB_CACHE=/data/a$b"' in unit(replace(place, hub=Path("/data/a$b")))


def test_the_unit_starts_exactly_the_composed_command(place: Place) -> None:
    about = subject()
    composed = with_word(compose(about), NASTY)
    text = systemd(about, composed, place)["docmind-vllm.service"].text
    assert unquoted(lines(text, "ExecStart")[0]) == [str(place.vllm), *composed.words]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_itself_finds_nothing_wrong_with_the_unit(place: Place, tmp_path: Path) -> None:
    about = subject()
    write_files({tmp_path / name: file for name, file in systemd(about, compose(about), place).items()}, force=False)
    for command in (["verify"], ["security", "--offline=true", "--threshold=30"]):
        done = subprocess.run(
            ["systemd-analyze", *command, str(tmp_path / "docmind-vllm.service")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said = [line for line in done.stderr.splitlines() if "docmind" in line]
        assert (done.returncode, said) == (0, [])


def test_the_service_is_restarted_limited_logged_and_shut_in(place: Place) -> None:
    text = unit(place)
    assert lines(text, "Restart") == ["on-failure"]
    assert lines(text, "StartLimitBurst") == ["3"]
    assert lines(text, "MemoryMax") == ["90%"]
    assert lines(text, "StandardError") == ["journal"]
    assert lines(text, "NoNewPrivileges") == lines(text, "PrivateTmp") == ["yes"]
    assert lines(text, "IPAddressDeny") == ["any"]
    assert lines(text, "IPAddressAllow") == ["localhost"]
    assert lines(text, "User") == ["daemon"]


def test_a_server_that_may_reach_out_can(place: Place) -> None:
    text = unit(place, subject(serve={"download": True}))
    assert lines(text, "IPAddressDeny") == []
    assert "Environment=HF_HOME=%S/docmind-vllm/huggingface" in text
    assert lines(unit(place, subject(serve={"host": "192.0.2.1"})), "IPAddressDeny") == []


def test_a_key_is_in_the_file_of_variables_alone(place: Place) -> None:
    about = subject(key="s3cret")
    files = systemd(about, compose(about), place)
    assert "s3cret" not in files["docmind-vllm.service"].text
    assert "VLLM_API_KEY=s3cret\n" in files["docmind-vllm.env"].text
    assert files["docmind-vllm.env"].secret


def test_what_no_unit_can_hold_is_refused(place: Place) -> None:
    about = subject()
    with pytest.raises(ConfigurationError, match="cannot stand in a unit"):
        systemd(about, with_word(compose(about), "a\nExecStartPre=/bin/sh"), place)


# --- Compose


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_compose_file_fits_the_published_schema(place: Place, replicas: int) -> None:
    jsonschema.Draft201909Validator(SCHEMA).validate(made(place, replicas=replicas))


def test_the_schema_would_notice(place: Place) -> None:
    broken = made(place)
    broken["services"]["vllm"]["port"] = "8000"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(SCHEMA).validate(broken)


@pytest.mark.parametrize("replicas", [1, 2])
def test_docker_compose_itself_takes_the_file(place: Place, tmp_path: Path, replicas: int) -> None:
    about = subject()
    composed = with_word(compose(about), NASTY)
    files = compose_files(about, composed, place, replicas)
    write_files({tmp_path / name: file for name, file in files.items()}, force=False)
    name = next(name for name in files if name.endswith(".yaml"))
    done = subprocess.run(
        [*_docker_compose(), "-f", name, "config", "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.replace("$$", "$"))["services"]
    server = told["vllm" if replicas == 1 else "vllm-0"]
    assert server["command"][1] == composed.model
    assert server["command"][-1] == NASTY
    assert server["environment"]["VLLM_API_KEY"] == place.keys.vllm


def _docker_compose() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "version"], capture_output=True, check=False, timeout=60)
            if done.returncode == 0:
                return command
    return pytest.skip("docker compose is not installed; the schema is the check")


def test_the_container_gets_the_same_command_at_its_own_address(place: Place) -> None:
    about = subject()
    composed = compose(about)
    words = made(place, about)["services"]["vllm"]["command"]
    assert words[:6] == ["serve", QWEN, "--host", "0.0.0.0", "--port", "8000"]
    assert words[6:] == list(composed.words[6:])


def test_no_port_is_published_but_docmind_s_on_loopback(place: Place) -> None:
    for replicas in (1, 2):
        services = made(place, replicas=replicas)["services"]
        assert {name: each["ports"] for name, each in services.items() if "ports" in each} == {
            "docmind": ["127.0.0.1:2024:2024"]
        }


def test_model_and_vectors_have_no_way_out(place: Place) -> None:
    file = made(place, replicas=2)
    assert file["networks"]["inside"] == {"internal": True}
    assert {name for name, each in file["services"].items() if "front" in each["networks"]} == {"docmind"}
    assert "front" in made(place, subject(serve={"download": True}))["services"]["vllm"]["networks"]


def test_every_container_is_watched_restarted_bounded_and_without_rights(place: Place) -> None:
    for name, service in made(place, replicas=2)["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped"
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}


def test_each_server_gets_gpus_of_its_own(place: Place) -> None:
    about = subject(on="RTX 4090x4", tensor_parallel=2)
    services = made(place, about, 2)["services"]
    assert [_devices(services[name])["device_ids"] for name in ("vllm-0", "vllm-1")] == [["0", "1"], ["2", "3"]]
    assert _devices(made(place, about)["services"]["vllm"])["count"] == 2
    assert [services[name]["volumes"][0] for name in ("vllm-0", "vllm-1")] == [
        "vllm-0:/root/.cache",
        "vllm-1:/root/.cache",
    ]


def _devices(service: dict[str, Any]) -> dict[str, Any]:
    return service["deploy"]["resources"]["reservations"]["devices"][0]


def test_a_local_model_is_mounted_read_only_under_the_name_docmind_asks_for(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    about = subject()
    assert about.model is not None
    about = replace(about, wanted=replace(about.wanted, model=str(folder)), model=replace(about.model, folder=folder))
    file = made(place, about)
    assert file["services"]["vllm"]["volumes"][1] == f"{folder}:/models/my model:ro"
    words = file["services"]["vllm"]["command"]
    assert words[1] == "/models/my model"
    assert words[words.index("--served-model-name") + 1] == QWEN
    assert file["services"]["docmind"]["environment"]["DOCMIND_VLLM__MODEL"] == QWEN


def test_docmind_finds_the_server_or_the_router(place: Place) -> None:
    for replicas, entrance in ((1, "vllm"), (2, "router")):
        service = made(place, replicas=replicas)["services"]["docmind"]
        assert service["environment"]["DOCMIND_VLLM__BASE_URL"] == f"http://{entrance}:8000/v1"
        assert service["depends_on"][entrance] == {"condition": "service_healthy"}


def test_the_keys_agree_and_are_in_no_compose_file(place: Place) -> None:
    about = subject()
    files = compose_files(about, compose(about), place, 1)
    assert "VLLM_API_KEY='key of vllm'\n" in files["vllm.env"].text
    assert files["docmind.env"].text == ("DOCMIND_VLLM__API_KEY='key of vllm'\nDOCMIND_QDRANT__API_KEY=key-of-qdrant\n")
    assert {name for name, file in files.items() if file.secret} == {"vllm.env", "qdrant.env", "docmind.env"}
    assert "key of vllm" not in files["compose.yaml"].text


def test_a_file_with_a_key_in_its_command_is_its_owner_s_alone(place: Place) -> None:
    about = subject("--api-key hush")
    composed = compose(about)
    assert systemd(about, composed, place)["docmind-vllm.service"].secret
    assert compose_files(about, composed, place, 1)["compose.yaml"].secret


@pytest.mark.parametrize("name", ["m\\", "m\n[Service]"])
def test_a_name_that_would_take_the_next_line_is_refused(place: Place, name: str) -> None:
    about = subject()
    with pytest.raises(ConfigurationError, match="cannot stand in a unit"):
        systemd(about, replace(compose(about), model=name), place)


def test_a_folder_that_compose_would_read_as_two_is_refused(place: Place) -> None:
    with pytest.raises(ConfigurationError, match="cannot mount a folder with : in its path"):
        made(replace(place, hub=Path("/data/a:b")))
