"""Where rejected records are kept, as the configuration says it: what cannot be meant is refused in a line."""

from pathlib import Path

import pytest

from monitor.commands.connections import local_problems
from monitor.commands.run import with_absolute_state
from monitor.configuration import Configuration
from monitor.settings import ConfigError, Settings, load_settings

PLAIN = "topics: [{name: predictions}]\nmodels: [{name: m, reference: m.json}]\nhttp: {port: 0}\nstate: state\n"


def configured(tmp_path: Path, section: str = "") -> Settings:
    path = tmp_path / "driftd.yaml"
    path.write_text(PLAIN + (f"dead_letters: {section}\n" if section else ""), encoding="utf-8")
    return load_settings(path)


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ("{}", "dead_letters: takes one of directory and topic"),
        ("{directory: letters, topic: letters}", "dead_letters: takes one of directory and topic"),
        ("{topic: letters, max_size: 5MB}", "dead_letters: max_size is of a directory"),
        ("{topic: letters, when_full: block}", "dead_letters: when_full is of a directory"),
        ("{directory: letters, max_size: 5KB}", "dead_letters.max_size: must be at least 1MB"),
        ("{directory: letters, when_full: drop_newest}", "dead_letters.when_full"),
        ("{directory: letters, compress: true}", "dead_letters.compress"),
        ("{topic: a b}", "dead_letters.topic"),
        ("{topic: predictions}", "dead_letters.topic: predictions is read itself"),
        ("{directory: state}", "dead_letters.directory: state is the directory of the state"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, section: str, why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(tmp_path, section)

    assert why in str(refused.value)


def test_without_the_section_the_hash_is_what_it_was_and_its_paths_are_those_of_the_file(tmp_path: Path) -> None:
    plain, kept = (configured(tmp_path, section) for section in ("", "{directory: letters}"))
    here, absolute = (
        Configuration(each, (), (), base=tmp_path).config_hash for each in (kept, with_absolute_state(kept, tmp_path))
    )

    assert "dead_letters" not in Configuration(plain, (), ()).section_hashes()
    assert here == absolute
    assert here != Configuration(plain, (), (), base=tmp_path).config_hash


def test_check_says_of_a_directory_that_it_cannot_be_one(tmp_path: Path) -> None:
    settings = with_absolute_state(configured(tmp_path, "{directory: letters}"), tmp_path)
    assert list(local_problems(settings)) == []
    (tmp_path / "letters").write_bytes(b"")

    assert list(local_problems(settings)) == [
        f"dead_letters.directory: {tmp_path / 'letters'} cannot be used: {tmp_path / 'letters'} is no directory"
    ]
