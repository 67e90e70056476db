"""Loads a Whisper model: from a local folder of safetensors, in the precision the machine serves best, with or without LoRA.

Nothing is fetched and nothing is unpickled: a folder without safetensors is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from medasr.errors import ModelError
from medasr.packs import checkpoint
from medasr.types import WINDOW_SECONDS, ModelVersion

if TYPE_CHECKING:
    from pathlib import Path

Precision = Literal["nf4", "bf16", "fp16", "fp32"]

_AGAIN = "fetch it again: medasrd models pull"

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """What to load and how; the wishes are those of the configuration's ``[model]``."""

    path: Path  #: folder of a Hugging Face Whisper model with safetensors weights
    base_id: str
    base_revision: str
    base_sha256: str  #: of the weights, verified by whoever installed them
    adapter: Path | None = None  #: folder of a LoRA adapter
    precision: Literal["auto", "nf4", "bf16", "fp16", "fp32"] = "auto"
    device: Literal["auto", "cuda", "cpu"] = "auto"
    language: str = "en"  #: ISO 639-1
    beams: int = 3  #: texts followed side by side where the greedy one is doubtful; 1 is greedy throughout
    threads: int = 0  #: for arithmetic on the CPU; 0 for one per core


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network ready to transcribe."""

    network: Any  #: transformers.WhisperForConditionalGeneration in evaluation mode
    tokenizer: Any  #: transformers.WhisperTokenizer
    device: torch.device
    compute_type: torch.dtype  #: of the features and activations
    shortest_context: float  #: seconds; windows are computed at least this long
    version: ModelVersion


def load_model(options: ModelOptions) -> LoadedModel:
    """Load weights, adapter and tokenizer.

    Raise ModelError, with the remedy, when the folder is not a Whisper model with safetensors, its weights are damaged, the adapter
    does not fit, or the device or precision asked for does not exist here.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    torch.set_num_threads(options.threads or _cores())
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    compute_type = _half_precision(device) if precision == "nf4" else _TYPES[precision]
    network = _load_network(options.path, precision, compute_type, device)
    adapter_sha256, shortest_context = None, WINDOW_SECONDS
    if options.adapter is not None:
        from medasr.whisper.adapter import apply_adapter, read_shortest_context

        shortest_context = read_shortest_context(options.adapter)
        adapter_sha256 = apply_adapter(network, options.adapter, merge=precision != "nf4")
    if precision != "nf4":
        network = network.to(device=device, dtype=compute_type)
    _check_finite(network, options.path)
    return LoadedModel(
        network=network.eval().requires_grad_(False),
        tokenizer=_load_tokenizer(options.path),
        device=device,
        compute_type=compute_type,
        shortest_context=shortest_context,
        version=ModelVersion(
            base_id=options.base_id,
            base_revision=options.base_revision,
            base_sha256=options.base_sha256,
            adapter_sha256=adapter_sha256,
            precision=precision,
            audio_context="full" if shortest_context == WINDOW_SECONDS else "variable",
        ),
    )


def choose_device(wish: str) -> torch.device:
    """The device to use for ``auto``, ``cuda`` or ``cpu``; raise ModelError when there is no CUDA device but one is asked for."""
    if wish == "cpu" or (wish == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ModelError(
            "model.device is cuda, but torch finds no CUDA device; check `nvidia-smi` and that torch was installed for CUDA, "
            "or set model.device to auto or cpu"
        )
    return torch.device("cuda", torch.cuda.current_device())


def choose_precision(wish: str, device: torch.device) -> Precision:
    """The precision to use: the one asked for, or for ``auto`` the fastest accurate one on this device.

    Raise ModelError for fp16 on a CPU, which has no arithmetic for it.
    """
    if wish == "auto":
        if device.type == "cuda":
            return "nf4"
        return "bf16" if cpu_has_bfloat16() else "fp32"
    if wish == "fp16" and device.type == "cpu":
        raise ModelError(
            "model.precision is fp16, which CPUs do not compute; set it to auto or fp32, or use a CUDA device"
        )
    return wish  # type: ignore[return-value]  # one of the literals: ModelOptions has no other


def worthwhile_precisions(device: torch.device) -> tuple[Precision, ...]:
    """What a device computes with hardware made for it, the most exact first: those among which the fastest is worth looking for."""
    if device.type == "cpu":
        return ("fp32", "bf16") if cpu_has_bfloat16() else ("fp32",)
    bfloat16: tuple[Precision, ...] = ("bf16",) if torch.cuda.is_bf16_supported(including_emulation=False) else ()
    return ("fp32", *bfloat16, "fp16", "nf4")


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bf16 matrices in hardware; emulated, they are slower than fp32 by two orders of magnitude."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _cores() -> int:
    """The cores this process may use; a second thread on the same core only gets in the way of matrix products."""
    allowed = len(os.sched_getaffinity(0))
    return min(allowed, int(torch.cpu.get_capabilities().get("num_physical_cores") or allowed))


def _half_precision(device: torch.device) -> torch.dtype:
    """What 4-bit weights are computed in."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if cpu_has_bfloat16() else torch.float32


def _load_network(path: Path, precision: Precision, compute_type: torch.dtype, device: torch.device) -> Any:
    """The network without adapter: in fp32 on the CPU, or quantized on the device."""
    from transformers import BitsAndBytesConfig, WhisperForConditionalGeneration

    checkpoint.check(path)
    settings: dict[str, Any] = {"dtype": torch.float32}
    if precision == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute_type,
            # The projection shares its weights with the embedding, which must stay readable.
            llm_int8_skip_modules=["proj_out"],
        )
        settings = {"dtype": compute_type, "quantization_config": quantization, "device_map": {"": device}}
    try:
        return WhisperForConditionalGeneration.from_pretrained(
            path, local_files_only=True, use_safetensors=True, attn_implementation="sdpa", **settings
        )
    except (OSError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise MemoryError("the model does not fit in memory") from error
        raise ModelError(f"{path} cannot be loaded as a Whisper model ({error}); {_AGAIN}") from error


def _load_tokenizer(path: Path) -> Any:
    from transformers import WhisperTokenizer

    try:
        return WhisperTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} holds no Whisper tokenizer ({error}); {_AGAIN}") from error


def _check_finite(network: Any, path: Path) -> None:
    for name, parameter in network.named_parameters():
        if parameter.is_floating_point() and not bool(torch.isfinite(parameter).all()):
            raise ModelError(f"the weights in {path} are damaged ({name} is not finite); {_AGAIN}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch means "out of memory": on a CPU, and for some CUDA libraries, only the message says so."""
    signs = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in signs)
