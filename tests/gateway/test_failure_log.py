"""What a log says of a version that failed: enough to find the line, and nothing of the rows."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from anew.domain.column import Value
from anew.gateway.failure_log import describe_failure

TEXTS = ("Ann  Smith", "Weiß\tGasse", "Zoë\nD'Arcy", "back\\slash", "İzmir", "K7 north", "ΣΊΣΥΦΟΣ")
ROW: Mapping[str, Value] = {**{f"text_{i}": text for i, text in enumerate(TEXTS)}, "km": 12.5, "age": 7.0, "none": None}
WRITTEN = (str, repr, ascii, str.upper, str.lower, str.casefold, json.dumps)


@pytest.mark.parametrize("write", WRITTEN)
@pytest.mark.parametrize("text", TEXTS)
def test_no_word_of_a_row_is_said_however_it_is_written(text: str, write: Callable[[str], str]) -> None:
    said = describe_failure(ValueError(f"no price for <{write(text)}> here"), [ROW])
    before, _, after = said.partition("<")
    assert before == "ValueError: no price for "
    left, _, after = after.partition(">")
    assert after == " here"
    assert not any(letter.isalnum() for letter in left), left


def test_no_number_is_said_with_whatever_it_is_joined() -> None:
    said = describe_failure(ValueError("12.5km at 7, -7e3, km_12 and Float64 of [12.5, 7.0]"), [ROW])
    assert said == "ValueError: …km at …, -…e…, km_… and Float… of […, …]"


def test_a_long_text_is_cut_between_words() -> None:
    said = describe_failure(ValueError("x" * 1195 + " Johannesburg"), [{"city": "Johannesburg"}])
    assert "Joh" not in said
    said = describe_failure(ValueError("1" * 1195 + " Johannesburg"), [{"city": "Johannesburg"}])
    assert said == "ValueError: …"


def test_the_place_is_the_version_s_own_and_no_library_s(tmp_path: Path) -> None:
    library, own = tmp_path / "site-packages" / "sklearn" / "pipeline.py", tmp_path / "artifact" / "pipeline.py"
    space: dict[str, object] = {}
    exec(compile("def fit():\n    raise ValueError('ill')\n", library, "exec"), space)  # noqa: S102 - made here
    exec(compile("\n\ndef features():\n    fit()\n", own, "exec"), space)  # noqa: S102 - made here
    with pytest.raises(ValueError, match="ill") as caught:
        exec("features()", space)  # noqa: S102 - made here
    assert describe_failure(caught.value, []) == "ValueError: ill (pipeline.py, line 4, in features)"
