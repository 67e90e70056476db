"""Fine-tuning Whisper with LoRA on windows as long as the speech."""
