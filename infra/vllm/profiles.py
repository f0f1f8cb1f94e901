"""Named ways of serving: what each sets, and what it is for. An option that a person gives wins over its profile."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from infra.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Profile:
    """What a way of serving sets.

    Attributes:
        about: what it is for, one line.
        sets: fields of `facts.Wanted` and their values.
        beside: what else has to hold, one line each.
    """

    about: str
    sets: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    beside: tuple[str, ...] = ()


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "12gb-long": Profile(
            "one person with long prompts on a 12 GB card",
            {
                "context": 12_288,
                "sequences": 2,
                "utilization": 0.88,
                "kv_cache_dtype": "fp8",
                "batched_tokens": 2_048,
                "eager": True,
            },
        ),
        "12gb-balanced": Profile(
            "several short requests at once on a 12 GB card",
            {"context": 8_192, "sequences": 6, "utilization": 0.88, "kv_cache_dtype": "fp8", "batched_tokens": 2_048},
        ),
        "128k-16gb": Profile(
            "one request of 131,072 tokens on a 16 GB card",
            {
                "context": 131_072,
                "sequences": 2,
                "utilization": 0.95,
                "kv_cache_dtype": "fp8",
                "batched_tokens": 2_048,
                "eager": True,
            },
            ("The embedder and the reranker run on the CPU, and the desktop on another GPU.",),
        ),
        "throughput": Profile(
            "many requests at once, as much as the card gives",
            {"context": 8_192, "sequences": 64, "utilization": 0.94, "kv_cache_dtype": "fp8", "batched_tokens": 8_192},
        ),
    }
)


def profile(name: str) -> Profile:
    """Return the profile of this name.

    Raises:
        ConfigurationError: there is none; the message lists those there are.
    """
    if name not in PROFILES:
        raise ConfigurationError(f"there is no profile {name!r}; --profile knows {', '.join(PROFILES)}")
    return PROFILES[name]
