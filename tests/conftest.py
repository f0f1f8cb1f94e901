"""What holds for every test: no way out of the machine, no settings but the defaults, an empty data directory.

A test that breaks one of these rules on purpose says so by a marker or by setting the variable itself.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket
from hypothesis import settings as hypothesis_settings

from infra.settings import PREFIX, Settings
from tests.clocks import patient_clock

LOOPBACK = ["127.0.0.1", "::1", "localhost"]

hypothesis_settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
hypothesis_settings.load_profile("house")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background jobs so, and what they start would never hear of Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _only_loopback() -> None:
    """Refuse every connection that would leave the machine; loopback and Unix sockets stay open."""
    pytest_socket.socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Forget the person's own settings (environment and ``.env``); keep data in a directory of the test's own.

    One hit in a hundred is answered anew to check the cache: no test is to depend on that chance.
    """
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setenv(f"{PREFIX}CACHE__AUDIT_SHARE", "0")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that stands still while the machine does."""
    with patient_clock(monkeypatch):
        yield


@pytest.fixture
def data_dir() -> Path:
    """The data directory that the settings of this test name; it exists and is empty."""
    return Path(os.environ[f"{PREFIX}DATA_DIR"])
