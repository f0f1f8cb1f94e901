"""The files that run a composed command as a service: systemd, Compose, a router before several servers, a Dockerfile.

Pure: from a command, a place and keys to texts; `infra.vllm.units` writes them. The texts are templates of this folder
(``templates/``) whose ``@{...}`` are filled in; each value is quoted for the format it stands in. Containers get the
command as it is, except for what differs inside one: the address, and where the model's files are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Literal

from infra.errors import ConfigurationError
from infra.vllm.compose import Composed, Subject, env_lines
from infra.vllm.conflicts import loopback
from infra.vllm.words import Given, size
from infra.vllm.writing import Written

TEMPLATES = Path(__file__).parent / "templates"
NAME = "docmind-vllm"
NGINX = "1.28-alpine"
PORT = 8000
Kind = Literal["systemd", "compose", "replicas", "docker"]
_CONTAINER_CACHE = "/root/.cache/huggingface/hub"


class _Filled(Template):
    delimiter = "@"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files go and what they name.

    Attributes:
        out: folder of the files, absolute.
        user: who vLLM runs as under systemd.
        vllm: the ``vllm`` program.
        hub: the Hugging Face cache.
        source: DocMind's checkout, for its image.
        qdrant: version of the Qdrant server that fits our client.
        keys: for the containers; each made new where the settings have none.
    """

    out: Path
    user: str
    vllm: Path
    hub: Path
    source: Path
    qdrant: str
    keys: "Keys"


@dataclass(frozen=True, slots=True)
class Keys:
    """What the containers prove to each other that they may."""

    vllm: str
    qdrant: str


def systemd(subject: Subject, composed: Composed, place: Place) -> dict[str, Written]:
    """Return the unit and its file of variables.

    Raises:
        ConfigurationError: a value that no unit can hold.
    """
    composed, variables = _placed(composed), f"{NAME}.env"
    closed = not subject.serve.download and loopback(composed.value("--host"))
    hub = f"Environment={_unit(f'HF_HUB_CACHE={place.hub}').replace('$$', '$')}"  # no variables are put in there
    text = _fill(
        "docmind-vllm.service",
        name=NAME,
        version=composed.version,
        described=_line(composed.model),
        user=_line(place.user),
        env_file=_line(str(place.out / variables)),
        hub=f"Environment=HF_HOME=%S/{NAME}/huggingface" if subject.serve.download else hub,
        command=" ".join(map(_unit, (str(place.vllm), *composed.words))),
        memory="90%",
        network="IPAddressDeny=any\nIPAddressAllow=localhost" if closed else "# it may reach the network, as was set",
    )
    return {
        f"{NAME}.service": Written(text, secret=bool(composed.value("--api-key"))),
        variables: Written(composed.env_file(), secret=True),
    }


def compose_files(subject: Subject, composed: Composed, place: Place, replicas: int) -> dict[str, Written]:
    """Return the Compose file for so many servers, its variables, the Dockerfile, and the router's file if needed.

    Raises:
        ConfigurationError: a value that no file can hold.
    """
    names = [f"vllm-{number}" for number in range(replicas)] if replicas > 1 else ["vllm"]
    inside, gpus = _inside(subject, composed), _gpus(composed)
    blocks = [_server(subject, inside, place, "vllm", f"count: {gpus}")]
    if replicas > 1:
        ids = [json.dumps([str(gpu) for gpu in range(at * gpus, (at + 1) * gpus)]) for at in range(replicas)]
        blocks = [
            _server(subject, inside, place, name, f"device_ids: {own}") for name, own in zip(names, ids, strict=True)
        ]
        healthy = json.dumps({name: {"condition": "service_healthy"} for name in names})
        blocks.append(_fill("router.yaml", nginx=NGINX, depends=healthy))
    context = size(composed.value("--max-model-len")) or subject.vllm.context_window
    text = (
        (TEMPLATES / "common.yaml").read_text(encoding="utf-8")
        + "\n"
        + _fill(
            "compose.yaml",
            version=composed.version,
            servers="\n".join(blocks),
            volumes="\n".join(f"  {name}: {{}}" for name in names),
            entrance="router" if replicas > 1 else "vllm",
            qdrant=place.qdrant,
            source=_yaml(str(place.source)),
            dockerfile=_yaml(str(place.out / "Dockerfile")),
            served=_yaml(inside.value("--served-model-name") or inside.model),
            context=str(context),
            kv_cache_dtype=_yaml(composed.value("--kv-cache-dtype") or "auto"),
        )
    )
    name = "compose.replicas.yaml" if replicas > 1 else "compose.yaml"
    files = {name: Written(text, secret=bool(composed.value("--api-key"))), **_secrets(composed, place), **docker()}
    return files | ({"router.conf": Written(router(names))} if replicas > 1 else {})


