"""Run the core joins of the reconciliation in pandas or Polars: link, pair, classify, check the VAT, join payments.

Use: python bench/dataframes.py pandas|polars FOLDER. Reads Parquet files of flat columns, money in whole
pennies; prints how many documents of each class were found. `make bench` runs it in a separate environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def in_pandas(folder: Path) -> dict[str, int]:
    """Run the joins in pandas."""
    import duckdb
    import pandas as pd

    def table(name: str) -> pd.DataFrame:
        return duckdb.sql(f"from '{folder / name}.parquet'").df()

    own, ledger, postings = table("own"), table("ledger"), table("postings")
    linked = own.merge(postings, on="id", how="left")
    pairs = linked.merge(ledger.drop(columns="number"), on="external_id", how="left", suffixes=("", "_b"))
    rest = ledger[~ledger["external_id"].isin(postings["external_id"])]
    by_code = table("lines").groupby(["id", "code"], as_index=False).agg({"net": "sum", "rate": "max"})
    by_code["proved"] = (by_code["net"] * by_code["rate"] + 50) // 100
    proved = by_code.groupby("id", as_index=False)["proved"].sum()
    pairs = pairs.merge(proved, on="id", how="left")
    both = pairs[pairs["net_b"].notna()]
    agreed = both[both["net"] == both["net_b"]]
    paid = table("ledger_payments").merge(table("own_payments"), on="key", how="left", suffixes=("", "_a"))
    return {
        "I01": int(pairs["net_b"].isna().sum()),
        "I03": int(rest["number"].isin(own["number"]).sum()),
        "A01": int((both["net"] != both["net_b"]).sum()),
        "A03": int(((agreed["tax"] != agreed["tax_b"]) & (agreed["tax_b"] == agreed["proved"])).sum()),
        "P02": int(paid["amount_a"].isna().sum()),
    }


def in_polars(folder: Path) -> dict[str, int]:
    """Run the joins in Polars, lazily."""
    import polars as pl

    def table(name: str) -> pl.LazyFrame:
        return pl.scan_parquet(folder / f"{name}.parquet")

    own, ledger, postings = table("own"), table("ledger"), table("postings")
    proved = (
        table("lines")
        .group_by("id", "code")
        .agg(((pl.col("net").sum() * pl.col("rate").max() + 50) // 100).alias("proved"))
        .group_by("id")
        .agg(pl.col("proved").sum())
    )
    pairs = (
        own.join(postings, on="id", how="left")
        .join(ledger.drop("number"), on="external_id", how="left", suffix="_b")
        .join(proved, on="id", how="left")
    )
    rest = ledger.join(postings, on="external_id", how="anti").join(own, on="number", how="semi")
    paid = table("ledger_payments").join(table("own_payments"), on="key", how="left", suffix="_a")
    agreed, proved_penny = pl.col("net") == pl.col("net_b"), pl.col("tax_b") == pl.col("proved")
    counted = pairs.select(
        pl.col("net_b").is_null().sum().alias("I01"),
        (~agreed).sum().alias("A01"),
        (agreed & (pl.col("tax") != pl.col("tax_b")) & proved_penny).sum().alias("A03"),
    )
    found = pl.collect_all([counted, rest.select(pl.len()), paid.select(pl.col("amount_a").is_null().sum())])
    return {**found[0].row(0, named=True), "I03": found[1].item(), "P02": found[2].item()}


def main() -> None:
    """Run one engine and print its counts; the caller measures."""
    engine, folder = sys.argv[1], Path(sys.argv[2])
    found = {"pandas": in_pandas, "polars": in_polars}[engine](folder)
    print(json.dumps({"found": dict(sorted(found.items()))}))


if __name__ == "__main__":
    main()
