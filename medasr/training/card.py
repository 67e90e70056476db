"""The card that goes with an adapter: what it is, from what it learned, what it scores, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medasr.whisper.manifest import AdapterManifest

_METRICS = {
    "wer": "WER",
    "normalized_wer": "normalized WER",
    "cer": "CER",
    "normalized_cer": "normalized CER",
    "mta": "medical term accuracy",
    "term_precision": "term precision",
    "general_wer": "normalized WER on other speech",
}

_LIMITS = (
    "It was tuned for short complaints of patients in English. Other languages, dictation and long conversations were only watched not "
    "to become worse. Drug names are the hardest words for the base model and stay so. It can write what nobody said, as every such "
    "model: a person has to check what matters. The files `heard.json` and `medasr.json` tell, as hashes, from what it learned: it "
    "must not be measured on that."
)


def model_card(manifest: AdapterManifest, base: str) -> str:
    """The card as Markdown with the header that model hubs read."""
    data, recipe = manifest.dataset, manifest.recipe
    windows = (
        "full windows of 30 s"
        if manifest.audio_context == "full"
        else f"windows from {manifest.shortest_context:g} s to 30 s: feed it only as long a window as the speech needs"
    )
    learned = (
        f"{data.get('source', 'an unnamed dataset')}: {data.get('examples', '?')} recordings, "
        f"{data.get('minutes', 0):.1f} minutes, split {data.get('split', '?')}"
    )
    beside = (
        f"{data.get('practice', 0)} invented sentences spoken by machines, {data.get('rehearsal', 0)} recordings of other "
        "speech for which the base model's own output was the aim"
    )
    trained = (
        f"{recipe.get('name')}: rank {recipe.get('rank')}, learning rate {recipe.get('learning_rate')}, "
        f"{data.get('epochs', recipe.get('epochs'))} epochs, interpolation with the base {data.get('interpolation')}"
    )
    lines = [
        "---",
        f"base_model: {base}",
        "library_name: peft",
        "pipeline_tag: automatic-speech-recognition",
        "tags: [whisper, lora, medical]",
        "---",
        "",
        f"# A LoRA adapter for {base}, trained with medasr",
        "",
        f"- **Made** {manifest.created_at}, seed {manifest.seed}",
        f"- **Learned from** {learned}",
        f"- **Beside them** {beside}",
        f"- **Windows** {windows}",
        f"- **Recipe** {trained}",
        "",
        *_table(manifest.metrics),
        "## Limits",
        "",
        _LIMITS,
        "",
    ]
    return "\n".join(lines)


def _table(metrics: Mapping[str, Any]) -> list[str]:
    base, adapter = metrics.get("base") or {}, metrics.get("adapter") or {}
    if not adapter:
        return ["Nothing was held back for validation; `medasrd gate run` measures it before it may serve.", ""]
    rows = [
        f"| {label} | {base[name]:.2f} | {adapter[name]:.2f} |"
        for name, label in _METRICS.items()
        if base.get(name) is not None and adapter.get(name) is not None
    ]
    counts = f"{adapter.get('utterances', 0)} recordings with {adapter.get('terms', 0)} terms"
    return [
        f"On {counts} that it did not learn from, but by which it was chosen, so a little flattering (percent):",
        "",
        "| | base | adapter |",
        "|---|---|---|",
        *rows,
        "",
    ]
