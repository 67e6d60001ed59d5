"""Do imported expectations count what Great Expectations counts? `python benchmarks/expectations.py PYTHON TABLE`.

PYTHON is that of an environment with great_expectations 1.x and pandas; TABLE is the adult data set as Parquet. The suite
`tests/data/suites/adult.json` runs there and, imported, here, on the same 6,000 rows; verdicts and numbers of failing rows are compared. It ends with 1 when a
verdict differs, or a count other than the one that is known to: distinct values are counted as rows here. Where an expectation is several rules, the verdict is compared.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = Path(__file__).resolve().parents[1] / "tests" / "data" / "suites" / "adult.json"
KNOWN = ("expect_column_distinct_values_to_be_in_set",)
THERE = """
import json, sys
import great_expectations as gx, pandas as pd
from great_expectations.expectations.registry import get_expectation_impl
frame = pd.read_csv(sys.argv[2], keep_default_na=False, na_values=[""])
asset = gx.get_context(mode="ephemeral").data_sources.add_pandas("p").add_dataframe_asset("a")
batch = asset.add_batch_definition_whole_dataframe("b").get_batch(batch_parameters={"dataframe": frame})
found = []
for e in json.load(open(sys.argv[1]))["expectations"]:
    result = batch.validate(get_expectation_impl(e["type"])(**e["kwargs"]), result_format="SUMMARY")
    found.append([bool(result.success), result.result.get("unexpected_count")])
json.dump(found, open(sys.argv[3], "w"))
"""


def main(python: str, table: str) -> int:
    """Print every difference and the number that agree."""
    import pandas as pd

    from prodnb.enforce import enforce
    from prodnb.expectations import rules_of_expectation
    from prodnb.tables import open_table

    folder = Path(tempfile.mkdtemp())
    frame = pd.read_parquet(table)[:6000]
    frame.columns = [c.replace("-", "_") for c in frame.columns]
    frame.to_csv(folder / "adult.csv", index=False)
    subprocess.run([python, "-c", THERE, SUITE, folder / "adult.csv", folder / "there.json"], check=True, capture_output=True)
    here, agree, wrong = open_table(folder / "adult.csv"), 0, 0
    expectations, there = json.loads(SUITE.read_text())["expectations"], json.loads((folder / "there.json").read_text())
    for expectation, (success, count) in zip(expectations, there, strict=True):
        rules, left = rules_of_expectation(expectation)
        findings = enforce(rules, here)
        ours = left is None and all(f.outcome in ("passed", "warned") for f in findings)
        rows = findings[0].failed if findings and findings[0].rule.scope == "row" and len(findings) == 1 else None
        if ours == success and (count is None or rows is None or rows == count):
            agree += 1
            continue
        wrong += ours != success or expectation["type"] not in KNOWN
        print(f"{expectation['type']} {expectation['kwargs']}: there {success}, {count} rows; here {ours}, {rows} rows")
    print(f"{agree} of {len(expectations)} agree in verdict and count; {wrong} unexplained")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
