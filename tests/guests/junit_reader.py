"""Reads JUnit XML with a parser that is not ours, and checks it against a schema: junit_reader.py REPORT SCHEMA [or -]. Prints what it found as
JSON. Exits with 77 where a library is missing."""

import json
import sys

try:
    from junitparser import Error, Failure, JUnitXml, Skipped
    from lxml import etree
except ImportError:
    sys.exit(77)

report, schema = sys.argv[1:]
if schema != "-":
    etree.XMLSchema(etree.parse(schema)).assertValid(etree.parse(report))
kinds = {Failure: "failure", Error: "error", Skipped: "skipped"}
suites = JUnitXml.fromfile(report)
cases = [case for suite in suites for case in suite]
found = {case.name: sorted(kinds[type(result)] for result in case.result if type(result) in kinds) for case in cases}
totals = {name: sum(getattr(suite, name) for suite in suites) for name in ("tests", "failures", "errors", "skipped")}
print(json.dumps({"cases": found, "totals": totals, "count": len(cases)}))
