"""The bill of materials lists what is installed, in CycloneDX's own words, and the same way every time."""

from importlib import metadata

from cloudcpt.image.bill import bill_of_materials


def test_every_distribution_is_on_the_bill() -> None:
    bill = bill_of_materials()
    listed = {component["name"] for component in bill["components"] if component["purl"].startswith("pkg:pypi/")}
    assert {"boto3", "pydantic", "ruamel-yaml", "cloudcpt"} <= listed
    assert len(listed) == len(
        {found.metadata["Name"].lower().replace("_", "-").replace(".", "-") for found in metadata.distributions()}
    )


def test_it_has_what_the_schema_asks_for() -> None:
    bill = bill_of_materials()
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    references = [component["bom-ref"] for component in bill["components"]]
    assert len(references) == len(set(references))
    assert all(component["type"] == "library" and component["version"] for component in bill["components"])


def test_two_bills_of_one_machine_are_the_same() -> None:
    assert bill_of_materials() == bill_of_materials()
