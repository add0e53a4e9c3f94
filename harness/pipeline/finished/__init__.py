"""What follows a finished run: baselines, chat, the noise floor."""
