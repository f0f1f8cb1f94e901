"""The lock of the extra ``[ray]``: hashed, fit for what is asked, and in one mind with the lock of everything else."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
ENTRY = re.compile(r"[a-z0-9.-]+==[\w.+!]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")


def locked(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([a-z0-9.-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
    ):
        found.setdefault(package, set()).add(version)
    return found


def test_it_holds_versions_and_hashes_and_nothing_else():
    lines = (ROOT / "requirements-ray.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not ENTRY.fullmatch(line)] == []


def test_it_fits_the_extra():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"][
        "ray"
    ]
    (ray,) = map(Requirement, extra)
    assert ray.extras == {"data"}
    assert all(ray.specifier.contains(version) for version in locked("requirements-ray.lock")["ray"])


def test_it_changes_no_version_and_a_first_run_does_without_it():
    everything, ours = locked("requirements.lock"), locked("requirements-ray.lock")
    both = everything.keys() & ours.keys()
    assert {name: ours[name] for name in both} == {name: everything[name] for name in both}
    assert ours.keys() - everything.keys() == {"pandas", "pyarrow", "ray"}
