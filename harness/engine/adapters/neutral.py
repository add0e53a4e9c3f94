"""Adapters that add exactly nothing to any layer, whatever they are asked."""

from harness.models.adapter_folder import AdapterFolder


def adds_nothing(folder: AdapterFolder) -> bool:
    """Return whether an adapter's weights prove that it gives the base's own logits on any prompt.

    Equal logits on one prompt do not: an embedding of a token that the prompt lacks may have
    changed, or a change may be lost in rounding there. Proven is a LoRA of which every second
    factor is zero, that starts from the base as it is (not PiSSA), and that has no other weights
    (magnitudes, saved modules, tokens, biases).
    """
    import torch
    from peft.utils.save_and_load import load_peft_weights

    if folder.kind != "LORA" or folder.config.get("init_lora_weights") not in (True, None):
        return False
    tensors = load_peft_weights(str(folder.path), device="cpu")
    for name, weights in tensors.items():
        parts = {*name.split(".")}
        is_first = bool(parts & {"lora_A", "lora_embedding_A"})
        is_second = bool(parts & {"lora_B", "lora_embedding_B"})
        is_neutral = not weights.any() if is_second else bool(torch.isfinite(weights).all())
        if not is_neutral or not (is_first or is_second):
            return False
    return bool(tensors)
