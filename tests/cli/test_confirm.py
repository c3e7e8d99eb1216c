"""Before money is spent somebody says yes: at the terminal, or beforehand."""

import io
import sys
from dataclasses import replace

import click
import pytest

from cloudcpt.cli.check_view import show_checks
from cloudcpt.cli.confirm import confirm_cost, cost_pairs
from cloudcpt.errors import UsageProblem
from cloudcpt.jobs.checks import failed, not_checked, passed
from tests.jobs.cloud_plans import cloud_launch, cloud_plan


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def plan(tmp_path):
    made = cloud_plan(tmp_path)
    return replace(made, estimate=replace(made.estimate, usd_per_instance_hour=50.0, price_source="a table of 2026"))


@pytest.mark.parametrize("typed", ["y\n", "yes\n"])
def test_yes_at_the_terminal_is_enough(plan, monkeypatch, capsys, typed):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    confirm_cost(plan, [], yes=False)
    shown = capsys.readouterr()
    assert "[y/N]" in shown.out + shown.err
    assert "2 x ml.p5.48xlarge at $50.00 per hour; a table of 2026" in shown.err


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_anything_else_is_no(plan, monkeypatch, capsys, typed):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    with pytest.raises(click.Abort):
        confirm_cost(plan, [], yes=False)
    assert ("nothing was sent or started" in capsys.readouterr().err) == bool(typed), "the end of input is no answer"


def test_without_a_terminal_yes_has_to_be_said_beforehand(plan, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(UsageProblem) as caught:
        confirm_cost(plan, [], yes=False)
    assert "`--yes`" in str(caught.value.diagnostics[0].hint)
    confirm_cost(plan, [], yes=True)
    assert "at most" in capsys.readouterr().err


def test_the_cost_says_what_bounds_it_and_what_it_leaves_out(plan):
    shown = dict(cost_pairs(plan, []))
    assert shown["cost"] == "about $10.00 ($10.00 to $20.00), an estimate"
    assert shown["at most"] == "$200, when it runs until its time limit of 2 h 00 min"
    assert dict(cost_pairs(replace(plan, max_runtime_s=0), []))["at most"].startswith("no limit: nothing stops the job")
    kept = replace(plan, launch=cloud_launch(keep_alive_s=600, spot=True, training_plan_arn="arn:aws:x"))
    assert dict(cost_pairs(kept, []))["cost"].endswith(
        "; spot is billed at less; reserved capacity has been paid for already; 10 minutes of kept machines included"
    )


def test_an_unknown_price_is_an_unknown_cost(plan):
    unknown = replace(plan, estimate=replace(plan.estimate, usd_per_instance_hour=0.0, price_source="no public price"))
    assert dict(cost_pairs(unknown, [])) == {
        "machines": "2 x ml.p5.48xlarge",
        "price": "no public price",
        "cost": "not known",
    }


def test_checks_are_lines_and_failures_are_explained_with_what_stops_last(capsys):
    show_checks(
        [
            passed("identity", "ann"),
            failed("role", "CPT706", "SageMaker may not assume it", hint="print a policy"),
            not_checked("quota", "`servicequotas:ListServiceQuotas` was denied"),
            failed("public access", "CPT703", "it is open"),
        ]
    )
    assert capsys.readouterr().err == (
        "ok           identity       ann\n"
        "failed       role           SageMaker may not assume it\n"
        "not checked  quota          `servicequotas:ListServiceQuotas` was denied\n"
        "failed       public access  it is open\n"
        "\n"
        "warning[CPT703] it is open\n"
        "error[CPT706] SageMaker may not assume it\n"
        "   hint: print a policy\n"
    )
