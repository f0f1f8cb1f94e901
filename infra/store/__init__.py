"""What is kept on disk: embeddings, vectors, documents. Each vendor has one door.

ONNX Runtime reports its use to its maker unless told not to before it is imported; it is told so here, before any
module of this room can import it.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
