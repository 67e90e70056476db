"""Whisper on transformers: loading, decoding, and the Transcriber protocol."""

import logging

# On a processor with bf16 it advises, each time it is imported, to install a package that asks a model hub (see `medasrd doctor`).
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
