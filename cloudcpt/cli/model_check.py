"""`cloudcpt model check PATH`: everything that can be said about a base model before a recipe names it.

It asks what a plan asks, of the same functions, so the two cannot disagree. Nothing of the weights is read but headers.
The findings are this command's answer, so they go to stdout.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.diagnostics import as_json, tally
from cloudcpt.cli.quantities import count, gpu_memory, plural, size
from cloudcpt.errors import DatasetError, Diagnostic, ExitCode, PlanError

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer
    from cloudcpt.plan.base_model import BaseModel
    from cloudcpt.plan.model_folder import ModelFolder

LONGEST_ROW_TOKENS = 8192
"""Largest `max_length` of any recipe."""

STATE_BYTES = 16
"""Of one parameter that learns: float32 weight, gradient and two moments."""


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """What was found: the model when it can be trained, its tokenizer when it can be read, and all findings."""

    model: "BaseModel | None"
    tokenizer: "DocumentTokenizer | None"
    findings: tuple[Diagnostic, ...]

    @property
    def max_length(self) -> int:
        """Give the longest rows that a recipe may ask for: those that are neither refused nor warned about."""
        from cloudcpt.plan.model_config import position_limit

        assert self.model is not None, "only a model that can be trained has a length"
        limit = position_limit(self.model.config)
        known = [self.model.context_tokens or LONGEST_ROW_TOKENS, limit.tokens if limit else LONGEST_ROW_TOKENS]
        return min(LONGEST_ROW_TOKENS, *known)


@click.command()
@click.argument("path", metavar="PATH")
@render.output_option
@click.pass_context
def command(context: click.Context, path: str, output: str) -> None:
    """Say whether the base model in the folder PATH, here or s3://bucket/folder/, can be trained, and why not.

    Looked at are: the class of model and its settings, the weights (safetensors, complete, of full precision), the
    tokenizer, tied embeddings, the positions that it knows and so the `max_length` that a recipe may have, and whether
    it was tuned to follow instructions. Refused are pickles, GGUF, archives, adapters, quantised or encrypted weights,
    and models that bring code. No code of the model runs, and no weight is read.

    Exit code 0: it can be trained, warnings or not; 1: it cannot.
    """
    start = time.monotonic()
    checked = _check(_folder(path))
    if output == "json":
        render.print_json({"path": path, "ok": checked.model is not None, **_as_json(checked)})
    else:
        _show(path, checked)
    console = render.err() if output == "json" else render.out()
    render.show_tally(tally(checked.findings), time.monotonic() - start, console=console)
    context.exit(ExitCode.FINDINGS if tally(checked.findings).errors else ExitCode.OK)


def _folder(path: str) -> "ModelFolder":
    """Open the folder; what is in S3 is listed, and read as far as it is looked at.

    Raises:
        SetupError: S3 cannot be read from here.
        TransientError: S3 does not answer.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.dataset.places import is_in_s3
    from cloudcpt.plan.model_folder import LocalModel

    if not is_in_s3(path):
        return LocalModel(Path(path))
    places = InputPlaces(Path.cwd())
    if trouble := places.out_of_reach(path):
        raise trouble
    return places.model(path, lambda _name, _done, _total: None)


def _check(folder: "ModelFolder") -> _Checked:
    from cloudcpt.plan.base_model import read_base_model

    try:
        model = read_base_model(folder, None)
    except PlanError as exc:
        return _Checked(model=None, tokenizer=None, findings=exc.diagnostics)
    try:
        tokenizer = _tokenizer(folder)
    except DatasetError as exc:
        return _Checked(model=None, tokenizer=None, findings=exc.diagnostics)
    return _Checked(model=model, tokenizer=tokenizer, findings=tuple(_advice(model, tokenizer)))


def _tokenizer(folder: "ModelFolder") -> "DocumentTokenizer | None":
    """Load the tokenizer; None without the library that can.

    Raises:
        DatasetError: it cannot be used.
    """
    from cloudcpt.plan.model_folder import tokenizer_of

    return tokenizer_of(folder) if find_spec("tokenizers") else None


def _advice(model: "BaseModel", tokenizer: "DocumentTokenizer | None") -> Iterator[Diagnostic]:
    from cloudcpt.plan.model_advice import tokenizer_findings, tuning_findings

    if tokenizer is not None:
        yield from tokenizer_findings(model.folder.shown, tokenizer.vocab_size, model.sizes.vocab_size, None)
    yield from tuning_findings(model, None)


def _show(path: str, checked: _Checked) -> None:
    out = render.out()
    out.print(f"{path}: {'can be trained' if checked.model else 'cannot be trained'}", style="title")
    if checked.model is not None:
        render.show_pairs(_pairs(checked, checked.model), console=out)
    out.print()
    if checked.findings:
        render.show_diagnostics(checked.findings, console=out)
        out.print()


def _pairs(checked: _Checked, model: "BaseModel") -> Iterator[tuple[str, str]]:
    from cloudcpt.recipe.catalog import size_class_of

    sizes = model.sizes
    embeddings = "one embedding for input and output" if sizes.tied_embeddings else "two embeddings"
    parameters = f"{count(sizes.parameters)} parameters, {embeddings}"
    yield "model", f"{model.architecture}, {parameters}, size class {size_class_of(sizes.parameters)}"
    yield "layers", f"{sizes.layers} of width {sizes.hidden_size:,}, {sizes.intermediate_size:,} inside"
    yield "heads", f"{sizes.heads} of {sizes.head_dim}, {sizes.kv_heads} for keys and values"
    yield "weights", f"{model.dtype}, {size(model.stored_bytes)}, {plural(len(model.names), 'file')} in all"
    yield "training", f"{gpu_memory(STATE_BYTES * sizes.parameters)} over all GPUs, before activations; LoRA takes less"
    context = f"{model.context_tokens:,} tokens" if model.context_tokens else "not said"
    yield "context", f"{context}; `max_length` up to {checked.max_length:,}"
    tokens = (
        f"{checked.tokenizer.vocab_size:,} tokens" if checked.tokenizer else "not read, `tokenizers` is not installed"
    )
    yield "tokenizer", f"{tokens}; the embedding has {sizes.vocab_size:,} rows"


def _as_json(checked: _Checked) -> dict[str, Any]:
    model, tokenizer = checked.model, checked.tokenizer
    facts = model and {
        **asdict(model.sizes),
        "dtype": model.dtype,
        "stored_bytes": model.stored_bytes,
        "training_state_bytes": STATE_BYTES * model.sizes.parameters,
        "context_tokens": model.context_tokens,
        "max_length": checked.max_length,
        "tokenizer_tokens": tokenizer.vocab_size if tokenizer else None,
        "boundary_id": tokenizer.boundary_id if tokenizer else None,
        "files": model.names,
    }
    return {"model": facts, "diagnostics": as_json(checked.findings)}
