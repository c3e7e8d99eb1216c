"""The model card: README.md of the final model, what it is, where it comes from and how to load it."""

import re
from collections.abc import Mapping
from pathlib import Path

from cloudcpt.plan.plan import Plan
from cloudcpt.train.evaluate import HeldOut

_LICENCE = re.compile(r"^license(?:_name|_link)?:.*$", re.MULTILINE)


def model_card(plan: Plan, base: Path, before: Mapping[str, HeldOut], after: Mapping[str, HeldOut], tokens: int) -> str:
    """Write the card.

    Args:
        plan: The executed plan.
        base: Folder of the base model; its card, when there is one, gives the licence.
        before: Held-out sets by name, measured before the first step.
        after: The same sets, measured after the last step.
        tokens: Tokens trained.
    """
    sections = [
        _front_matter(plan, base),
        f"# {plan.name}",
        _lineage(plan, tokens),
        "## Held-out perplexity\n\n" + _perplexities(before, after),
        "## Data\n\n" + _data(plan),
        "## How to load it\n\n" + _loading(plan),
        "`provenance/` holds the recipe, the plan and every number; `manifest.json` has the SHA-256 of each file.",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(plan: Plan, base: Path) -> str:
    is_adapter = plan.lora is not None and not plan.lora.merge
    lines = [
        *_licence_lines(base),
        f"library_name: {'peft' if is_adapter else 'transformers'}",
        "pipeline_tag: text-generation",
        *([] if plan.model.stand_in else [f"base_model: {plan.model.name_or_path}"]),
        "tags: [continued-pretraining, cloudcpt]",
    ]
    return "\n".join(["---", *lines, "---"])


def _licence_lines(base: Path) -> list[str]:
    """Carry the licence over from the base model's card: the new weights are derived from the old ones."""
    card = base / "README.md"
    if not card.is_file():
        return []
    parts = card.read_text("utf-8", errors="replace").split("---", 2)
    return _LICENCE.findall(parts[1]) if len(parts) == 3 and not parts[0].strip() else []


def _lineage(plan: Plan, tokens: int) -> str:
    if plan.model.stand_in:
        return (
            f"A rehearsal: a tiny random stand-in took the place of `{plan.model.name_or_path}`. "
            "It shows that the job runs and is of no other use."
        )
    method = "full-parameter training" if plan.lora is None else f"LoRA of rank {plan.lora.rank}"
    return (
        f"Continued pretraining of `{plan.model.name_or_path}` by {method}: {plan.geometry.steps} steps, "
        f"{tokens} tokens, rows of {plan.geometry.seq_len_tokens} tokens, peak learning rate {plan.schedule.lr:g}.\n\n"
        f"Made by {plan.made_by} from plan `{plan.hash}`."
    )


def _perplexities(before: Mapping[str, HeldOut], after: Mapping[str, HeldOut]) -> str:
    if not after:
        return "No held-out set was given."
    rows = [
        f"| {name} | {before[name].perplexity:.4f} | {after[name].perplexity:.4f} | {after[name].tokens} |"
        for name in after
    ]
    return "\n".join(["| set | before | after | tokens |", "|---|---|---|---|", *rows])


def _data(plan: Plan) -> str:
    rows = [
        f"| {source.name} | {source.role} | {file.name} | {file.size_bytes} | `{file.blake3}` |"
        for source in plan.sources
        for file in source.files
    ]
    return "\n".join(["| source | role | file | bytes | BLAKE3 |", "|---|---|---|---|---|", *rows])


def _loading(plan: Plan) -> str:
    if plan.lora is not None and not plan.lora.merge:
        return (
            "```python\nfrom peft import AutoPeftModelForCausalLM\n\n"
            'model = AutoPeftModelForCausalLM.from_pretrained("this folder")\n```\n\n'
            f"This is an adapter; it needs the base model `{plan.model.name_or_path}`."
        )
    return (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("this folder")\n'
        'tokenizer = AutoTokenizer.from_pretrained("this folder")\n```'
    )
