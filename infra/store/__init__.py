"""What is kept on disk: embeddings, vectors, documents. Each vendor has one door."""
