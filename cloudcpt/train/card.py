"""The model card: README.md of the final model, what it is, where it comes from and how to load it."""

import re
from collections.abc import Mapping
from pathlib import Path

from cloudcpt.plan.plan import Lora, Plan
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


def checkpoint_card(plan: Plan, base: Path, *, steps: int, tokens: int) -> str:
    """Write the card of a model that is not the final one: its loss was not measured yet, its rate not decayed.

    Args:
        plan: The plan that is being executed.
        base: Folder of the base model.
        steps: Optimizer steps completed.
        tokens: Tokens trained.
    """
    sections = [
        _front_matter(plan, base),
        f"# {plan.name}, after step {steps} of {plan.geometry.steps}",
        f"{tokens} tokens into continued pretraining of `{plan.model.name_or_path}`; not the final model.\n\n"
        f"Made by {plan.made_by} from plan `{plan.hash}`.",
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
        *([] if plan.model.stand_in else [f"base_model: {_published_name(plan)}"]),
        "tags: [continued-pretraining, cloudcpt]",
    ]
    return "\n".join(["---", *lines, "---"])


def _published_name(plan: Plan) -> str:
    """Name the base model as others can find it: Hugging Face links cards by the ids of models."""
    origin = plan.model.origin
    return origin.repo if origin and origin.source == "hub" else plan.model.name_or_path


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
    base = plan.model.origin.shown if plan.model.origin else plan.model.name_or_path
    return (
        f"Continued pretraining of `{base}` by {_method(plan.lora)}: {plan.geometry.steps} steps, "
        f"{tokens} tokens, rows of {plan.geometry.seq_len_tokens} tokens, peak learning rate {plan.schedule.lr:g}.\n\n"
        f"Made by {plan.made_by} from plan `{plan.hash}`." + _ancestors(plan)
    )


def _method(lora: Lora | None) -> str:
    if lora is None:
        return "full-parameter training"
    base = f", the frozen weights held in {lora.bits} bits" if lora.bits else ""
    embeddings = f", embeddings at a peak of {lora.embedding_lr:g}" if lora.embedding_lr else ""
    return f"LoRA of rank {lora.rank}{embeddings}{base}"


def _ancestors(plan: Plan) -> str:
    """Name the earlier jobs whose weights these started from."""
    if not plan.model.lineage:
        return ""
    rows = [f"| {one.job_name} | {one.steps} | {one.tokens} | `{one.plan_hash}` |" for one in plan.model.lineage]
    table = "\n".join(["| job | steps | tokens | plan |", "|---|---|---|---|", *rows])
    return f"\n\nIt went on from the weights of earlier jobs, the first one first:\n\n{table}"


def _perplexities(before: Mapping[str, HeldOut], after: Mapping[str, HeldOut]) -> str:
    if not after:
        return "No held-out set was given."
    rows = [_measured_row(name, before[name], after[name]) for name in after]
    heads = ["| set | before | after | bits per byte before | after | tokens |", "|---|---|---|---|---|---|"]
    return "\n".join([*heads, *rows]) + _forgetting(before, after)


def _measured_row(name: str, before: HeldOut, after: HeldOut) -> str:
    perplexities = f"{before.perplexity:.4f} | {after.perplexity:.4f}"
    return f"| {name} | {perplexities} | {before.bits_per_byte:.4f} | {after.bits_per_byte:.4f} | {after.tokens} |"


def _forgetting(before: Mapping[str, HeldOut], after: Mapping[str, HeldOut]) -> str:
    if "general" not in after:
        return ""
    nats = after["general"].loss - before["general"].loss
    return f"\n\nForgetting, ln(general perplexity after / before): {nats:+.4f} nats per token; above 0 is worse."


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
            f"This is an adapter; it needs the base model `{plan.model.name_or_path}`." + _on_few_bits(plan.lora)
        )
    return (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'model = AutoModelForCausalLM.from_pretrained("this folder")\n'
        'tokenizer = AutoTokenizer.from_pretrained("this folder")\n```'
    )


def _on_few_bits(lora: Lora) -> str:
    if not lora.bits:
        return ""
    return f" It was trained on that model held in {lora.bits} bits; on the whole one its loss is a little different."
