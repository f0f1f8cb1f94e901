"""The router, the image, and the door that writes the files, once and for their owner."""

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graph.cli import main as docmind
from graph.dev import QUIET as DEV
from infra.errors import ConfigurationError
from infra.vllm import command as commands
from infra.vllm.compose import env_lines
from infra.vllm.units_files import QUIET, docker, router
from infra.vllm.writing import Written, write_files

ROOT = Path(__file__).parents[3]


def lines(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def test_nginx_itself_takes_the_router_s_file(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    text = router(["127.0.0.1", "127.0.0.2"], "127.0.0.1:18000").replace("/run/", f"{tmp_path}/")
    (tmp_path / "router.conf").write_text(text.replace("/tmp/nginx", f"{tmp_path}/nginx"), encoding="utf-8")
    done = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", str(tmp_path / "router.conf")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_the_router_names_every_server_and_prefers_the_idle_one() -> None:
    text = router(["vllm-0", "vllm-1"])
    assert re.findall(r"server (vllm-\d):8000 max_fails", text) == ["vllm-0", "vllm-1"]
    assert "least_conn;" in text
    assert "hash $remote_addr consistent;" in text
    assert text.count("{") == text.count("}")


def test_the_image_copies_what_is_there_and_starts_as_docmind_dev_does() -> None:
    text = docker()["Dockerfile"].text
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert dict(QUIET) == DEV
    assert all(f"{name}={value}" in text for name, value in QUIET.items())
    command = json.loads(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[0])
    assert command[:2] == ["langgraph", "dev"]
    assert "USER docmind" in text
    assert "--require-hashes" in text


@pytest.mark.parametrize("value", ["plain", "", "with blank", 'quote " and $ and # and %'])
def test_systemd_compose_and_a_shell_read_the_same_variable(value: str) -> None:
    text = env_lines({"A": value})
    read = subprocess.run(
        ["sh", "-c", f'{text}printf "%s" "$A"'], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    assert read == value


@pytest.mark.parametrize("value", ["it's", "a\\b", "a\nb"])
def test_a_value_that_they_would_read_differently_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^A: a value with"):
        env_lines({"A": value})


@pytest.fixture
def _nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "find_vllm", lambda serve: None)


def called(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(docmind, ["units", "--context", "8K", *words])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.usefixtures("_nothing_installed")
def test_the_door_writes_the_files_once_and_the_secret_ones_for_their_owner_alone(tmp_path: Path) -> None:
    code, out, _ = called("--gpu", "RTX 4090", "--out", "here")
    files = {path.name: path for path in (tmp_path / "here").iterdir()}
    assert code == 0
    assert {Path(line).name for line in out.splitlines()} == set(files)
    assert {name for name, path in files.items() if stat.S_IMODE(path.stat().st_mode) == 0o600} == {
        name for name in files if name.endswith(".env")
    }
    assert shlex.split(lines(files["docmind-vllm.service"].read_text(encoding="utf-8"), "ExecStart")[0])[1] == "serve"
    keys = files["docmind.env"].read_text(encoding="utf-8")
    assert len(set(re.findall(r"=([\w-]{43})$", keys, re.MULTILINE))) == 2
    files["compose.yaml"].write_text("mine", encoding="utf-8")
    code, out, err = called("--gpu", "RTX 4090", "--out", "here")
    assert (code, out) == (2, "")
    assert "is there already; --force overwrites it" in err
    assert files["compose.yaml"].read_text(encoding="utf-8") == "mine"
    assert files["docmind.env"].read_text(encoding="utf-8") == keys
    assert called("--gpu", "RTX 4090", "--out", "here", "--force")[0] == 0
    assert files["compose.yaml"].read_text(encoding="utf-8") != "mine"


@pytest.mark.usefixtures("_nothing_installed")
def test_replicas_follow_the_settings_and_need_gpus_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCMIND_SERVE__REPLICAS", "3")
    code, _, err = called("--gpu", "RTX 4090x2", "--tensor-parallel", "1", "--out", "here")
    assert code == 2
    assert "3 servers need 3 GPUs, and there is 2 x RTX 4090" in err
    assert called("--gpu", "RTX 4090x3", "--tensor-parallel", "1", "--out", "here")[0] == 0
    assert (tmp_path / "here" / "router.conf").exists()
    assert not (tmp_path / "here" / "compose.yaml").exists()


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "kubernetes"], "there are systemd, compose, replicas, docker"),
        (["--", "--swap-space", "4"], "is no option of vLLM"),
        (["--out", "file/below"], "Not a directory"),
    ],
)
def test_the_door_refuses_with_code_2(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, out, err = called("--gpu", "RTX 4090", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is there already"):
        write_files({link: Written("new")}, force=False)
    write_files({link: Written("new", secret=True)}, force=True)
    assert not link.is_symlink()
    assert not (tmp_path / "elsewhere").exists()
    assert os.listdir(tmp_path) == ["link"]  # noqa: PTH208 - names, a part left behind among them
