"""`books contract-check` and `meltano invoke books:...`, as a user runs them."""

from __future__ import annotations

import json

from sandbox.opsmerge import api as simulated


def test_contract_check_answers_with_its_exit_code(bridge):
    """0 against the simulator, through Meltano too; 1 with what breaks; 78 for what is no document."""
    same = bridge.project.command("meltano", "invoke", "books:contract-check", **bridge.urls)
    assert same.code == 0, same.out
    assert "10 calls" in same.out
    assert "one real page of each list was read. Nothing breaks" in same.out

    text = simulated.files("sandbox.opsmerge").joinpath("openapi.yaml").read_text()
    differing = bridge.project.root / "theirs.yaml"
    differing.write_text(text.replace("/psa/tax-codes", "/psa/vat-codes").replace("updated_since", "modified_after"))
    told = bridge.books("contract-check", "--file", str(differing), "--json")
    answer = json.loads(told.out)
    assert (told.code, answer["breaks"] >= 2) == (1, True)
    assert all({"breaks", "place", "what", "effect"} == set(each) for each in answer["differences"])

    page = bridge.books("contract-check", "--url", f"{bridge.urls['TARGET_QUICKBOOKS_API_URL']}/connect/oauth2")
    assert (page.code, "Traceback" in page.out) == (78, False), page.out
