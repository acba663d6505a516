"""Validates a CycloneDX 1.6 document on standard input, and prints what is wrong with it."""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(error)[:1000] if error else 0)
