"""Which customer an invoice goes to: never merged, never guessed, a stored id before a name."""

from __future__ import annotations


def _outcome(bridge, number):
    posting = bridge.postings()[f"inv_{number}"]
    return posting["outcome"], posting["fault_code"]


def test_two_clients_of_one_name_are_rejected_until_the_mapping_tells_them_apart(bridge, record):
    """Names that differ only in case are one name to QuickBooks."""
    twins = [record(1, client_id="cl_7", client_name="Acme"), record(2, client_id="cl_9", client_name="ACME")]
    bridge.push(*twins)
    assert _outcome(bridge, 1) == _outcome(bridge, 2) == ("rejected", "client_names_clash")
    bridge.sim.control.seed({"entities": {"Customer": [{"DisplayName": "Acme (London)"}]}})
    bridge.map('clients: {cl_9: {customer: "Acme (London)"}}\n')
    bridge.push(*twins)
    assert _outcome(bridge, 1) == _outcome(bridge, 2) == ("created", None)
    assert sorted(each["DisplayName"] for each in bridge.books("Customer")) == ["Acme", "Acme (London)"]


def test_a_customer_that_stands_for_another_client_is_not_shared(sqlite_bridge, record):
    """The second client of a name that came later is rejected, and the first goes on."""
    sqlite_bridge.push(record(1, client_id="cl_7", client_name="Acme"))
    sqlite_bridge.push(record(2, client_id="cl_9", client_name="acme"), record(3, client_id="cl_7", client_name="Acme"))
    assert _outcome(sqlite_bridge, 2) == ("rejected", "customer_taken")
    assert _outcome(sqlite_bridge, 3) == ("created", None)


def test_a_renamed_customer_keeps_its_id(sqlite_bridge, record):
    """The stored id wins over the name, on both sides."""
    sqlite_bridge.push(record(1))
    sqlite_bridge.sim.control.deed("rename_customer", customer="Client 1", name="Client One Ltd")
    sqlite_bridge.push(record(4, client_name="Client 1 (new)"))
    assert _outcome(sqlite_bridge, 4) == ("created", None)
    assert len(sqlite_bridge.books("Customer")) == 1


def test_a_name_that_a_vendor_has_is_rejected(sqlite_bridge, record):
    """QuickBooks keeps one list of names for customers, vendors and employees."""
    sqlite_bridge.sim.control.seed({"entities": {"Vendor": [{"DisplayName": "Client 1"}]}})
    sqlite_bridge.push(record(1), record(2))
    assert _outcome(sqlite_bridge, 1) == ("rejected", "6240")
    assert _outcome(sqlite_bridge, 2) == ("created", None)
    assert "mappings.yml" in sqlite_bridge.postings()["inv_1"]["remedy"]


def test_an_inactive_customer_is_not_doubled(sqlite_bridge, record):
    """It is found under the name it had, and a person decides."""
    sqlite_bridge.sim.control.seed({"entities": {"Customer": [{"DisplayName": "Client 1"}]}})
    sqlite_bridge.sim.control.deed("deactivate_customer", customer="Client 1")
    sqlite_bridge.push(record(1))
    assert _outcome(sqlite_bridge, 1) == ("rejected", "customer_inactive")
    assert len(sqlite_bridge.books("Customer")) == 1


def test_names_with_quotes_accents_and_colons_are_found_again(sqlite_bridge, record):
    """A query is written safely; a colon, which QuickBooks forbids, becomes a hyphen."""
    names = ["O'Brien & Sons", "Café Łódź", "Back\\slash", "North: South", "Straße"]
    for number, name in enumerate(names):
        sqlite_bridge.sim.control.seed({"entities": {"Customer": [{"DisplayName": name.replace(":", "-")}]}})
        sqlite_bridge.push(record(number, client_id=f"cl_x{number}", client_name=name))
        assert _outcome(sqlite_bridge, number) == ("created", None), name
    assert len(sqlite_bridge.books("Customer")) == len(names)


def test_the_mapping_file_beats_everything_and_an_id_beats_a_name(sqlite_bridge, record):
    """A mapped id that does not exist is rejected in words, not by QuickBooks."""
    sqlite_bridge.sim.control.seed({"entities": {"Customer": [{"DisplayName": "Other"}]}})
    (other,) = sqlite_bridge.books("Customer")
    sqlite_bridge.map(
        f'clients: {{cl_1: {{customer_id: "{other["Id"]}", customer: "Nobody"}}, cl_2: {{customer_id: "999"}}}}\n'
    )
    sqlite_bridge.push(record(1), record(2))
    assert _outcome(sqlite_bridge, 1) == ("created", None)
    assert sqlite_bridge.books()[0]["CustomerRef"]["value"] == other["Id"]
    assert _outcome(sqlite_bridge, 2) == ("rejected", "customer_missing")
