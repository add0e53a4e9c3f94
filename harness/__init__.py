"""Finetune Harness: did the fine-tune help, and what did it break?"""

__version__ = "0.1.0"
