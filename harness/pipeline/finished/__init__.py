"""What follows a finished run: baselines, export, chat, the noise floor."""