def router(names: Sequence[str], listen: str = str(PORT)) -> str:
    """Return nginx's configuration before the servers of these names."""
    upstreams = "\n".join(f"        server {name}:{PORT} max_fails=2 fail_timeout=15s;" for name in names)
    return _fill("router.conf", replicas=str(len(names)), names=", ".join(names), upstreams=upstreams, listen=listen)


def docker() -> dict[str, Written]:
    """Return the Dockerfile of DocMind."""
    quiet = " ".join(f"{name}={value}" for name, value in QUIET.items())
    return {"Dockerfile": Written(_fill("Dockerfile", quiet=quiet))}


QUIET: Mapping[str, str] = {
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_NO_VERSION_CHECK": "1",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "ORT_DISABLE_TELEMETRY": "1",
    "LANGGRAPH_STRICT_MSGPACK": "true",
}
"""The variables under which ``docmind dev`` starts the LangGraph server; a test compares."""


def _server(subject: Subject, inside: Composed, place: Place, name: str, devices: str) -> str:
    folder = subject.model.folder if subject.model else None
    local = folder is not None and inside.model.startswith("/models/")
    outside, within = (folder.absolute(), inside.model) if folder and local else (place.hub, _CONTAINER_CACHE)
    if ":" in f"{outside}{within}":
        raise ConfigurationError(f"{outside}: Compose cannot mount a folder with : in its path; rename it")
    models = f"{outside}:{within}:ro"
    return _fill(
        "server.yaml",
        name=name,
        version=inside.version,
        words=_yaml(list(inside.words)),
        models=_yaml(models.removesuffix(":ro") if subject.serve.download and not local else models),
        networks="[inside, front]" if subject.serve.download else "[inside]",
        devices=devices,
    )


def _placed(composed: Composed) -> Composed:
    """Return the command for whatever folder it is started in: a model's folder is absolute, its served name stays."""
    folder = Path(composed.model)
    if str(folder.absolute()) == composed.model or not folder.is_dir():
        return composed
    name = Given("--served-model-name", "--served-model-name", (composed.model,))
    given = composed.given if composed.value(name.key) else (*composed.given, name)
    return replace(composed, model=str(folder.absolute()), given=given)


def _inside(subject: Subject, composed: Composed) -> Composed:
    """Return the command as it is inside a container: every address of its own, and a folder where it is mounted."""
    changed = {"--host": "0.0.0.0", "--port": str(PORT)}
    given = [replace(each, values=(changed[each.key],)) if each.key in changed else each for each in composed.given]
    if Path(composed.model).is_dir():
        if not composed.value("--served-model-name"):
            given.append(Given("--served-model-name", "--served-model-name", (subject.vllm.model,)))
        return replace(composed, model=f"/models/{Path(composed.model).resolve().name}", given=tuple(given))
    return replace(composed, given=tuple(given))


def _secrets(composed: Composed, place: Place) -> dict[str, Written]:
    keys = place.keys
    texts = {
        "vllm.env": {**composed.environment, "VLLM_API_KEY": keys.vllm},
        "qdrant.env": {"QDRANT__SERVICE__API_KEY": keys.qdrant},
        "docmind.env": {"DOCMIND_VLLM__API_KEY": keys.vllm, "DOCMIND_QDRANT__API_KEY": keys.qdrant},
    }
    return {name: Written(env_lines(variables), secret=True) for name, variables in texts.items()}


def _gpus(composed: Composed) -> int:
    return (size(composed.value("--tensor-parallel-size")) or 1) * (
        size(composed.value("--pipeline-parallel-size")) or 1
    )


def _fill(template: str, **values: str) -> str:
    return _Filled((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def _yaml(value: object) -> str:
    """Return a value as JSON, which YAML reads, with ``$`` doubled for Compose."""
    return json.dumps(value, ensure_ascii=False).replace("$", "$$")


def _line(text: str) -> str:
    """Return text for one line of a unit, with systemd's ``%`` doubled."""
    if not text.isprintable() or text.endswith("\\"):
        raise ConfigurationError(f"{text!r} cannot stand in a unit: it holds signs that are not printed, or ends in \\")
    return text.replace("%", "%%")


def _unit(word: str) -> str:
    """Return a word of a command as systemd reads it (systemd.service(5), "COMMAND LINES")."""
    escaped = _line(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return escaped if escaped == word and word and not set(word) & set(" '#;") else f'"{escaped}"'
