import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cloudcpt.plan.plan import Origin
from cloudcpt.report.collect import collect
from cloudcpt.report.compare import render_comparison
from cloudcpt.report.html import render_html
from cloudcpt.report.markup import Html, join, tag

HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>&lt;"


class Page(HTMLParser):
    """Every tag with its attributes, and all text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.tags.append((name, dict(attributes)))
        if name != "meta":
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.tags.append((name, dict(attributes)))

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["title"]):
            self.text += data


def hostile_report(plan, tell, story):
    """A run in which everything that somebody else wrote tries to be markup."""
    nasty = replace(
        plan,
        name=HOSTILE,
        recipe_text=HOSTILE,
        recipe_path=HOSTILE,
        made_by=HOSTILE,
        model=replace(plan.model, name_or_path=HOSTILE, architecture=HOSTILE),
        sources=tuple(
            replace(source, name=HOSTILE, files=(replace(source.files[0], name=HOSTILE),)) for source in plan.sources
        ),
        evaluation=replace(plan.evaluation, prompts=(HOSTILE,)),
        estimate=replace(plan.estimate, time_source=HOSTILE, price_source=HOSTILE),
    )
    records = story(nasty, 40)
    records[0]["started_at"] = HOSTILE
    records.append({"kind": "sample", "step": 0, "prompt": HOSTILE, "text": HOSTILE})
    records.append({"kind": "event", "step": 1, "name": HOSTILE, "message": HOSTILE})
    records.append({"kind": "mix", "tokens": {HOSTILE: 4}})
    return collect(tell(nasty, records, failure=f"CPT604 [user] {HOSTILE}; hint: {HOSTILE}\n{HOSTILE}"))


@pytest.fixture(params=["one run", "two runs"])
def render(request):
    return render_html if request.param == "one run" else lambda report: render_comparison(report, report)


def test_nothing_that_a_stranger_wrote_becomes_markup(plan, tell, story, render):
    page = Page(render(hostile_report(plan, tell, story)))
    assert not {"script", "img", "iframe", "link", "object"} & {name for name, _ in page.tags}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert HOSTILE in page.text


def test_the_page_is_well_formed(completed, render):
    page = Page(render(collect(completed)))
    assert page.open == []


def test_the_page_loads_nothing_from_anywhere(completed, render):
    text = render(collect(completed))
    page = Page(text)
    assert not {"src", "href", "xlink:href", "srcset"} & {key for _, attributes in page.tags for key in attributes}
    assert not re.search(r"url\(|@import|https?:", text)


def test_a_very_long_run_stays_below_a_megabyte(plan, tell, story):
    long = replace(
        plan,
        recipe_text="x: y\n" * 100_000,
        evaluation=replace(plan.evaluation, prompts=tuple(f"prompt {number}" for number in range(40))),
        sources=tuple(
            replace(source, files=tuple(replace(source.files[0], name=f"{number}.jsonl") for number in range(2000)))
            for source in plan.sources
        ),
    )
    first = story(long, 1)
    step = next(row for row in first if row["kind"] == "step")
    records = first + [step | {"step": number, "loss": 4 + number % 7} for number in range(2, 20_000)]
    records += [
        {"kind": "sample", "step": at, "prompt": prompt, "text": "w" * 50_000}
        for prompt in long.evaluation.prompts
        for at in (0, 80)
    ]
    text = render_html(collect(tell(long, records)))
    assert len(text.encode()) < 1_000_000
    assert "46,000 more characters" in text


def test_a_failure_stands_before_everything_else(plan, tell, story):
    report = collect(tell(plan, story(plan, 33), failure="CPT604 [user] loss is not finite; hint: lower the rate\n"))
    text = Page(render_html(report)).text
    assert text.index("CPT604: loss is not finite") < text.index("The run failed") < text.index("Is it learning?")
    assert "lower the rate" in text


def test_a_run_without_a_single_number_still_makes_a_page(plan, tell, render):
    text = Page(render(collect(tell(plan, [])))).text
    assert "There is nothing to compare yet" in text


def test_the_page_says_what_the_run_measured(completed):
    text = Page(render_html(collect(completed))).text
    for words in (
        "354.2",
        "95.58",
        "206.4",
        "208.5",
        "+0.010",
        "is used to catch.",
        "requested 50.0%",
        "realised 49.7%",
    ):
        assert words in text


def test_the_page_says_where_the_base_model_was_staged_from(plan, tell):
    origin = Origin(source="hub", repo="org/base", revision="ab" * 20)
    staged = replace(plan, model=replace(plan.model, origin=origin))
    assert "org/base at abababababab" in Page(render_html(collect(tell(staged, [])))).text
    assert "staged from" not in Page(render_html(collect(tell(plan, [])))).text


def test_a_page_claims_no_mix_that_the_run_did_not_report(plan, tell):
    text = Page(render_html(collect(tell(plan, [])))).text
    assert "requested 50.0%" in text
    assert "realised" not in text


def test_two_runs_stand_side_by_side_with_what_differs_in_their_recipes(completed, plan, tell, story):
    other = replace(plan, name="without-replay", recipe_text="run:\n  name: without-replay\n")
    text = Page(render_comparison(collect(completed), collect(tell(other, story(other))))).text
    assert "-  name: python-reference" in text
    assert "+  name: without-replay" in text


def test_half_a_surrogate_pair_in_a_sample_does_not_stop_the_page(plan, tell):
    records = [{"kind": "sample", "step": 0, "prompt": "a", "text": "\ud83d"}]
    render_html(collect(tell(plan, records))).encode("utf-8")


def test_only_markup_enters_a_tag_unescaped():
    assert tag("p", "<b>", tag("b", "&"), title='"') == '<p title="&quot;">&lt;b&gt;<b>&amp;</b></p>'
    assert isinstance(join("<", Html("<br>")), Html)
    assert tag("line", x1=0, stroke_width=None) == '<line x1="0"/>'
