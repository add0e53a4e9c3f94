"""The training itself, by TRL's trainers and PEFT's adapters."""
