"""One self-contained page per run: open it anywhere, mail it, keep it beside the model.

Styles and drawings are inside, there is no script and nothing is loaded from anywhere. Light or dark follows the
reader's system. Whatever a dataset, a prompt or a recipe said is text, never markup (`cloudcpt.report.markup`).
Long texts and lists are cut and say so, so that the page stays below a megabyte.
"""

from importlib import resources

from cloudcpt.report.charts import evaluation_chart, throughput_charts, training_charts
from cloudcpt.report.checkpoints import checkpoint_table
from cloudcpt.report.collect import RunReport
from cloudcpt.report.markup import Html, join, tag
from cloudcpt.report.provenance import provenance
from cloudcpt.report.tables import (
    cost_table,
    data_table,
    geometry_table,
    held_out_table,
    mix_bars,
    speed_table,
    stood_out_table,
)
from cloudcpt.report.verdict import change, give_verdict
from cloudcpt.report.words import count, duration, perplexity

LONGEST_TEXT = 4_000
"""Characters of one sample that the page shows."""

MOST_SAMPLES = 20


def render_html(report: RunReport) -> str:
    """Write the page of one run."""
    title = f"{report.plan.name}: {give_verdict(report).headline}"
    return page(title, join(header(report), *sections(report)))


def page(title: str, body: Html, *, class_: str | None = None) -> str:
    """Wrap a body in a document with the style sheet inside; the class `wide` is for two runs side by side."""
    style = resources.files("cloudcpt.report").joinpath("page.css").read_text("utf-8")
    head = tag(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        tag("title", title),
        tag("style", Html(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', body, class_=class_)), lang='en')}\n"


def header(report: RunReport) -> Html:
    """Say what ran, how it ended and what came of it."""
    plan = report.plan
    started = report.started_at.replace("T", " ").replace("+00:00", " UTC")
    facts = [report.outcome, plan.model.name_or_path or plan.model.model_type, _place_words(report), started]
    return tag(
        "header",
        tag("h1", plan.name),
        tag("p", *(tag("span", fact, class_="chip") for fact in facts if fact)),
        _failure(report),
        _verdict(report),
        *(tag("p", remark, class_="remark") for remark in _remarks(report)),
    )


def sections(report: RunReport) -> tuple[Html, ...]:
    """Make the parts of the page in the order in which people ask."""
    return (
        section(
            "Is it learning?",
            training_charts(report),
            stood_out_table(report),
        ),
        section(
            "What was learned, what was forgotten",
            tag("p", "Each held-out set against itself before the first step; below the line is better"),
            evaluation_chart(report),
            held_out_table(report),
            checkpoint_table(report),
        ),
        *_samples(report),
        section("Data and mix", mix_bars(report), data_table(report)),
        section("Speed, memory, time and cost", throughput_charts(report), speed_table(report), cost_table(report)),
        section("Geometry and schedule", geometry_table(report)),
        section("Provenance", provenance(report)),
    )


def section(title: str, *content: Html) -> Html:
    """Give a part of the page its heading."""
    return tag("section", tag("h2", title), *content)


def _place_words(report: RunReport) -> str:
    world = report.plan.world
    processes = "1 process" if world.size == 1 else f"{world.size} processes"
    stand_in = ", a rehearsal on a stand-in model" if report.plan.model.stand_in else ""
    where = report.plan.target if world.instance_type == "local" else f"{report.plan.target}, {world.instance_type}"
    return f"{where}, {processes} on {world.device}{stand_in}"


def _failure(report: RunReport) -> Html:
    failure = report.failure
    if failure is None:
        return Html("")
    whose = {"user": "something to change on your side", "platform": "the platform's", "bug": "our bug"}[failure.blame]
    return tag(
        "div",
        tag("h2", f"{failure.code}: {failure.message}"),
        tag("p", f"Whose it is: {whose}"),
        tag("p", f"Hint: {failure.hint}") if failure.hint else Html(""),
        tag("pre", failure.detail) if failure.detail else Html(""),
        class_="failure",
    )


def _verdict(report: RunReport) -> Html:
    verdict = give_verdict(report)
    return tag(
        "div",
        tag("p", verdict.headline, class_="headline"),
        tag("div", *_cards(report), class_="cards"),
        *(tag("p", sentence) for sentence in verdict.sentences),
        class_=f"verdict {verdict.tone}",
    )


def _cards(report: RunReport) -> list[Html]:
    cards = []
    for name in ("domain", "general"):
        if found := change(report, name):
            worded = f"{perplexity(found.before.perplexity)} → {perplexity(found.after.perplexity)}"
            cards.append(_card(f"{name} perplexity", worded, f"{found.percent:+.1f}%"))
    if general := change(report, "general"):
        cards.append(_card("forgetting", f"{general.nats:+.3f}", "nats per token, ln of the ratio"))
    done = f"{count(report.steps_done)} of {count(report.plan.geometry.steps)} steps"
    return [*cards, _card("time", duration(report.seconds), done)]


def _card(name: str, number: str, detail: str) -> Html:
    return tag("div", tag("span", name), tag("strong", number), tag("span", detail), class_="card")


def _remarks(report: RunReport) -> tuple[str, ...]:
    faults = tuple(f"The model folder is not a whole model: {fault}" for fault in report.model_faults)
    return report.remarks + faults


def _samples(report: RunReport) -> tuple[Html, ...]:
    """Show each prompt with its two continuations side by side."""
    shown = report.samples[:MOST_SAMPLES]
    if not shown:
        return ()
    rows = [
        tag(
            "div",
            tag("p", cut(sample.prompt), class_="prompt"),
            tag("div", _continuation("before", sample.before), _continuation("after", sample.after), class_="pair"),
            class_="sample",
        )
        for sample in shown
    ]
    rest = len(report.samples) - len(shown)
    more = tag("p", f"and {rest} more in the JSON numbers", class_="none") if rest else Html("")
    intro = tag("p", "The most likely continuation of each prompt, before the first and after the last step")
    return (section("Samples", intro, *rows, more),)


def _continuation(when: str, text: str | None) -> Html:
    said = tag("pre", cut(text)) if text is not None else tag("p", "not sampled", class_="none")
    return tag("div", tag("span", when, class_="label"), said)


def cut(text: str) -> str:
    """Shorten a text for the page, and say so."""
    return (
        text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} ... {len(text) - LONGEST_TEXT:,} more characters"
    )
