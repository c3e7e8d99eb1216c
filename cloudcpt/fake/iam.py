"""IAM: moto's, and the policy simulator that it lacks, which knows the actions that the fake denies."""

from collections.abc import Set
from xml.sax.saxutils import escape

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.passing import Moto, QueryPassing, form


class Iam:
    """The IAM service.

    Args:
        moto: Answers everything but the simulator.
        denied: Actions that nobody may do.
    """

    name = "iam"

    def __init__(self, moto: Moto, denied: Set[str]) -> None:
        self._passing = QueryPassing(self.name, moto)
        self._denied = denied

    def operation(self, head: Request) -> str:
        """Read `Action` from the form."""
        return self._passing.operation(head)

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return self._passing.action(operation)

    def answer(self, request: Request) -> Answer:
        """Simulate, or ask moto."""
        if self.operation(request) != "SimulatePrincipalPolicy":
            return self._passing.answer(request)
        parameters = form(request)
        actions = [value for name, value in sorted(parameters.items()) if name.startswith("ActionNames.member.")]
        resource = parameters.get("ResourceArns.member.1", "*")
        rows = "".join(self._row(action, resource) for action in actions)
        result = f"<EvaluationResults>{rows}</EvaluationResults><IsTruncated>false</IsTruncated>"
        body = (
            '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
            f"<SimulatePrincipalPolicyResult>{result}</SimulatePrincipalPolicyResult>"
            "<ResponseMetadata><RequestId>fake</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>"
        )
        return Answer(headers={"content-type": "text/xml"}, body=body.encode())

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as the query protocol does."""
        return self._passing.refuse(refusal)

    def reset(self) -> None:
        """Moto is reset as a whole."""

    def _row(self, action: str, resource: str) -> str:
        decision = "implicitDeny" if action in self._denied else "allowed"
        fields = (("EvalActionName", action), ("EvalResourceName", resource), ("EvalDecision", decision))
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields)
        return f"<member>{inner}<MatchedStatements/><MissingContextValues/></member>"
