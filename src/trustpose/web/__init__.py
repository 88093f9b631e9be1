"""The local page of `trustpose serve`: photos, videos, results files, audits and calibrators in a browser.

`app.py` maps each address to a function, `requests.py` says what one request may cost, and `static/` holds the page.
Uploads stay in one temporary folder and nothing is sent elsewhere. Needs the extra `web`. Read `app.py` first.
"""
