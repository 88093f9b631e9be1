"""The examples at the end of --help of `trustpose audit`."""

EXAMPLES = (
    "trustpose audit --gt gt.json --results results.json",
    "trustpose audit --gt gt.json a.json b.json --report page.html --images img",
    "trustpose audit --gt gt.json --before printed.json --after calibrated.json",
    "trustpose audit --gt gt.json --results results.json --json - | jq .ap.AP",
)
