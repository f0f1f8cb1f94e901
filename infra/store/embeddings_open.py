"""The embedding model of the settings, whichever it is.

Each model, and each way of using one (prefixes, cut), has an id of its own, so its vectors get their own collection and
caches and never mix with another's.
"""

from infra.settings import Settings
from infra.store.embeddings import Embedder, open_minilm


def open_embedder(settings: Settings, *, threads: int | None = None) -> Embedder:
    """Open the model that the settings name: MiniLM in this process, a server's, or one in a folder. Blocks.

    ``threads`` is how many cores MiniLM uses; None: those there are.

    Raises:
        ConfigurationError: the model's settings are wrong, or what it needs is not installed.
        BackendError: its server cannot be reached and was not met before, or gives no usable vectors.
        StoreError: the data directory cannot be read or written.
    """
    match settings.embedding.kind:
        case "minilm":
            return open_minilm(settings.data_dir, threads=threads)
        case "server":
            from infra.store.embeddings_server import open_server  # noqa: PLC0415 - only who uses one pays for it

            return open_server(settings.embedding, settings.data_dir)
        case "sentence-transformers":
            from infra.store.embeddings_folder import open_folder  # noqa: PLC0415 - likewise

            return open_folder(settings.embedding, settings.data_dir)
