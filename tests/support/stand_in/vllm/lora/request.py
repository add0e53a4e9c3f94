"""Which adapter a request is answered with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LoRARequest:
    """An adapter by its name, its number and its folder."""

    lora_name: str
    lora_int_id: int
    lora_path: str
