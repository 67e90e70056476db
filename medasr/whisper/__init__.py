"""Whisper on transformers: loading, decoding, and the Transcriber protocol."""
