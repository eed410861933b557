"""What anew is built from, and how a release of it is told from another file.

``python -m tests.supply.audit`` holds the locks against the advisories on record, ``python -m tests.supply.advisory
FOLDER`` puts those on record, ``python -m tests.supply.release`` builds, describes, signs and verifies a release.
"""
