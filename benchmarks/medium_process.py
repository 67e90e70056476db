"""One side of the benchmark ``medium``: reads its order as JSON, computes, prints seconds and peak memory as JSON.

The network has whisper-medium's shape and random weights, which cost what trained ones do. It never ends a text by itself here: all sides
write the same number of tokens.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks import ctranslate2
from benchmarks.options import cores
from medasr.whisper.context import encode
from medasr.whisper.decoder import Sound
from medasr.whisper.decoding import DecodingTokens, decode
from medasr.whisper.model import choose_precision
from medasr.whisper.packing import pack

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_END, _START, _ENGLISH, _TRANSCRIBE, _NO_SPEECH, _NO_TIMESTAMPS = 50257, 50258, 50259, 50359, 50362, 50363


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    order = json.loads(sys.stdin.read())
    out.write(json.dumps(_SIDES[order["side"]](order)))
    out.close()


def network(layers: int, kind: torch.dtype = torch.float32) -> Any:
    """whisper-medium but for the number of its layers, with random weights of this type."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    torch.set_default_dtype(kind)
    config = WhisperConfig(
        d_model=1024,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=16,
        decoder_attention_heads=16,
        encoder_ffn_dim=4096,
        decoder_ffn_dim=4096,
        vocab_size=51865,
    )
    made = WhisperForConditionalGeneration(config).eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    return made


def _convert(order: dict[str, Any]) -> dict[str, float]:
    """Write the network as CTranslate2 has it, its weights in 8 bits as faster-whisper runs fastest."""
    from ctranslate2.converters.transformers import WhisperLoader

    loader = WhisperLoader()
    model = network(order["layers"])
    spec = loader.get_model_spec(model)
    # whisper-base has the same tokens.
    spec.register_vocabulary(json.loads((ctranslate2.folder("whisper-base") / "vocabulary.json").read_text("utf-8")))
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.alignment_heads, spec.config.lang_ids = [(0, 0)], [_ENGLISH]
    spec.validate()
    spec.optimize(quantization="int8")
    Path(order["folder"]).mkdir()
    spec.save(order["folder"])
    return {}


def _ours(order: dict[str, Any]) -> dict[str, float]:
    """Greedily, a batch on each core as in the daemon's model child."""
    kind = _TYPES[choose_precision("auto", torch.device("cpu"))]
    model = network(order["layers"], kind)
    pack(model)
    tokens = DecodingTokens(
        prefix=(_START, _ENGLISH, _TRANSCRIBE),
        end=_END,
        no_speech=_NO_SPEECH,
        no_timestamps=_NO_TIMESTAMPS,
        suppressed=(_END,),
        suppressed_first=(),
        max_initial_timestamp=50,
        limit=order["tokens"],
    )
    spoken = _features(order).to(kind)

    def transcribe(features: torch.Tensor) -> None:
        with torch.inference_mode():
            encoded = torch.cat([encode(model, one) for one in torch.split(features, 1)])
            written = decode(model, Sound(model, encoded), tokens, timestamps=False)
        _require([len(one.tokens) for one in written], order)

    lanes = min(cores(), len(spoken))
    with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(max(1, cores() // lanes),)) as pool:

        def all_of_them() -> None:
            list(pool.map(transcribe, torch.chunk(spoken, lanes)))

        list(pool.map(transcribe, [spoken[:1]] * lanes))
        return _measured(all_of_them)


def _theirs(order: dict[str, Any]) -> dict[str, float]:
    """As faster-whisper's batches, over CTranslate2's own interface."""
    from ctranslate2 import StorageView
    from ctranslate2.models import Whisper

    model = Whisper(order["folder"], device="cpu", compute_type="int8", intra_threads=cores())
    prompt = [_START, _ENGLISH, _TRANSCRIBE, _NO_TIMESTAMPS]
    spoken = _features(order).numpy()

    def transcribe(features: Any) -> None:
        written = model.generate(
            StorageView.from_array(features),
            [prompt] * len(features),
            beam_size=1,
            max_length=2 * order["tokens"],  # half of it is kept for a prompt
            suppress_tokens=[_END],
            suppress_blank=False,
        )
        _require([len(one.sequences_ids[0]) for one in written], order)

    transcribe(spoken[:1])
    return _measured(lambda: transcribe(spoken))


def _features(order: dict[str, Any]) -> torch.Tensor:
    return torch.randn(order["windows"], 80, 100 * order["seconds"], generator=torch.Generator().manual_seed(1))


def _require(lengths: list[int], order: dict[str, Any]) -> None:
    if set(lengths) != {order["tokens"]}:
        raise RuntimeError(f"texts of {sorted(set(lengths))} tokens where all should have {order['tokens']}")


def _measured(work: Callable[[], None]) -> dict[str, float]:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


_SIDES = {"convert": _convert, "medasr": _ours, "ctranslate2": _theirs}

if __name__ == "__main__":
    main()
