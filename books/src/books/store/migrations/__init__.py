"""Schema revisions of the store, run by `Store.open`."""
